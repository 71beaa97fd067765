"""A progress that keeps what it is told."""


class ToldProgress:
    def __init__(self) -> None:
        self.said: list[str] = []

    def task(self, title: str, total: int, done: int = 0, unit: str = "") -> "ToldTask":
        self.said.append(f"{title}: {done} of {total} {unit}")
        return ToldTask(self.said)


class ToldTask:
    def __init__(self, said: list[str]) -> None:
        self.said = said

    def advance(self, count: int = 1, detail: str = "") -> None:
        self.said.append(f"+{count} {detail}".strip())

    def close(self) -> None:
        self.said.append("closed")
