"""Two methods compared run by run: equal subset and seed, so equal draws of everything."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import pandas as pd

from dcbench.errors import UsageError, unknown
from dcbench.leaderboard.boards import Board
from dcbench.leaderboard.ranks import LEVEL, holm, paired_p, pairwise
from dcbench.leaderboard.summary import half_width_95
from dcbench.metrics.table import metric_of


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
        After Holm's correction over the tests that it is shown with; None where it is none of them.
    no_test : str or None
        Why it is none of them: `provisional`, `erm is provisional`, `too few pairs`.
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
    no_test: str | None = None

    @property
    def significant(self) -> bool | None:
        """Whether the corrected p lies below the level; None where there is no test."""
        return None if self.p_holm is None else self.p_holm < LEVEL


def paired_difference(
    values: pd.DataFrame, method: str, against: str, metric: str = "accuracy"
) -> Difference | None:
    """The difference of two methods over the runs of equal subset and seed.

    Parameters
    ----------
    values
        Of the metric, as `values_by_method` gives them.

    Returns
    -------
    Difference or None
        None where one of the methods has no run, or no run is of both.
    """
    if method not in values or against not in values:
        return None
    differences = (values[method] - values[against]).dropna().tolist()
    return _of_pairs(differences, method, against, metric) if differences else None


def _of_pairs(differences: Sequence[float], method: str, against: str, metric: str) -> Difference:
    mean = math.fsum(differences) / len(differences) if differences else math.nan
    half = half_width_95(differences)
    return Difference(
        method=method,
        against=against,
        metric=metric,
        n=len(differences),
        mean=mean,
        sd=float(pd.Series(differences, dtype=float).std(ddof=1)),
        low=mean - half,
        high=mean + half,
        p=float(paired_p(differences)) if differences else math.nan,
    )


def differences_to(
    board: Board, against: str, metric: str = "accuracy"
) -> dict[str, list[Difference]]:
    """The difference of every other method to one, over subset 0 and over all subsets.

    p is corrected over all pairs of the methods that are ranked there and lack no run's metric.
    Methods that share no run with `against` are left out.

    Returns
    -------
    dict
        By `subsets` of the summary: `0`, and `all` where there are others.

    Raises
    ------
    UsageError
        An unknown method or metric, or a metric that no run has.
    """
    runs = board.runs
    if against not in set(runs["method"]):
        raise unknown("method of this leaderboard", against, set(runs["method"]))
    if metric in runs.columns and runs[metric].isna().all():
        raise UsageError(f"metric {metric}: no run of {board.split} has it")
    found = {}
    for subsets, rows in board.summary.groupby("subsets", sort=True):
        chosen = runs[runs["subset"] == 0] if subsets == "0" else runs
        ranked = set(rows.loc[rows["rank"].notna(), "method"])
        found[str(subsets)] = _differences_within(chosen, ranked, against, metric)
    return found


def _differences_within(
    runs: pd.DataFrame, ranked: set[str], against: str, metric: str
) -> list[Difference]:
    values = values_by_method(runs, metric)
    whole = [str(name) for name in values if name in ranked and values[name].notna().all()]
    corrected = pairwise(values.loc[:, whole])[against].to_dict() if against in whole else {}

    def tested(each: Difference) -> Difference:
        if each.method in corrected:
            return replace(each, p_holm=corrected[each.method])
        if each.method not in ranked:
            return replace(each, no_test="provisional")
        if against not in ranked:
            return replace(each, no_test=f"{against} is provisional")
        lacking = against if against not in whole else each.method
        return replace(each, no_test=f"a run of {lacking} lacks {metric}")

    return [tested(each) for each in _differences_from(values, against, metric) if each.n]


def differences_to_one(runs: pd.DataFrame, against: str, metric: str) -> list[Difference]:
    """The difference of every other method to one, also of no pair; p is not corrected."""
    return list(_differences_from(values_by_method(runs, metric), against, metric))


def _differences_from(values: pd.DataFrame, against: str, metric: str) -> Iterator[Difference]:
    if against not in values:
        return
    for method in map(str, values):
        if method != against:
            differences = (values[method] - values[against]).dropna().tolist()
            yield _of_pairs(differences, method, against, metric)


def holm_corrected(differences: Sequence[Difference]) -> list[Difference]:
    """The differences with p after Holm's correction over those of two pairs or more."""
    tests = [number for number, each in enumerate(differences) if each.n > 1]
    corrected = dict(zip(tests, holm([differences[number].p for number in tests]), strict=True))
    return [
        replace(each, p_holm=float(corrected[number]))
        if number in corrected
        else replace(each, no_test="too few pairs" if each.n else "no pairs")
        for number, each in enumerate(differences)
    ]


def values_by_method(runs: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Values of a metric: one row a subset and seed, one column a method.

    Raises
    ------
    UsageError
        An unknown metric, such as a cost, or one that the runs lack.
    """
    if metric_of(metric).key not in runs.columns:
        raise UsageError(f"metric {metric}: no run has it")
    return runs.pivot(index=["subset", "seed"], columns="method", values=metric)
