"""`CHANGELOG.md` of the leaderboards: what became of rows, when and why, one line an event.

    - 2026-11-28, v1-lite/digits, subset 0, method erm, seeds 0-2, superseded: why

Lines of earlier versions have no date and no event; they stay, and let rows be changed.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from dcbench.config.names import parse_seeds, shortened
from dcbench.config.reading import read_text
from dcbench.config.text import span
from dcbench.errors import UsageError
from dcbench.leaderboard.rows import Key
from dcbench.leaderboard.standing import EVENTS, Standing

CHANGELOG = "CHANGELOG.md"

EXAMPLE = "- <date>, <protocol>/<split>, subset 0, method erm, seeds 0-2, corrected: why"

_HEAD = """# Changes of rows

What became of rows, one line an event, a method and a subset; new rows need no line. Nothing is
taken away from here, and `dcbench leaderboard check` reads every line."""

_ENTRY = re.compile(
    r"- (?:(?P<date>[0-9]{4}-[0-9]{2}-[0-9]{2}), )?(?P<board>[\w.-]+/[\w.-]+), "
    r"subset (?P<subset>[0-9]{1,9}), method (?P<method>\S+), "
    r"seeds? (?P<seeds>[0-9][0-9, -]*?)(?:, (?P<event>[a-z]+))?: (?P<reason>\S.*)"
)


class Run(NamedTuple):
    """A run by its board, `<protocol>/<split>`, and its key there."""

    board: str
    key: Key


@dataclass(frozen=True)
class Entry:
    """A line of the changelog.

    Attributes
    ----------
    date, event : str or None
        None for lines of earlier versions.
    """

    date: str | None
    board: str
    subset: int
    method: str
    seeds: tuple[int, ...]
    event: str | None
    reason: str

    @property
    def runs(self) -> list[Run]:
        """The runs that it names."""
        return [Run(self.board, (self.subset, self.method, seed)) for seed in self.seeds]

    @property
    def line(self) -> str:
        """As it stands in the file."""
        seeds = f"seed{'s' if len(self.seeds) > 1 else ''} {span(self.seeds)}"
        date, event = (f"{self.date}, " if self.date else ""), (self.event and f", {self.event}")
        where = f"{self.board}, subset {self.subset}, method {self.method}"
        return f"- {date}{where}, {seeds}{event or ''}: {self.reason}"


def parse_entry(line: str) -> Entry:
    """An entry from its line.

    Raises
    ------
    UsageError
        It has another form.
    """
    found = _ENTRY.fullmatch(line)
    if found is None:
        raise UsageError(f"should read '{EXAMPLE}'")
    seeds = parse_seeds(found["seeds"])
    date, event = found["date"], found["event"]
    if (date is None) != (event is None) or event not in (None, *EVENTS):
        raise UsageError(f"should read '{EXAMPLE}', with one of {', '.join(EVENTS)}")
    if date is not None:
        try:
            datetime.date.fromisoformat(date)
        except ValueError as problem:
            raise UsageError(f"{date}: {problem}") from None
    board, subset, method = found["board"], int(found["subset"]), found["method"]
    return Entry(date, board, subset, method, seeds, event, found["reason"])


def list_lines(text: str) -> list[str]:
    """The lines of a changelog that are entries, whether they can be read or not."""
    return [line.rstrip() for line in text.splitlines() if line.startswith("- ")]


def entries_of(lines: Iterable[str]) -> tuple[list[Entry], list[str]]:
    """The entries in lines of a changelog, in their order, and what is wrong with others."""
    entries, problems = [], []
    for line in lines:
        try:
            entries.append(parse_entry(line))
        except UsageError as problem:
            problems.append(f"'{shortened(line)}': {problem}")
    return entries, problems


def read_changelog(folder: Path) -> str:
    """The text of a folder's changelog; nothing where there is none."""
    path = folder / CHANGELOG
    return read_text(path) if path.exists() else ""


def standings_from(entries: Iterable[Entry]) -> dict[Run, Standing]:
    """Tier and state of each run that the entries name, in their order."""
    found: dict[Run, Standing] = {}
    for entry in entries:
        for run in entry.runs:
            found[run] = found.get(run, Standing()).after(entry.event)
    return found


def on_one_line(reason: str) -> str:
    """A reason that somebody gives, as an entry can have it.

    Raises
    ------
    UsageError
        It says nothing.
    """
    words = reason.split()
    if not words:
        raise UsageError("--reason: say why; it becomes a line of the changelog")
    return " ".join(words)


def entries_for(runs: Iterable[Run], event: str, reason: str) -> list[Entry]:
    """Entries of today that name these runs, one a board, subset and method.

    Raises
    ------
    UsageError
        One could not be read again: there is no reason, or a name that no run can have.
    """
    seeds: dict[tuple[str, int, str], list[int]] = {}
    for board, (subset, method, seed) in sorted(runs):
        seeds.setdefault((board, subset, method), []).append(seed)
    reason = on_one_line(reason)
    entries = [Entry(today(), *where, tuple(each), event, reason) for where, each in seeds.items()]
    _, problems = entries_of(entry.line for entry in entries)
    if problems:
        raise UsageError(problems[0])
    return entries


def with_entries(text: str, entries: Iterable[Entry]) -> str:
    """The text of a changelog with further entries at its end."""
    before = text.rstrip("\n") or _HEAD
    gap = "\n" if before.splitlines()[-1].startswith("- ") else "\n\n"
    return before + gap + "".join(f"{entry.line}\n" for entry in entries)


def today() -> str:
    """The date that a new line has: that of UTC."""
    return datetime.datetime.now(datetime.UTC).date().isoformat()
