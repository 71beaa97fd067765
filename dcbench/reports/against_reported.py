"""What was measured beside what papers report, for the tables that protocol v1 reproduces.

In a Markdown page a comment asks for the table of what one protocol has measured:

    <!-- reported: v1 -->
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from dcbench.config.protocol import load_protocol
from dcbench.errors import UsageError
from dcbench.leaderboard.boards import Board
from dcbench.leaderboard.summary import half_width_95
from dcbench.leaderboard.tracks import DEFAULT
from dcbench.metrics.metric import Metric
from dcbench.metrics.table import find_metric
from dcbench.reports.absent import values_of
from dcbench.reports.markdown_tables import name_text, table_lines
from dcbench.reports.reported import Reported, load_reported
from dcbench.reports.terminal import with_minus

BEGIN = "<!-- reported:"
"""What a comment that asks for a table begins with."""

_MARK = re.compile(rf"{BEGIN} (\S+) -->")


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


def measured_by(boards: Iterable[Board], protocol: str) -> dict[str, pd.DataFrame]:
    """By split, the runs of a protocol that no settings were searched for."""
    return {
        board.split: board.runs
        for board in boards
        if (board.protocol, board.track) == (protocol, DEFAULT)
    }


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


def reported_lines(mark: str, boards: Sequence[Board]) -> Iterator[str]:
    """The lines of the table that a comment asks for: every number with a run, then how many lack.

    Raises
    ------
    UsageError
        The comment cannot be read, or names an unknown protocol.
    """
    asked = _MARK.fullmatch(mark)
    if asked is None:
        raise UsageError(f"write {BEGIN} PROTOCOL -->")
    found = side_by_side(load_reported(), measured_by(boards, load_protocol(asked[1]).name))
    titles, rows = comparison_rows(each for each in found if each.n)
    cells = [[*map(name_text, row[:2]), *map(with_minus, row[2:])] for row in rows]
    lacking = len(found) - len(rows)
    if lacking:
        cells.append([f"no run yet of {lacking} of the {len(found)} numbers"])
    return table_lines(titles, cells)


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
    return f"{metric.shown(difference):+z.{max(metric.decimals, 2)}f}"
