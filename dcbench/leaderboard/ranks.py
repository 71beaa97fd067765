"""Which methods are significantly different: paired tests, Holm's correction, ranks with ties."""

from __future__ import annotations

from itertools import combinations
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

Floats = npt.NDArray[np.float64]

LEVEL = 0.05
"""Methods whose corrected p lies below it are significantly different."""


def paired_p(differences: npt.ArrayLike) -> Floats:
    """Two-sided p of a paired t-test for differences [..., runs]; 1 for less than two runs.

    Differences that are all equal have no spread: p is 1 where they are zero, else 0.
    """
    from scipy.special import stdtr  # in here: showing a table needs no test

    values = np.asarray(differences, dtype=np.float64)
    n = values.shape[-1]
    if n < 2:
        return np.ones(values.shape[:-1])
    mean, error = values.mean(axis=-1), values.std(axis=-1, ddof=1) / np.sqrt(n)
    equal = np.ptp(values, axis=-1) == 0
    t = mean / np.where(equal, 1.0, error)
    p = 2 * stdtr(n - 1, -np.abs(t))
    return np.where(equal, np.where(values[..., 0] == 0, 1.0, 0.0), p)


def holm(p: npt.ArrayLike) -> Floats:
    """Step-down correction of p values [tests] (Holm, Scand. J. Statist. 6, 1979)."""
    values = np.asarray(p, dtype=np.float64)
    order = np.argsort(values, kind="stable")
    stepped = values[order] * np.arange(len(values), 0, -1)
    corrected = np.empty_like(values)
    corrected[order] = np.minimum(np.maximum.accumulate(stepped), 1.0)
    return corrected


def pairwise(values: pd.DataFrame) -> dict[frozenset[str], float]:
    """Corrected p of every pair of methods, over all pairs.

    Parameters
    ----------
    values
        One row a run, one column a method, without a gap.
    """
    pairs = list(combinations(values.columns, 2))
    if not pairs:
        return {}
    table = values.to_numpy().T
    rows = {method: row for row, method in enumerate(values.columns)}
    differences = np.stack([table[rows[one]] - table[rows[other]] for one, other in pairs])
    corrected = holm(paired_p(differences))
    return {frozenset(pair): float(p) for pair, p in zip(pairs, corrected, strict=True)}


class Standing(NamedTuple):
    """A rank, and the methods that share it and are not significantly different from this one."""

    rank: int
    tied: tuple[str, ...]


def standings(values: pd.DataFrame) -> dict[str, Standing]:
    """Ranks by mean, largest first; ties are methods not significantly different from the best.

    The rest is ranked in the same way, from 1 + the number of methods before. Parameters as for
    `pairwise`; methods are in the order of their ranks, then of their means.
    """
    p = pairwise(values)
    rest = values.mean().sort_index().sort_values(ascending=False, kind="stable").index.tolist()
    found: dict[str, Standing] = {}
    while rest:
        best = rest[0]
        group = [best, *(other for other in rest[1:] if p[frozenset((best, other))] >= LEVEL)]
        rank = len(found) + 1
        for method in group:
            others = (other for other in group if other != method)
            tied = tuple(other for other in others if p[frozenset((method, other))] >= LEVEL)
            found[method] = Standing(rank, tied)
        rest = [method for method in rest if method not in found]
    return found
