"""Earlier states of a leaderboard: a folder, a revision of git, or all that git has."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from dcbench.config.git import commit_of, files_at, git
from dcbench.errors import UsageError
from dcbench.leaderboard.states import State, files_in_folder

_MAIN = ("origin/HEAD", "origin/main", "origin/master", "main", "master")


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
        return Earlier((State(asked, files_in_folder(earlier)),))
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
