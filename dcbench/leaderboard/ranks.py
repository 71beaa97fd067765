"""Which methods are significantly different: paired tests, Holm's correction, ranks with ties."""

from __future__ import annotations

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


def pairwise(values: pd.DataFrame) -> pd.DataFrame:
    """Corrected p of every pair of methods [methods, methods]; 1 on the diagonal.

    Parameters
    ----------
    values
        One row a run, one column a method, without a gap.
    """
    table = np.ascontiguousarray(values.to_numpy().T)
    p = np.ones((len(table), len(table)))
    # Method by method: the differences of all pairs at once take many times the room of the runs.
    raw = [paired_p(one - table[index + 1 :]) for index, one in enumerate(table[:-1])]
    if raw:
        upper = np.triu_indices(len(table), 1)
        p[upper] = p.T[upper] = holm(np.concatenate(raw))
    return pd.DataFrame(p, index=values.columns, columns=values.columns)


class Standing(NamedTuple):
    """A rank, and the methods that share it and are not significantly different from this one."""

    rank: int
    tied: tuple[str, ...]


def standings(values: pd.DataFrame) -> dict[str, Standing]:
    """Ranks by mean, largest first; ties are methods not significantly different from the best.

    The rest is ranked in the same way, from 1 + the number of methods before. Parameters as for
    `pairwise`; methods are in the order of their ranks, then of their means.
    """
    ordered = values.mean().sort_index().sort_values(ascending=False, kind="stable").index
    alike = (pairwise(values[ordered]) >= LEVEL).to_numpy()
    methods, rest = ordered.tolist(), np.arange(len(ordered))
    found: dict[str, Standing] = {}
    while len(rest):
        tied_with_best = alike[rest[0], rest]
        group, rank = rest[tied_with_best], len(found) + 1
        for method in group:
            others = group[alike[method, group] & (group != method)]
            found[methods[method]] = Standing(rank, tuple(methods[other] for other in others))
        rest = rest[~tied_with_best]
    return found
