"""`check`: everything that is wrong with a folder of leaderboards, one line a problem."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from dcbench.errors import DataError, UsageError
from dcbench.leaderboard.checks.duplicates import twin_problems
from dcbench.leaderboard.checks.history import find_base, history_problems
from dcbench.leaderboard.checks.read import RowsFile, read_folder
from dcbench.leaderboard.checks.recomputed import array_hashes, stored_problems
from dcbench.leaderboard.checks.schema import row_problems
from dcbench.leaderboard.checks.summaries import summary_problems
from dcbench.leaderboard.rules_lock import FROZEN, changed_rules, read_frozen, used_by


@dataclass(frozen=True)
class CheckResult:
    """What a check found.

    Attributes
    ----------
    problems : list of str
        One line each: the file, the row, what is wrong and what would be right.
    boards, rows : int
    base : str or None
        What old rows were compared with.
    recomputed : int or None
        Rows whose metrics were computed again from stored predictions; None: none were given.
    """

    problems: list[str]
    boards: int
    rows: int
    base: str | None
    recomputed: int | None

    @property
    def sentences(self) -> list[str]:
        """What held, where nothing is wrong."""
        return [
            f"{self.rows} rows of {self.boards} leaderboards and their summaries hold",
            f"old rows are as in {self.base}, or named in the changelog"
            if self.base
            else "old rows were not compared: there is no git here; name a folder with --base",
            "metrics were not computed again: --predictions names a results folder"
            if self.recomputed is None
            else f"metrics computed again from stored predictions: {self.recomputed} rows, "
            f"{self.rows - self.recomputed} have none there",
        ]


def check(folder: Path, *, predictions: Path | None = None, base: str | None = None) -> CheckResult:
    """Everything that is wrong with the leaderboards in `folder`.

    Parameters
    ----------
    predictions
        A results folder; metrics of the rows whose predictions lie there are computed again.
    base
        A folder or a git revision with the earlier state; else git is asked.

    Raises
    ------
    UsageError
        There is no such folder, or no such base.
    DataError
        A record under `predictions` or a table of the base cannot be read.
    """
    for given in (folder, predictions):
        if given is not None and not given.is_dir():
            raise UsageError(f"{given}: there is no such folder")
    problems: list[str] = []
    files = read_folder(folder, problems)
    for file in files:
        problems += row_problems(file)
        problems += summary_problems(file)
    problems += _frozen_problems(files)
    problems += twin_problems(files, array_hashes(predictions) if predictions else None)
    before = find_base(folder, base)
    if before is not None:
        problems += history_problems(folder, files, before)
    recomputed = None
    if predictions is not None:
        found, recomputed = stored_problems(files, predictions)
        problems += found
    return CheckResult(
        problems=problems,
        boards=len(files),
        rows=sum(len(file.rows) for file in files),
        base=before.title if before else None,
        recomputed=recomputed,
    )


def _frozen_problems(files: Iterable[RowsFile]) -> Iterator[str]:
    """Where the frozen rules are not those of the protocol, or do not cover all rows."""
    folders: dict[Path, list[RowsFile]] = defaultdict(list)
    for file in files:
        folders[file.folder].append(file)
    for folder, inside in folders.items():
        path = folder / FROZEN
        try:
            frozen = read_frozen(folder)
        except (DataError, UsageError) as problem:
            yield str(problem)
            continue
        if frozen is None:
            yield f"{path}: no such file; build again"
            continue
        for change in changed_rules(frozen, inside[0].rules):
            yield f"{path}: {change}; a changed rule is a new protocol version"
        for recipe, methods in used_by({file.split.name: file.rows for file in inside}).items():
            known = frozen.recipes[recipe].methods if recipe in frozen.recipes else {}
            for method in sorted(methods - known.keys()):
                yield f"{path}: recipes.{recipe}.methods lacks {method}; build again"
