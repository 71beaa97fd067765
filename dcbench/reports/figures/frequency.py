"""Recall of classes by how many training images they have, for long-tailed splits."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

import numpy as np
import seaborn as sns
from matplotlib.axes import Axes
from numpy.typing import NDArray

from dcbench.leaderboard.boards import Board
from dcbench.metrics.accuracy import FEW_BELOW, MANY_ABOVE
from dcbench.reports.figures.layout import (
    TitledFigure,
    columns_and_width,
    label_outside,
    num_rows,
    panel_grid,
    plain_log,
    titled_figure,
)
from dcbench.reports.figures.palette import GRAY, MethodStyle, families, legend_handles, styles_of
from dcbench.reports.figures.run_data import FloatArray, RunData
from dcbench.reports.figures.spread import interval
from dcbench.reports.figures.style import SMALL

_NOTE = (
    "Line: mean over runs of subset 0; band: its 95 % interval. Dotted: where classes with few "
    f"(fewer than {FEW_BELOW}), medium and many (more than {MANY_ABOVE}) training images part."
)
_MOST_COLUMNS = 3
_MOST_POINTS = 20


def neighbours(class_counts: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """Classes from the rarest to the most frequent, in 20 groups at most."""
    order = np.argsort(class_counts, kind="stable")
    return np.array_split(order, min(_MOST_POINTS, len(order)))


def recall_by_count(runs: Sequence[RunData]) -> tuple[FloatArray, list[FloatArray]]:
    """Mean training images of each group of classes [groups], and its recall in each run."""
    groups = neighbours(runs[0].class_counts)
    counts = np.array([runs[0].class_counts[group].mean() for group in groups])
    return counts, [np.array([run.recall[group].mean() for group in groups]) for run in runs]


def draw_frequency(board: Board, runs: Sequence[RunData]) -> TitledFigure:
    """Recall against training images of a class, one panel a family of methods."""
    styles = styles_of(run.method for run in runs)
    panels = families(styles)
    columns, width = columns_and_width(len(panels), _MOST_COLUMNS)
    grouped = len(runs[0].class_counts) > _MOST_POINTS
    groups = f" Points: {_MOST_POINTS} groups of neighbouring classes." if grouped else ""
    titled = titled_figure(
        f"Recall by class frequency on {board.heading}",
        _NOTE + groups,
        (width, 2.0 * num_rows(len(panels), columns)),
        legend_handles(styles),
    )
    every = panel_grid(titled.figure, len(panels), columns, sharex=True, sharey=True)
    for axes, methods in zip(every, panels, strict=True):
        for method in methods:
            _line(axes, [run for run in runs if run.method == method], styles[method])
        _thresholds(axes, runs[0].class_counts)
        axes.set_title(panel_title(methods, width / columns))
    label_outside(every, columns, "Training images of a class", "Recall (%)")
    return titled


def panel_title(methods: Sequence[str], width: float) -> str:
    """Every method of a panel, on as many lines as its width in inches needs."""
    return "\n".join(textwrap.wrap(", ".join(methods), int(width * 14), break_long_words=False))


def _line(axes: Axes, runs: Sequence[RunData], style: MethodStyle) -> None:
    counts, recalls = recall_by_count(runs)
    sns.lineplot(
        x=np.tile(counts, len(recalls)),
        y=100 * np.concatenate(recalls),
        errorbar=interval,
        ax=axes,
        **style.line_kwargs(),
    )


def _thresholds(axes: Axes, class_counts: NDArray[np.int64]) -> None:
    plain_log(axes)
    axes.set_ylim(0, 100)
    for count in (FEW_BELOW, MANY_ABOVE):
        if class_counts.min() <= count <= class_counts.max():
            axes.axvline(count, color=GRAY, linewidth=0.8, linestyle=":")
            axes.text(count, 99, f" {count}", va="top", size=SMALL, color=GRAY)
