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
    titled_figure,
)
from dcbench.reports.figures.palette import sorted_methods, styles_of
from dcbench.reports.figures.spread import mean_and_half, percent_texts, sentence_of

_NOTE = (
    "Large mark: mean over runs of subset 0; bar: its 95 % interval (Student's t); dots: single "
    "runs; at the right: runs out of those that the protocol requires."
)
_MOST_COLUMNS = 2
_SHORTEST = 3
"""Rows of methods that the shortest panel is as high as."""

[_ACCURACY] = metrics_of(["accuracy"])


def draw_accuracy(boards: Sequence[Board]) -> TitledFigure:
    """Mean accuracy, its interval and every run, for one split or several of a protocol.

    A panel has a row for each method with an accuracy there; those with most stand first.
    """
    measured = {board.split: _measured(board) for board in boards}
    ordered = sorted(boards, key=lambda board: -len(measured[board.split]))
    columns, width = columns_and_width(len(boards), _MOST_COLUMNS)
    rows = num_rows(len(boards), columns)
    heights = [max(len(measured[board.split]), _SHORTEST) for board in ordered[::columns]]
    where = "by split" if columns > 1 else f"on {boards[0].split}"
    titled = titled_figure(
        f"Test {_ACCURACY.title.lower()} {where} ({boards[0].protocol})",
        _NOTE,
        (width, sum(0.6 + 0.17 * methods for methods in heights)),
        values=" ".join(
            sentence_of(f"Accuracy in percent on {board.split}", texts)
            for board in boards
            if (texts := percent_texts(board.runs, _ACCURACY.key))
        ),
    )
    grid = titled.figure.add_gridspec(rows, columns, height_ratios=heights)
    for place, board in enumerate(ordered):
        row, column = divmod(place, columns)
        methods = measured[board.split]
        below = heights[row] - max(len(methods), _SHORTEST)
        cell = grid[row, column]
        if below:
            # As high as its methods need: a row has the same height in every panel.
            cell = cell.subgridspec(2, 1, height_ratios=[heights[row] - below, below])[0]
        axes = titled.figure.add_subplot(cell)
        _panel(axes, board, methods)
        if columns > 1:
            axes.set_title(board.split)
    return titled


def _measured(board: Board) -> list[str]:
    """The methods that have an accuracy, in order."""
    return sorted_methods(board.runs.dropna(subset=[_ACCURACY.key])["method"])


def _panel(axes: Axes, board: Board, methods: Sequence[str]) -> None:
    required = board.summary.query("subsets == '0'").set_index("method")["asked"]
    beside(axes, -0.9, "runs")
    for row, (method, style) in enumerate(styles_of(methods).items()):
        own = board.runs[board.runs["method"] == method]
        values = 100 * np.array(values_of(own, _ACCURACY.key))
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
