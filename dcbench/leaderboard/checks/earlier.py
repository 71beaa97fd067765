"""Earlier states of a leaderboard: a folder, a revision of git, or all that git has."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path, PurePosixPath

from dcbench.config.base import validated
from dcbench.config.git import commit_of, files_at, git
from dcbench.config.protocol import Protocol
from dcbench.config.reading import MOST_TABLE, read_file
from dcbench.config.strict_yaml import YAMLTextError, parse_yaml
from dcbench.errors import DataError, UsageError
from dcbench.leaderboard.changelog import CHANGELOG, Run, list_lines
from dcbench.leaderboard.rows import Row, key_of
from dcbench.leaderboard.rules_lock import FROZEN
from dcbench.leaderboard.tables import has_rows, parse_rows

_MAIN = ("origin/HEAD", "origin/main", "origin/master", "main", "master")


@dataclass(frozen=True)
class State:
    """An earlier state of a leaderboard: its files by path, and what to call it."""

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
            in_place = len(parts) == 3 and parts[1] == "runs" and path.endswith(".csv")
            before = len(parts) == 2 and path.endswith(".csv") and has_rows(content)
            if in_place or before:
                board = f"{parts[0]}/{PurePosixPath(path).stem}"
                found |= {Run(board, key_of(row)): row for row in self._parsed(path, content)}
        return found

    @cached_property
    def retired(self) -> list[tuple[Run, Row]]:
        """The rows that counted no more."""
        return [
            (Run(f"{parts[0]}/{PurePosixPath(path).stem}", key_of(row)), row)
            for path, content in sorted(self.files.items())
            if len(parts := PurePosixPath(path).parts) == 3 and parts[1] == "retired"
            for row in self._parsed(path, content)
        ]

    def frozen(self, protocol: str) -> Protocol | None:
        """The rules that the rows of a protocol obeyed; None where none were frozen."""
        path = f"{protocol}/{FROZEN}"
        if path not in self.files:
            return None
        where = f"{path} in {self.title}"
        try:
            content = parse_yaml(self.files[path].decode())
        except (YAMLTextError, UnicodeDecodeError) as problem:
            raise DataError(f"{where}: {problem}") from None
        return validated(Protocol, content, where, DataError)

    def _parsed(self, path: str, content: bytes) -> list[Row]:
        unique = ("predictions_sha256",) if "/retired/" in path else ()
        try:
            return _rows_of(content, path, unique)
        except DataError as problem:
            raise DataError(f"{problem}; so it was in {self.title}") from None


@lru_cache(maxsize=512)
def _rows_of(content: bytes, path: str, unique: tuple[str, ...]) -> list[Row]:
    """The rows in a table, parsed once however many states have it; they are not to be changed."""
    return parse_rows(content, path, unique)


@dataclass(frozen=True)
class Earlier:
    """The earlier states that can be seen, the nearest first.

    Attributes
    ----------
    unseen : str or None
        Why there are states that cannot be seen.
    """

    states: tuple[State, ...] = ()
    unseen: str | None = None

    @property
    def title(self) -> str | None:
        """What old rows are compared with, in words."""
        if not self.states:
            return None
        further = len(self.states) - 1
        more = f" and {further} earlier state{'s' if further > 1 else ''}" if further else ""
        return f"{self.states[0].title}{more}"


def earlier_states(folder: Path, asked: str | None) -> Earlier:
    """What to compare with: the folder or git revision that is asked for, else all that git has.

    Without asking, the nearest state is where the branch left the main one, or on the main branch
    the commit before; then all before it that changed the folder. There is none outside a git
    checkout.

    Raises
    ------
    UsageError
        What is asked for is neither a folder nor a revision.
    """
    if asked is None:
        return _of_git(folder)
    earlier = Path(asked)
    if earlier.is_dir():
        paths = [path for path in earlier.rglob("*.csv") if path.is_file()]
        paths += [path for path in earlier.glob(f"*/{FROZEN}") if path.is_file()]
        paths += [path for path in (earlier / CHANGELOG,) if path.is_file()]
        files = {
            path.relative_to(earlier).as_posix(): read_file(path, most=MOST_TABLE) for path in paths
        }
        return Earlier((State(asked, files),))
    commit = commit_of(folder, asked)
    if commit is None:
        raise UsageError(f"--base {asked}: neither a folder nor a revision of git in {folder}")
    return Earlier((State(commit[:12], files_at(folder, commit)),))


def _of_git(folder: Path) -> Earlier:
    head = commit_of(folder, "HEAD")
    if head is None:
        return Earlier()
    point = _branch_point(folder, head)
    nearest = point or commit_of(folder, "HEAD^") or head
    listed = git(folder, "log", "--first-parent", "--format=%H", point or head, "--", ".") or b""
    commits = dict.fromkeys([nearest, *listed.decode().split()])
    return Earlier(
        tuple(State(commit[:12], files_at(folder, commit)) for commit in commits), _unseen(folder)
    )


def _unseen(folder: Path) -> str | None:
    if (git(folder, "rev-parse", "--is-shallow-repository") or b"").strip() != b"true":
        return None
    return (
        "earlier states cannot be seen, for this clone is shallow; `git fetch --unshallow` brings "
        "them, or name one with --base"
    )


def _branch_point(folder: Path, head: str) -> str | None:
    """Where a branch left the main one; None on the main branch."""
    for branch in _MAIN:
        point = git(folder, "merge-base", "HEAD", branch)
        if point is not None and point.decode().strip() != head:
            return point.decode().strip()
    return None
