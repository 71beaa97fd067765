"""Accuracy of each method with its interval, one panel a split."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from dcbench.leaderboard.boards import Board
from dcbench.metrics.table import metrics_of
from dcbench.reports.absent import values_of
from dcbench.reports.figures.layout import (
    TitledFigure,
    beside,
    columns_and_width,
    num_rows,
    panel_grid,
    titled_figure,
)
from dcbench.reports.figures.palette import sorted_methods, styles_of
from dcbench.reports.figures.spread import mean_and_half, percent_texts, sentence_of

_NOTE = (
    "Large mark: mean over runs of subset 0; bar: its 95 % interval (Student's t); dots: single "
    "runs; at the right: runs out of those that the protocol requires."
)
_MOST_COLUMNS = 3
[_ACCURACY] = metrics_of(["accuracy"])


def draw_accuracy(boards: Sequence[Board]) -> TitledFigure:
    """Mean accuracy, its interval and every run, for one split or several of a protocol."""
    methods = sorted_methods(method for board in boards for method in board.runs["method"])
    columns, width = columns_and_width(len(boards), _MOST_COLUMNS)
    height = num_rows(len(boards), columns) * (0.6 + 0.17 * len(methods))
    where = "by split" if columns > 1 else f"on {boards[0].split}"
    titled = titled_figure(
        f"Test {_ACCURACY.title.lower()} {where} ({boards[0].protocol})",
        _NOTE,
        (width, height),
        values=" ".join(
            sentence_of(f"Accuracy in percent on {board.split}", texts)
            for board in boards
            if (texts := percent_texts(board.runs, _ACCURACY.key))
        ),
    )
    panels = panel_grid(titled.figure, len(boards), columns, sharey=True)
    for axes, board in zip(panels, boards, strict=True):
        _panel(axes, board, methods)
        if columns > 1:
            axes.set_title(board.split)
    return titled


def _panel(axes: Axes, board: Board, methods: Sequence[str]) -> None:
    required = board.summary.query("subsets == '0'").set_index("method")["asked"]
    beside(axes, -0.9, "runs")
    for row, (method, style) in enumerate(styles_of(methods).items()):
        own = board.runs[board.runs["method"] == method]
        values = 100 * np.array(values_of(own, _ACCURACY.key))
        if not len(values):
            continue
        mean, half = mean_and_half(values)
        marks = style.line_kwargs() | {"linestyle": "none"}
        axes.plot(values, np.full(len(values), row + 0.28), ".", color="0.6", markersize=2.5)
        axes.errorbar(mean, row, xerr=half or None, capsize=2, elinewidth=1, **marks)
        beside(axes, row, f"{len(values)}/{required[method]}")
    axes.set_yticks(range(len(methods)), methods)
    axes.set_ylim(len(methods) - 0.4, -0.6)
    axes.set_xlabel(_ACCURACY.paper_title)
    axes.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
    axes.grid(axis="y", visible=False)
    sns.despine(ax=axes, left=True)
    axes.tick_params(axis="y", length=0)
