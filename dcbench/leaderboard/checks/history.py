"""Old rows stay: what was published is changed or removed only with a line in the changelog.

A line of `CHANGELOG.md` reads `- v1-lite/digits, subset 0, method erm, seeds 0-2: why`.
"""

from __future__ import annotations

import io
import re
import tarfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from dcbench.config.git import git
from dcbench.config.names import parse_seeds, shortened
from dcbench.config.reading import MOST_TABLE, read_file, read_text
from dcbench.errors import DataError, UsageError
from dcbench.leaderboard.checks.read import RowsFile
from dcbench.leaderboard.rows import Key, Row, key_of, run_title
from dcbench.leaderboard.tables import has_rows, parse_rows

CHANGELOG = "CHANGELOG.md"

_ENTRY = re.compile(
    r"- (?P<board>[\w.-]+/[\w.-]+), subset (?P<subset>[0-9]{1,9}), method (?P<method>\S+), "
    r"seeds? (?P<seeds>[0-9, -]+): \S.*"
)
_MAIN = ("origin/HEAD", "origin/main", "origin/master", "main", "master")


@dataclass(frozen=True)
class Base:
    """An earlier state of a leaderboard: its files by path, and what to call it."""

    title: str
    files: dict[str, bytes]


def find_base(folder: Path, asked: str | None) -> Base | None:
    """What to compare with: the folder or git revision that is asked for, else what git has.

    Without asking, that is where the branch left the main one, or on the main branch the commit
    before; None outside a git checkout.

    Raises
    ------
    UsageError
        What is asked for is neither a folder nor a revision.
    """
    if asked is None:
        commit = _branch_point(folder)
        return _at(folder, commit) if commit else None
    earlier = Path(asked)
    if earlier.is_dir():
        paths = [path for path in earlier.rglob("*.csv") if path.is_file()]
        paths += [path for path in (earlier / CHANGELOG,) if path.is_file()]
        files = {
            path.relative_to(earlier).as_posix(): read_file(path, most=MOST_TABLE) for path in paths
        }
        return Base(asked, files)
    commit = _commit(folder, asked)
    if commit is None:
        raise UsageError(f"--base {asked}: neither a folder nor a revision of git in {folder}")
    return _at(folder, commit)


def _branch_point(folder: Path) -> str | None:
    head = _commit(folder, "HEAD")
    for branch in _MAIN:
        point = git(folder, "merge-base", "HEAD", branch)
        if point is not None and point.decode().strip() != head:
            return point.decode().strip()
    return _commit(folder, "HEAD^") or head


def _commit(folder: Path, revision: str) -> str | None:
    """The commit of a revision, or None where there is none."""
    options = ("--verify", "--quiet", "--end-of-options")
    found = git(folder, "rev-parse", *options, f"{revision}^{{commit}}")
    return None if found is None else found.decode().strip()


def _at(folder: Path, commit: str) -> Base:
    packed = git(folder, "archive", "--format=tar", commit, ".")
    files = {}
    if packed is not None:
        with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
            for member in archive.getmembers():
                content = archive.extractfile(member)
                if content is not None:
                    files[str(PurePosixPath(member.name))] = content.read()
    return Base(commit[:12], files)


class _Run(NamedTuple):
    board: str
    key: Key


def history_problems(folder: Path, files: Iterable[RowsFile], base: Base) -> Iterator[str]:
    """One line for each old row that is gone or changed and not named in the changelog."""
    changelog = folder / CHANGELOG
    try:
        text = read_text(changelog) if changelog.exists() else ""
    except DataError as problem:
        yield str(problem)
        return
    before = set(base.files.get(CHANGELOG, b"").decode(errors="replace").splitlines())
    lines = [line for line in text.splitlines() if line.startswith("- ") and line not in before]
    named: set[_Run] = set()
    for line in lines:
        try:
            named |= _named(line)
        except UsageError as problem:
            yield f"{changelog}: '{shortened(line)}': {problem}"
    now = {
        _Run(f"{file.rules.name}/{file.split.name}", key_of(row)): row
        for file in files
        for _, row in file.keyed()
    }
    for run, old in _old_rows(base).items():
        what = _change_of(old, now.get(run))
        if what is not None and run not in named:
            subset, method, seed = run.key
            entry = f"- {run.board}, subset {subset}, method {method}, seed {seed}: why"
            path = "/runs/".join(run.board.split("/"))
            yield (
                f"{folder / path}.csv ({run_title(run.key)}): {what} in {base.title}; restore the "
                f"row, or add to {changelog}: {entry}"
            )


def _named(line: str) -> set[_Run]:
    """The runs that a line of the changelog names."""
    entry = _ENTRY.fullmatch(line)
    if entry is None:
        example = "'- <protocol>/<split>, subset 0, method erm, seeds 0-2: why'"
        raise UsageError(f"should read {example}")
    subset, method = int(entry["subset"]), entry["method"]
    return {_Run(entry["board"], (subset, method, seed)) for seed in parse_seeds(entry["seeds"])}


def _old_rows(base: Base) -> dict[_Run, Row]:
    """The rows of an earlier state, wherever they lay then."""
    found: dict[_Run, Row] = {}
    for path, content in sorted(base.files.items()):
        parts = PurePosixPath(path).parts
        in_place = len(parts) == 3 and parts[1] == "runs" and path.endswith(".csv")
        before = len(parts) == 2 and path.endswith(".csv") and has_rows(content)
        if in_place or before:
            board = f"{parts[0]}/{PurePosixPath(path).stem}"
            rows = parse_rows(content, f"{path} in {base.title}")
            found |= {_Run(board, key_of(row)): row for row in rows}
    return found


def _change_of(old: Row, new: Row | None) -> str | None:
    """What became of a row, as a sentence says it; a cell that was empty may be filled."""
    if new is None:
        return "the row is gone; it was there"
    for column, cell in old.items():
        if cell and new.get(column, "") != cell:
            return f"{column}='{new.get(column, '')}', but it was '{cell}'"
    return None
