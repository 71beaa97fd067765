"""A leaderboard as it stands in a folder, or as it stood at a revision of git."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path, PurePosixPath

from dcbench.config.base import validated
from dcbench.config.git import commit_of, files_at
from dcbench.config.protocol import Protocol
from dcbench.config.reading import MOST_TABLE, as_text, read_file
from dcbench.config.strict_yaml import YAMLTextError, parse_yaml
from dcbench.errors import DataError, UsageError
from dcbench.leaderboard.changelog import CHANGELOG, Run, list_lines
from dcbench.leaderboard.rows import Row, key_of
from dcbench.leaderboard.rules_lock import FROZEN
from dcbench.leaderboard.tables import has_rows, parse_rows, parse_summary_rows


@dataclass(frozen=True)
class State:
    """What a leaderboard's files hold, and what to call it.

    Attributes
    ----------
    files : dict
        The bytes of tables, frozen rules and the changelog, by path below the folder.
    """

    title: str
    files: dict[str, bytes]

    @cached_property
    def lines(self) -> frozenset[str]:
        """The entries of its changelog."""
        return frozenset(list_lines(self.files.get(CHANGELOG, b"").decode(errors="replace")))

    @cached_property
    def rows(self) -> dict[Run, Row]:
        """The rows, wherever they lay then."""
        found: dict[Run, Row] = {}
        for path, content in sorted(self.files.items()):
            parts = PurePosixPath(path).parts
            in_place = len(parts) == 3 and parts[1] == "runs"
            before = len(parts) == 2 and has_rows(content)
            if path.endswith(".csv") and (in_place or before):
                found |= dict(self._runs(path, content))
        return found

    @cached_property
    def retired(self) -> list[tuple[Run, Row]]:
        """The rows that counted no more."""
        return [
            pair
            for path, content in sorted(self.files.items())
            if len(parts := PurePosixPath(path).parts) == 3 and parts[1] == "retired"
            for pair in self._runs(path, content, "predictions_sha256")
        ]

    def _runs(self, path: str, content: bytes, *unique: str) -> list[tuple[Run, Row]]:
        board = f"{PurePosixPath(path).parts[0]}/{PurePosixPath(path).stem}"
        try:
            rows = _rows_of(content, path, unique)
        except DataError as problem:
            raise DataError(f"{problem}; so it is in {self.title}") from None
        return [(Run(board, key_of(row)), row) for row in rows]

    @cached_property
    def summaries(self) -> dict[str, dict[tuple[str, str], Row]]:
        """The summary of each board: its rows by `subsets` and method."""
        found = {}
        for path, content in sorted(self.files.items()):
            board = PurePosixPath(path).with_suffix("")
            if len(board.parts) == 2 and path.endswith(".csv") and not has_rows(content):
                rows = parse_summary_rows(content, self._where(path))
                found[str(board)] = {(row["subsets"], row["method"]): row for row in rows}
        return found

    @property
    def protocols(self) -> list[str]:
        """The protocols whose rules were frozen."""
        paths = map(PurePosixPath, self.files)
        return sorted(each.parts[0] for each in paths if each.parts[1:] == (FROZEN,))

    def frozen(self, protocol: str) -> Protocol | None:
        """The rules that the rows of a protocol obeyed; None where none were frozen.

        Raises
        ------
        DataError
            They cannot be read.
        """
        path = f"{protocol}/{FROZEN}"
        if path not in self.files:
            return None
        where = self._where(path)
        try:
            values = parse_yaml(as_text(self.files[path], where))
        except YAMLTextError as problem:
            raise DataError(f"{where}: {problem}") from None
        return validated(Protocol, values, where, DataError)

    def _where(self, path: str) -> str:
        return f"{path} in {self.title}"


@lru_cache(maxsize=512)
def _rows_of(content: bytes, path: str, unique: tuple[str, ...]) -> list[Row]:
    """The rows in a table, parsed once however many states have it; they are not to be changed."""
    return parse_rows(content, path, unique)


def state_of_folder(folder: Path) -> State:
    """A leaderboard as it stands in a folder.

    Raises
    ------
    UsageError
        There is no such folder, or no leaderboard in it.
    DataError
        A file cannot be read.
    """
    if not folder.is_dir():
        raise UsageError(f"{folder}: there is no such folder")
    files = files_in_folder(folder)
    if not any(name.endswith(".csv") for name in files):
        raise UsageError(
            f"{folder}: there are no leaderboards; name the folder that has one for each protocol"
        )
    return State(str(folder), files)


def files_in_folder(folder: Path) -> dict[str, bytes]:
    """What a state in a folder consists of, by path; hidden files are none of ours."""
    paths = [path for pattern in ("*/*.csv", "*/*/*.csv") for path in folder.glob(pattern)]
    paths += [*folder.glob(f"*/{FROZEN}"), *folder.glob(CHANGELOG)]
    names = {path: path.relative_to(folder) for path in paths}
    return {
        name.as_posix(): read_file(path, most=MOST_TABLE)
        for path, name in names.items()
        if not any(part.startswith(".") for part in name.parts)
    }


def find_state(name: str, folder: Path) -> State:
    """A leaderboard by the name of a folder, or of a revision of the git that `folder` is in.

    A revision at which the folder was not there has no rows.

    Raises
    ------
    UsageError
        It is neither, or a folder without a leaderboard.
    DataError
        A file cannot be read.
    """
    if name and Path(name).is_dir():
        return state_of_folder(Path(name))
    commit = commit_of(folder, name) if folder.is_dir() else None
    if commit is None:
        raise UsageError(f"'{name}': neither a folder nor a revision of git in {folder}")
    return State(f"{folder} at {name}", files_at(folder, commit))
