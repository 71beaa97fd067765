"""The hierarchical bootstrap: how far a number over splits depends on what happened to be drawn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

DRAWS = 10_000
"""Of the bootstrap; a further digit of its intervals would need a hundred times as many."""

DECIMALS = 9
"""Means that differ by less are equal: rows have six decimals, and sums round in their own way."""


class Interval(NamedTuple):
    """A number over splits with its 95 % interval."""

    value: float
    low: float
    high: float


def split_means(values: Sequence[Sequence[Floats]]) -> Floats:
    """Means [splits, columns] of values[split][subset] [seeds, columns].

    Each subset of a split counts the same, however many seeds it has.
    """
    means = [np.mean([runs.mean(axis=0) for runs in subsets], axis=0) for subsets in values]
    return np.asarray(np.round(np.stack(means), DECIMALS), dtype=np.float64)


def resampled_means(
    values: Sequence[Sequence[Floats]], draws: int = DRAWS, seed: int = 0
) -> Floats:
    """Means [draws, splits, columns] of resampled splits, as `split_means` has them.

    For each draw, splits are drawn with replacement, as many as there are; from each its subsets,
    with replacement; from each of those its seeds, with replacement (Saravanan, Berman and Sober,
    "Application of the hierarchical bootstrap to multi-level data in neuroscience", NBDT 3(5),
    2020). A seed is drawn for all columns at once, so methods stay paired. The same values give
    the same draws.

    Parameters
    ----------
    values
        values[split][subset] are those of its runs [seeds, columns].
    """
    generator = np.random.default_rng(seed)
    chosen = generator.integers(len(values), size=(draws, len(values)))
    means = np.empty((*chosen.shape, values[0][0].shape[1]))
    for split, subsets in enumerate(values):
        taken = chosen == split
        means[taken] = _within(subsets, int(taken.sum()), generator)
    rounded: Floats = means.round(DECIMALS)
    return rounded


def _within(subsets: Sequence[Floats], draws: int, generator: np.random.Generator) -> Floats:
    """Means [draws, columns] of resampled subsets and seeds of one split."""
    total = np.zeros((draws, subsets[0].shape[1]))
    for _ in subsets:
        chosen = generator.integers(len(subsets), size=draws)
        for subset, runs in enumerate(subsets):
            taken = np.flatnonzero(chosen == subset)
            counts = generator.multinomial(len(runs), np.full(len(runs), 1 / len(runs)), len(taken))
            total[taken] += counts @ runs / len(runs)
    return total / len(subsets)


def interval(value: float, resampled: Floats) -> Interval:
    """A number with the 2.5 and 97.5 percentiles of what resampling gives [draws]."""
    low, high = np.quantile(resampled, [0.025, 0.975], method="inverted_cdf")
    return Interval(value, float(low), float(high))
