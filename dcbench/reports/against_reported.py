"""What was measured beside what papers report, for the tables that protocol v1 reproduces."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import pandas as pd

from dcbench.leaderboard.summary import half_width_95
from dcbench.reports.reported import Reported


@dataclass(frozen=True)
class Comparison:
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
        """Whether the interval of the measured mean holds the reported number; None: no saying."""
        if math.isnan(self.difference) or math.isnan(self.half_width):
            return None
        return abs(self.difference) <= self.half_width


def side_by_side(
    reported: Iterable[Reported], runs: Mapping[str, pd.DataFrame]
) -> list[Comparison]:
    """Every number of the poster's tables with the runs of the same split, subsets and method.

    Parameters
    ----------
    runs
        By split, the rows of a leaderboard as numbers.
    """
    return [_compared(each, runs.get(each.split)) for each in reported if each.of_the_poster]


def _compared(reported: Reported, runs: pd.DataFrame | None) -> Comparison:
    if runs is None:
        return Comparison(reported, 0, math.nan, math.nan)
    chosen = runs["method"] == reported.method
    if reported.subsets:
        chosen &= runs["subset"].isin(reported.subsets)
    values = runs.loc[chosen, reported.metric].tolist()
    mean = math.fsum(values) / len(values) if values else math.nan
    return Comparison(reported, len(values), mean, half_width_95(values))


def comparison_rows(comparisons: Iterable[Comparison]) -> tuple[list[str], list[list[str]]]:
    """For people: percent, and whether the interval holds what is reported."""
    columns = ["split", "method", "runs", "measured %", "reported %", "difference", "covered"]
    return columns, [
        [
            each.reported.split,
            each.reported.method,
            str(each.n or "none yet"),
            _percent(each.mean, each.half_width),
            "unclear" if each.reported.value is None else f"{100 * each.reported.value:.2f}",
            "–" if math.isnan(each.difference) else f"{100 * each.difference:+.2f}",
            {True: "yes", False: "no", None: "–"}[each.covered],
        ]
        for each in comparisons
    ]


def _percent(mean: float, half_width: float) -> str:
    if math.isnan(mean):
        return "–"
    interval = "" if math.isnan(half_width) else f" ± {100 * half_width:.2f}"
    return f"{100 * mean:.2f}{interval}"
