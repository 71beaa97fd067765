"""Two methods compared run by run: equal subset and seed, so equal draws of everything."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import pandas as pd

from dcbench.errors import UsageError, unknown
from dcbench.leaderboard.ranks import paired_p, pairwise
from dcbench.leaderboard.summary import half_width_95


@dataclass(frozen=True)
class Difference:
    """A metric of `method` minus that of `against`, over the runs that both have.

    Attributes
    ----------
    n : int
        Number of pairs.
    mean, sd, low, high : float
        Of the differences; `low` to `high` is the 95 % interval of their mean by Student's t. NaN
        where there are too few pairs.
    p : float
        Paired t-test, two-sided.
    p_holm : float or None
        After Holm's correction over all pairs of complete methods; None for an incomplete one.
    """

    method: str
    against: str
    metric: str
    n: int
    mean: float
    sd: float
    low: float
    high: float
    p: float
    p_holm: float | None = None


def paired_difference(
    runs: pd.DataFrame, method: str, against: str, metric: str = "accuracy"
) -> Difference:
    """The difference of two methods over the runs of equal subset and seed.

    Parameters
    ----------
    runs
        One row a run, with the columns `subset`, `method`, `seed` and the metric.

    Raises
    ------
    UsageError
        An unknown method or metric, or no run that both have.
    """
    values = _by_method(runs, metric)
    for name in (method, against):
        if name not in values:
            raise unknown("method of this leaderboard", name, map(str, values))
    both = values[method] - values[against]
    differences = both.dropna().tolist()
    if not differences:
        raise UsageError(f"{method} and {against} have no {metric} of equal subset and seed")
    mean = math.fsum(differences) / len(differences)
    half = half_width_95(differences)
    return Difference(
        method=method,
        against=against,
        metric=metric,
        n=len(differences),
        mean=mean,
        sd=float(pd.Series(differences).std(ddof=1)),
        low=mean - half,
        high=mean + half,
        p=float(paired_p(differences)),
    )


def differences_to(
    runs: pd.DataFrame, against: str, complete: Sequence[str], metric: str = "accuracy"
) -> list[Difference]:
    """The difference of every other method to one, with p corrected over all complete pairs.

    Methods that share no run with `against` are left out; errors as for `paired_difference`.
    """
    values = _by_method(runs, metric)
    if against not in values:
        raise unknown("method of this leaderboard", against, map(str, values))
    whole = [name for name in complete if name in values]
    corrected = pairwise(values[whole].dropna())
    found = []
    for method in values:
        if method == against or not (values[method] - values[against]).notna().any():
            continue
        difference = paired_difference(runs, str(method), against, metric)
        p_holm = corrected.get(frozenset((str(method), against)))
        found.append(replace(difference, p_holm=p_holm))
    return found


def _by_method(runs: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Values of a metric: one row a subset and seed, one column a method."""
    if metric not in runs.columns or not pd.api.types.is_numeric_dtype(runs[metric]):
        numbers = runs.select_dtypes("number").columns.difference(["subset", "seed"])
        raise unknown("metric", metric, numbers)
    return runs.pivot(index=["subset", "seed"], columns="method", values=metric)
