"""What was measured beside what papers report, for the tables that protocol v1 reproduces."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import pandas as pd

from dcbench.leaderboard.summary import half_width_95
from dcbench.metrics.table import Metric, find_metric
from dcbench.reports.absent import values_of
from dcbench.reports.reported import Reported


@dataclass(frozen=True)
class ReportedComparison:
    """A reported number and the runs that measure it.

    Attributes
    ----------
    n : int
        Number of runs; 0 where none has been done.
    mean, half_width : float
        Of the runs, in fractions, with half of the 95 % interval of the mean; NaN where there are
        too few runs.
    """

    reported: Reported
    n: int
    mean: float
    half_width: float

    @property
    def difference(self) -> float:
        """Measured minus reported; NaN where either is not there."""
        return self.mean - (math.nan if self.reported.value is None else self.reported.value)

    @property
    def covered(self) -> bool | None:
        """Whether the interval of the measured mean holds the reported number; None: not known."""
        if math.isnan(self.difference) or math.isnan(self.half_width):
            return None
        return abs(self.difference) <= self.half_width


def side_by_side(
    reported: Iterable[Reported], runs: Mapping[str, pd.DataFrame]
) -> list[ReportedComparison]:
    """Every number of the poster's tables with the runs of the same split, subsets and method.

    Parameters
    ----------
    runs
        By split, the rows of a leaderboard as numbers.
    """
    return [_compared(each, runs.get(each.split)) for each in reported if each.of_the_poster]


def _compared(reported: Reported, runs: pd.DataFrame | None) -> ReportedComparison:
    if runs is None:
        return ReportedComparison(reported, 0, math.nan, math.nan)
    chosen = runs["method"] == reported.method
    if reported.subsets:
        chosen &= runs["subset"].isin(reported.subsets)
    values = values_of(runs.loc[chosen], reported.metric)
    mean = math.fsum(values) / len(values) if values else math.nan
    return ReportedComparison(reported, len(values), mean, half_width_95(values))


def comparison_rows(comparisons: Iterable[ReportedComparison]) -> tuple[list[str], list[list[str]]]:
    """Column titles and rows, and whether the interval holds what is reported.

    The metric of a row is named where they are not all of accuracy.
    """
    comparisons = list(comparisons)
    accuracy_alone = all(each.reported.metric == "accuracy" for each in comparisons)
    unit = " %" if accuracy_alone else ""
    columns = ["split", "method", *([] if accuracy_alone else ["metric"])]
    columns += ["runs", f"measured{unit}", f"reported{unit}", "difference", "covered"]
    return columns, [
        [
            each.reported.split,
            each.reported.method,
            *([] if accuracy_alone else [_metric(each).column_title]),
            str(each.n or "none yet"),
            _text(_metric(each), each.mean, each.half_width),
            "unclear" if each.reported.value is None else _text(_metric(each), each.reported.value),
            "–" if math.isnan(each.difference) else _signed(_metric(each), each.difference),
            {True: "yes", False: "no", None: "–"}[each.covered],
        ]
        for each in comparisons
    ]


def _metric(comparison: ReportedComparison) -> Metric:
    metric = find_metric(comparison.reported.metric)
    assert metric is not None, "a reported number is of a metric of the table"
    return metric


def _text(metric: Metric, mean: float, half_width: float = math.nan) -> str:
    if math.isnan(mean):
        return "–"
    digits = max(metric.decimals, 2)
    interval = "" if math.isnan(half_width) else f" ± {metric.text(half_width, digits)}"
    return f"{metric.text(mean, digits)}{interval}"


def _signed(metric: Metric, difference: float) -> str:
    return f"{metric.shown(difference):+.{max(metric.decimals, 2)}f}"
