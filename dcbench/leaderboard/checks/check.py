"""`check`: everything that is wrong with a folder of leaderboards, one line a problem."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from dcbench.config.garbage import garbage_kept
from dcbench.errors import DataError, UsageError
from dcbench.leaderboard.checks.duplicates import twin_problems
from dcbench.leaderboard.checks.earlier import Earlier, earlier_states
from dcbench.leaderboard.checks.history import (
    Published,
    changelog_problems,
    gap_problems,
    history_problems,
    standing_problems,
)
from dcbench.leaderboard.checks.numerics import mixtures
from dcbench.leaderboard.checks.read import RowsFile, read_folder
from dcbench.leaderboard.checks.recomputed import Given, Verify, array_hashes
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
    verified : int or None
        Rows some of whose logits were computed again from stored weights; None: not asked for.
    notes : list of str
        What is no problem, and a reader should know.
    """

    problems: list[str]
    boards: int
    rows: int
    base: str | None
    recomputed: int | None
    verified: int | None
    notes: list[str]

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
            *(
                []
                if self.verified is None
                else [f"logits computed again from stored weights: {self.verified} rows"]
            ),
            *self.notes,
        ]


@garbage_kept()
def check(
    folder: Path,
    *,
    predictions: Path | None = None,
    base: str | None = None,
    require_predictions: bool = False,
    verify: Verify | None = None,
) -> CheckResult:
    """Everything that is wrong with the leaderboards in `folder`.

    Parameters
    ----------
    predictions
        A results folder; metrics of the rows whose predictions lie there are computed again, and
        what else a record says is held to the row, the protocol and the split.
    base
        A folder or a git revision with the earlier state; else git is asked.
    require_predictions
        Every row that is new, or not as it was, has its predictions there.
    verify
        Given a run's folder and its record, what its weights say against it.

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
    earlier, now = earlier_states(folder, base), _published(folder, files, problems)
    if now is not None:
        for problems_of in (history_problems, changelog_problems, gap_problems):
            problems += problems_of(now, earlier)
        problems += standing_problems(now)
    runs = Given(files, predictions) if predictions is not None else None
    if runs is not None:
        problems += runs.problems(verify)
    if require_predictions and now is not None:
        problems += _unfounded(now, earlier, runs)
    return CheckResult(
        problems=problems,
        boards=len(files),
        rows=sum(len(file.rows) for file in files),
        base=earlier.title,
        recomputed=runs.count if runs else None,
        verified=runs.verified if runs and verify else None,
        notes=mixtures(files),
    )


def _published(folder: Path, files: list[RowsFile], problems: list[str]) -> Published | None:
    try:
        return Published(folder, files)
    except DataError as problem:
        problems.append(str(problem))
        return None


def _unfounded(now: Published, earlier: Earlier, runs: Given | None) -> Iterator[str]:
    """Rows that are new, or not as they were, whose predictions are not given."""
    found = runs.founded if runs else set()
    for run in now.rows:
        if run not in found and (now.is_new(run, earlier) or now.is_fuller(run, earlier)):
            yield (
                f"{now.title(run)}: its predictions are not there; name the results folder that "
                "has them with --predictions"
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
