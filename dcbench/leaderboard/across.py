"""Methods compared across splits: mean ranks, wins, and which are significantly different.

What is compared is a block without a gap: of each split the runs (subset and seed) that all of its
methods have. Which methods and splits are in it is part of the result.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import NamedTuple

import numpy as np
import pandas as pd

from dcbench.leaderboard.boards import Board
from dcbench.leaderboard.hierarchical import (
    DECIMALS,
    Floats,
    Interval,
    interval,
    resampled_means,
    split_means,
)
from dcbench.leaderboard.ranks import LEVEL, holm
from dcbench.leaderboard.tracks import DEFAULT

FEWEST = 5
"""Splits below which nothing is said: no test over them could be significant."""

WEAK_BELOW = 10
"""Splits below which all that is said is called weak."""

REFERENCE = "erm"
"""What wins, differences and costs are relative to."""

_METRICS = ["accuracy", "ece15"]


@dataclass(frozen=True)
class Block:
    """What is compared: each of the methods has every one of the runs.

    Attributes
    ----------
    runs : dict
        By split, the subsets and seeds that all of the methods have.
    other_splits, other_methods : tuple of str
        What has rows and is left out.
    """

    protocol: str
    runs: dict[str, tuple[tuple[int, int], ...]]
    methods: tuple[str, ...]
    other_splits: tuple[str, ...] = ()
    other_methods: tuple[str, ...] = ()

    @property
    def splits(self) -> tuple[str, ...]:
        """The splits, by name."""
        return tuple(self.runs)

    @property
    def enough(self) -> bool:
        """Whether there are splits enough to say anything."""
        return len(self.runs) >= FEWEST

    @property
    def weak(self) -> bool:
        """Whether there are so few splits that one of them may decide."""
        return len(self.runs) < WEAK_BELOW

    @property
    def tests(self) -> int:
        """Pairs of methods."""
        return len(self.methods) * (len(self.methods) - 1) // 2

    @property
    def least_p(self) -> float:
        """The smallest p that these splits can give after correction: one method wins on all."""
        return min(1.0, self.tests * 2.0 ** (1 - len(self.runs)))


class StandingAcross(NamedTuple):
    """A method over all splits of a block.

    Attributes
    ----------
    mean_rank : Interval
        Mean over splits of the rank by mean accuracy; methods of equal accuracy share its mean.
    wins : Interval or None
        Share of splits with a larger mean accuracy than the reference's; an equal one counts half.
    accuracy, ece : Interval or None
        Mean over splits of the difference to the reference, in [-1, 1].
        All three are None for the reference itself, and where the block lacks it.
    flops : float or None
        Median over splits of the FLOPs of a training divided by the reference's on that split.
    flops_splits : int
        How many splits have both.
    tied : tuple of str
        Methods that are not significantly different.
    """

    method: str
    mean_rank: Interval
    wins: Interval | None
    accuracy: Interval | None
    ece: Interval | None
    flops: float | None
    flops_splits: int
    tied: tuple[str, ...]


@dataclass(frozen=True)
class Across:
    """Methods across splits, by mean rank; `standings` is empty where splits are too few.

    Attributes
    ----------
    p : dict
        Of each pair of methods, after Holm's correction over all pairs.
    friedman_p : float or None
        Friedman's test that all methods rank alike; None for fewer than three.
    """

    block: Block
    standings: tuple[StandingAcross, ...] = ()
    p: dict[frozenset[str], float] = field(default_factory=dict)
    friedman_p: float | None = None

    @property
    def has_reference(self) -> bool:
        """Whether the reference is among the methods."""
        return REFERENCE in self.block.methods


def compare_across(boards: Sequence[Board]) -> Across:
    """Compare methods across the splits of one protocol, on the default track.

    What was tuned was tuned for a split, and is another method on each.

    Ranks follow Demšar, "Statistical comparisons of classifiers over multiple data sets", JMLR 7,
    2006. Two methods are compared by Wilcoxon's signed-rank test on the mean accuracies of the
    splits, with Holm's correction over all pairs: unlike a test on mean ranks, it does not depend
    on which other methods there are (Benavoli, Corani and Mangili, "Should we really use post-hoc
    tests based on mean-ranks?", JMLR 17, 2016). Intervals: see `hierarchical.resampled_means`.

    Parameters
    ----------
    boards
        Of one protocol, a split each.
    """
    boards = [board for board in boards if board.track == DEFAULT]
    block = choose_block(boards)
    if not block.enough:
        return Across(block)
    runs = {board.split: board.runs for board in boards}
    values = [_of_split(runs[split], block, split) for split in block.splits]
    accuracies = split_means(values)[:, : len(block.methods)]
    p = pairwise_p(pd.DataFrame(accuracies, columns=block.methods))
    return Across(
        block,
        tuple(_standings(block, values, runs, p)),
        p,
        _friedman_p(accuracies),
    )


def choose_block(boards: Sequence[Board]) -> Block:
    """The splits and methods to compare: all splits, and the methods that have rows on each.

    While these are fewer than two, the split with the fewest methods is left out; so is a split on
    which they have no run in common.
    """
    tables = {board.split: _accuracies(board) for board in boards}
    splits = sorted(split for split, table in tables.items() if len(table))
    methods: list[str] = []
    while splits:
        methods = sorted(set.intersection(*(set(tables[split].columns) for split in splits)))
        lacking = [split for split in splits if tables[split][methods].dropna().empty]
        if len(methods) > 1 and not lacking:
            break
        worst = lacking if len(methods) > 1 else splits
        splits.remove(min(worst, key=lambda split: (len(tables[split].columns), split)))
    runs = {
        split: tuple(
            (int(subset), int(seed)) for subset, seed in tables[split][methods].dropna().index
        )
        for split in splits
    }
    everything = {method for table in tables.values() for method in table.columns}
    return Block(
        boards[0].protocol if boards else "",
        runs,
        tuple(methods) if splits else (),
        tuple(sorted(set(tables) - set(splits))),
        tuple(sorted(everything - set(methods if splits else ()))),
    )


def _accuracies(board: Board) -> pd.DataFrame:
    """Accuracies: one row a run, one column a method that has any."""
    table = board.runs.pivot(index=["subset", "seed"], columns="method", values="accuracy")
    return table.dropna(axis="columns", how="all")


def _of_split(runs: pd.DataFrame, block: Block, split: str) -> list[Floats]:
    """Values of the runs of a split by subset: [seeds, metrics x methods], NaN where one lacks."""
    asked = pd.MultiIndex.from_tuples(block.runs[split], names=["subset", "seed"])
    wide = runs.pivot(index=["subset", "seed"], columns="method", values=_METRICS).loc[asked]
    columns = [(metric, method) for metric in _METRICS for method in block.methods]
    return [own[columns].to_numpy(np.float64) for _, own in wide.groupby(level="subset")]


class _Sampled(NamedTuple):
    """Means [splits, columns] and their resamples [draws, splits, columns]; accuracies first."""

    means: Floats
    drawn: Floats

    def differences(self, column: int, base: int) -> tuple[Floats, Floats]:
        """A column minus another one."""
        return (
            self.means[:, column] - self.means[:, base],
            self.drawn[..., column] - self.drawn[..., base],
        )

    def difference(self, column: int, base: int) -> Interval | None:
        """Mean over splits of a column minus another one; None where a value is lacking."""
        here, there = self.differences(column, base)
        return None if np.isnan(here).any() else interval(float(here.mean()), there.mean(axis=-1))

    def wins(self, column: int, base: int) -> Interval:
        """Share of splits on which a column is larger than another one; an equal one is half."""
        here, there = ((np.sign(each) + 1) / 2 for each in self.differences(column, base))
        return interval(float(here.mean()), there.mean(axis=-1))


def _standings(
    block: Block,
    values: Sequence[Sequence[Floats]],
    runs: dict[str, pd.DataFrame],
    p: dict[frozenset[str], float],
) -> list[StandingAcross]:
    """All methods, by mean rank."""
    count = len(block.methods)
    sampled = _Sampled(split_means(values), resampled_means(values))
    ranks, drawn = (_mean_ranks(each[..., :count]) for each in sampled)
    known = REFERENCE in block.methods
    reference = block.methods.index(REFERENCE) if known else 0
    flops = _relative_flops(block, runs) if known else {}
    found = []
    for column, method in enumerate(block.methods):
        beside = known and method != REFERENCE
        others = (other for other in block.methods if other != method)
        found.append(
            StandingAcross(
                method,
                interval(float(ranks[column]), drawn[:, column]),
                sampled.wins(column, reference) if beside else None,
                sampled.difference(column, reference) if beside else None,
                sampled.difference(count + column, count + reference) if beside else None,
                float(np.median(flops[method])) if flops.get(method) else None,
                len(flops.get(method, ())),
                tuple(other for other in others if p[frozenset((method, other))] >= LEVEL),
            )
        )
    return sorted(found, key=lambda each: (each.mean_rank.value, each.method))


def _mean_ranks(accuracies: Floats) -> Floats:
    """Mean ranks [..., methods] of accuracies [..., splits, methods]; 1 is the best."""
    from scipy.stats import rankdata  # in here: other tables need no ranks

    return np.asarray(rankdata(-accuracies, axis=-1).mean(axis=-2), dtype=np.float64)


def _relative_flops(block: Block, runs: dict[str, pd.DataFrame]) -> dict[str, list[float]]:
    """FLOPs of each method divided by the reference's, of each split where both are known."""
    found: dict[str, list[float]] = {method: [] for method in block.methods}
    for split in block.splits:
        table = runs[split]
        if "model_flops" not in table.columns:
            continue
        flops = table.groupby("method")["model_flops"].median()
        for method, ratios in found.items():
            ratio = float(flops[method] / flops[REFERENCE])
            if np.isfinite(ratio):
                ratios.append(ratio)
    return found


def pairwise_p(accuracies: pd.DataFrame) -> dict[frozenset[str], float]:
    """Wilcoxon's signed-rank p of every pair of methods, with Holm's correction over all pairs.

    Parameters
    ----------
    accuracies
        Means: one row a split, one column a method, without a gap.
    """
    pairs = list(combinations(accuracies.columns, 2))
    p = [_signed_rank_p((accuracies[one] - accuracies[other]).tolist()) for one, other in pairs]
    return {frozenset(pair): float(each) for pair, each in zip(pairs, holm(p), strict=True)}


def _signed_rank_p(differences: Iterable[float]) -> float:
    """Two-sided p of Wilcoxon's signed-rank test, without differences of zero; of none, 1."""
    from scipy.stats import wilcoxon

    signed = [each for each in np.round(list(differences), DECIMALS) if each]
    return float(wilcoxon(signed).pvalue) if signed else 1.0


def _friedman_p(accuracies: Floats) -> float | None:
    """The p of Friedman's test for accuracies [splits, methods]; 1 where all methods are equal."""
    from scipy.stats import friedmanchisquare

    if accuracies.shape[1] < 3:
        return None
    if (accuracies == accuracies[:, :1]).all():
        return 1.0
    return float(friedmanchisquare(*accuracies.T).pvalue)
