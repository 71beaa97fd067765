"""Methods compared on records alone, of any status: paired by subset and seed, without ranks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from dcbench.config.text import span
from dcbench.errors import UsageError, unknown
from dcbench.leaderboard.boards import Board
from dcbench.leaderboard.rows import row_of
from dcbench.leaderboard.sides import Sides, StoredRun, find_sides, what_differs
from dcbench.leaderboard.statistics import Difference, differences_to_one, holm_corrected
from dcbench.leaderboard.summary import spread_of
from dcbench.leaderboard.tables import with_numbers
from dcbench.metrics.table import metric_of
from dcbench.records.schema import Record

PLAIN = "erm"
"""What methods are compared with where nobody says otherwise."""


@dataclass(frozen=True, eq=False)
class Comparison:
    """The methods of one protocol and split beside one of them.

    Attributes
    ----------
    board : Board
        `.runs` has a row a run, `method` being the side; `.summary` their means, without ranks.
    against : str
        The side that the others are compared with.
    sides : dict
        The runs of each side, by name.
    differences : tuple of Difference
        By metric, then by side, also of no pair; p is corrected over all tests of the metric in one
        `compare`.
    """

    board: Board
    against: str
    sides: Sides
    differences: tuple[Difference, ...]

    @property
    def title(self) -> str:
        """Split and protocol, as tables are headed."""
        return f"{self.board.split}, protocol {self.board.protocol}"

    def recipe_of(self, side: str) -> list[str]:
        """In what the recipe of a side differs from that of the one compared with."""
        return what_differs(self.sides[side], self.sides[self.against])


def compare(
    roots: Sequence[Path], metrics: Sequence[str], against: str | None = None
) -> list[Comparison]:
    """Compare the methods of some folders with one of them, over runs of equal subset and seed.

    Parameters
    ----------
    roots
        Results folders, or folders below them.
    metrics
        Keys of metrics, such as `accuracy` or `ood.cifar100.msp.auroc`.
    against
        The name of a side; by default `erm`, or else the only one without settings.

    Returns
    -------
    list of Comparison
        One for each protocol and split with a run to compare.

    Raises
    ------
    UsageError
        An unknown metric or side, a metric that no run has, a folder without records, or nothing
        to compare.
    DataError
        A record is damaged.
    """
    for key in metrics:
        metric_of(key)
    groups = find_sides(roots)
    chosen = _chosen(against, groups.values())
    found = [
        _comparison(*key, sides, chosen, metrics)
        for key, sides in groups.items()
        if chosen in sides and len(sides) > 1
    ]
    if not found:
        raise UsageError(f"there is nothing to compare with {chosen}: no other method, or no split")
    for metric in metrics:
        pairs = (each.n for group in found for each in group.differences if each.metric == metric)
        if not any(pairs):
            sides = "; ".join(side for group in found for side in _runs_with(group, metric))
            raise UsageError(
                f"metric {metric}: no two runs of equal subset and seed have it: {sides}"
            )
    return _corrected(found, metrics)


def _runs_with(comparison: Comparison, metric: str) -> Iterator[str]:
    """Which runs of each side have a metric: `erm has subset 0 (seeds 0-2)`."""
    runs = comparison.board.runs
    known = runs[runs[metric].notna()] if metric in runs.columns else runs[:0]
    for side in comparison.sides:
        of_subsets = known[known["method"] == side].groupby("subset")["seed"]
        listed = [
            f"subset {subset} (seeds {span(tuple(sorted(map(int, seeds))))})"
            for subset, seeds in of_subsets
        ]
        yield f"{side} on {comparison.board.split} has {', '.join(listed) or 'no run with it'}"


def _chosen(against: str | None, groups: Iterable[Sides]) -> str:
    names = {name for sides in groups for name in sides}
    if against is not None:
        if against not in names:
            raise unknown("method of these records", against, names)
        return against
    plain = [name for name in sorted(names) if "[" not in name]
    if PLAIN in names or len(plain) == 1:
        return PLAIN if PLAIN in names else plain[0]
    raise UsageError(f"say what to compare with: --against, one of {', '.join(sorted(names))}")


def _comparison(
    protocol: str, split: str, sides: Sides, against: str, metrics: Sequence[str]
) -> Comparison:
    runs = runs_table(sides)
    _check_images(sides, against, split)
    there = [metric for metric in metrics if metric in runs.columns and runs[metric].notna().any()]
    rows = [_means(name, runs[runs["method"] == name], there) for name in sides]
    board = Board(protocol, split, runs, pd.DataFrame(rows))
    found = [each for metric in there for each in differences_to_one(runs, against, metric)]
    return Comparison(board, against, sides, tuple(found))


def runs_table(sides: Mapping[str, Sequence[StoredRun]]) -> pd.DataFrame:
    """One row a run, with the columns of a leaderboard's rows; `method` is the side's name."""
    rows = [row_of(run.record) | {"method": name} for name, runs in sides.items() for run in runs]
    return with_numbers(rows, "records")


def _means(name: str, runs: pd.DataFrame, metrics: Sequence[str]) -> dict[str, object]:
    row: dict[str, object] = {"method": name, "n": len(runs)}
    for metric in metrics:
        row |= spread_of(metric, runs[metric].tolist())
    return row


def _check_images(sides: Sides, against: str, split: str) -> None:
    """Runs of a subset are paired: they have to be of the same images, as far as both say."""
    there: dict[tuple[int, str], str] = {}
    for run in sides[against]:
        for what, digest in _images(run.record).items():
            there.setdefault((run.record.subset, what), digest)
    for name, runs in sides.items():
        for run in runs:
            subset = run.record.subset
            for what, digest in _images(run.record).items():
                if there.get((subset, what), digest) != digest:
                    raise UsageError(
                        f"{run.folder}: subset {subset} of {split} has other {what} than that of "
                        f"{against}; {name} cannot be compared with it"
                    )


def _images(record: Record) -> dict[str, str]:
    """The hashes that a record has of its images, by what they are of."""
    fit, test = record.data.get("fit"), record.data.get("test")
    hashes = {
        "images": record.index_sha256,
        "training images": fit and fit.sha256,
        "test images": test and test.sha256,
        "images or labels": record.data_sha256,
    }
    return {what: digest for what, digest in hashes.items() if digest}


def _corrected(comparisons: Sequence[Comparison], metrics: Sequence[str]) -> list[Comparison]:
    """The comparisons with p after Holm's correction over all tests of each metric."""
    corrected: dict[tuple[int, str, str], Difference] = {}
    for metric in metrics:
        tests = {
            (number, metric, each.method): each
            for number, group in enumerate(comparisons)
            for each in group.differences
            if each.metric == metric
        }
        corrected |= dict(zip(tests, holm_corrected(list(tests.values())), strict=True))
    return [
        replace(
            group,
            differences=tuple(
                corrected[number, each.metric, each.method] for each in group.differences
            ),
        )
        for number, group in enumerate(comparisons)
    ]
