"""A leaderboard as it stands in a folder, or as it stood at a revision of git."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath

from dcbench.config.base import validated
from dcbench.config.git import commit_of, files_at
from dcbench.config.protocol import Protocol
from dcbench.config.reading import MOST_TABLE, as_text, read_file
from dcbench.config.strict_yaml import YAMLTextError, parse_yaml
from dcbench.errors import DataError, UsageError
from dcbench.leaderboard.rows import Key, Row, key_of
from dcbench.leaderboard.rules_lock import FROZEN
from dcbench.leaderboard.tables import has_rows, parse_rows, parse_summary_rows


@dataclass(frozen=True)
class State:
    """What a leaderboard's files hold, and what to call it.

    Attributes
    ----------
    files : dict
        The bytes of tables and frozen rules, by path below the folder.
    """

    title: str
    files: dict[str, bytes]

    @cached_property
    def rows(self) -> dict[str, dict[Key, Row]]:
        """The rows of each board, `<protocol>/<split>`, wherever they lay then."""
        found: dict[str, dict[Key, Row]] = {}
        for path, content in sorted(self.files.items()):
            parts = PurePosixPath(path).parts
            in_place = len(parts) == 3 and parts[1] == "runs"
            before = len(parts) == 2 and has_rows(content)
            if path.endswith(".csv") and (in_place or before):
                board = f"{parts[0]}/{PurePosixPath(path).stem}"
                rows = parse_rows(content, self._where(path))
                found.setdefault(board, {}).update({key_of(row): row for row in rows})
        return found

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

    @cached_property
    def rules(self) -> dict[str, Protocol]:
        """The frozen rules of each protocol."""
        found = {}
        for path, content in sorted(self.files.items()):
            parts = PurePosixPath(path).parts
            if len(parts) == 2 and parts[1] == FROZEN:
                found[parts[0]] = self._frozen(path, content)
        return found

    def _frozen(self, path: str, content: bytes) -> Protocol:
        where = self._where(path)
        try:
            values = parse_yaml(as_text(content, where))
        except YAMLTextError as problem:
            raise DataError(f"{where}: {problem}") from None
        return validated(Protocol, values, where, DataError)

    def _where(self, path: str) -> str:
        return f"{path} in {self.title}"


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
    paths = [path for pattern in ("*/*.csv", "*/*/*.csv") for path in folder.glob(pattern)]
    if not paths:
        raise UsageError(
            f"{folder}: there are no leaderboards; name the folder that has one for each protocol"
        )
    paths += folder.glob(f"*/{FROZEN}")
    names = {path: path.relative_to(folder).as_posix() for path in paths}
    return State(
        str(folder),
        {
            name: read_file(path, most=MOST_TABLE)
            for path, name in names.items()
            if not any(part.startswith(".") for part in PurePosixPath(name).parts)
        },
    )


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
