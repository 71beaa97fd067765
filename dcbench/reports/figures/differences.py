"""Paired differences of methods to one of them, one panel a metric."""

from __future__ import annotations

import numpy as np
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from dcbench.leaderboard.comparison import Comparison
from dcbench.leaderboard.statistics import Difference, values_by_method
from dcbench.metrics.metric import Metric
from dcbench.metrics.table import find_metric
from dcbench.reports.figures.layout import (
    TitledFigure,
    beside,
    columns_and_width,
    num_rows,
    panel_grid,
    titled_figure,
)
from dcbench.reports.figures.palette import GRAY, sorted_methods, styles_of
from dcbench.reports.paper import column_title
from dcbench.reports.terminal import difference_text, interval_text, p_text

_NOTE = (
    "Large mark: mean difference over runs of equal subset and seed; bar: its 95 % interval "
    "(Student's t); dots: single pairs; at the right: p of the paired t-test after Holm's "
    "correction over the methods compared."
)
_MOST_COLUMNS = 3


def draw_differences(comparison: Comparison) -> TitledFigure:
    """Mean difference of each method, its interval and every pair, one panel a metric."""
    drawn = [each for each in comparison.differences if each.n]
    keys = list(dict.fromkeys(each.metric for each in drawn))
    metrics = [metric for key in keys if (metric := find_metric(key)) is not None]
    methods = sorted_methods(each.method for each in drawn)
    columns, width = columns_and_width(len(metrics), _MOST_COLUMNS)
    titled = titled_figure(
        f"Difference to {comparison.against} on {comparison.board.split} "
        f"({comparison.board.protocol})",
        _NOTE,
        (width, num_rows(len(metrics), columns) * (0.75 + 0.17 * len(methods))),
        values=" ".join(
            f"{each.metric} of {each.method}: {difference_text(each)} ({interval_text(each)})."
            for each in drawn
        ),
    )
    panels = panel_grid(titled.figure, len(metrics), columns, sharey=True)
    for axes, metric in zip(panels, metrics, strict=True):
        _panel(axes, comparison, metric, methods)
    return titled


def _panel(axes: Axes, comparison: Comparison, metric: Metric, methods: list[str]) -> None:
    own = (each for each in comparison.differences if each.metric == metric.key)
    found = {each.method: each for each in own if each.n}
    values = values_by_method(comparison.board.runs, metric.key)
    axes.axvline(0, color=GRAY, linewidth=0.8, linestyle=":")
    beside(axes, -0.9, "p")
    for row, (method, style) in enumerate(styles_of(methods).items()):
        if method not in found:
            continue
        each = found[method]
        pairs = (values[method] - values[comparison.against]).dropna().map(metric.shown)
        axes.plot(pairs, np.full(len(pairs), row + 0.28), ".", color="0.6", markersize=2.5)
        marks = style.line_kwargs() | {"linestyle": "none"}
        half = metric.shown(each.high - each.mean) if each.n > 1 else None
        axes.errorbar(metric.shown(each.mean), row, xerr=half, capsize=2, elinewidth=1, **marks)
        beside(axes, row, _p(each))
    axes.set_yticks(range(len(methods)), methods)
    axes.set_ylim(len(methods) - 0.4, -0.6)
    axes.set_xlabel(column_title(metric))
    axes.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
    axes.grid(axis="y", visible=False)
    sns.despine(ax=axes, left=True)
    axes.tick_params(axis="y", length=0)


def _p(each: Difference) -> str:
    return "–" if each.p_holm is None else p_text(each.p_holm)
