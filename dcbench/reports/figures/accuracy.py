"""Accuracy of each method with its interval, one panel a split."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from dcbench.leaderboard.boards import Board
from dcbench.reports.figures.layout import Sheet, fitted, grid, rows_of, sheet
from dcbench.reports.figures.palette import GREY, in_order, looks
from dcbench.reports.figures.spread import listed, mean_and_half, percents
from dcbench.reports.figures.style import SMALL

_NOTE = (
    "Large mark: mean over runs of subset 0; bar: its 95 % interval (Student's t); dots: single "
    "runs; at the right: runs of those that the protocol asks."
)
_MOST_COLUMNS = 3


def draw_accuracy(boards: Sequence[Board]) -> Sheet:
    """Mean accuracy, its interval and every run, for one split or several of a protocol."""
    methods = in_order(method for board in boards for method in board.runs["method"])
    columns, width = fitted(len(boards), _MOST_COLUMNS)
    height = rows_of(len(boards), columns) * (0.6 + 0.17 * len(methods))
    where = "by split" if columns > 1 else f"on {boards[0].split}"
    drawn = sheet(
        f"Test accuracy {where} ({boards[0].protocol})",
        _NOTE,
        (width, height),
        values=" ".join(
            listed(f"Accuracy in percent on {board.split}", percents(board.runs, "accuracy"))
            for board in boards
        ),
    )
    panels = grid(drawn.figure, len(boards), columns, sharey=True)
    for axes, board in zip(panels, boards, strict=True):
        _panel(axes, board, methods)
        if columns > 1:
            axes.set_title(board.split)
    return drawn


def _panel(axes: Axes, board: Board, methods: Sequence[str]) -> None:
    asked = board.summary.query("subsets == '0'").set_index("method")["asked"]
    _beside(axes, -0.9, "runs")
    for place, (method, look) in enumerate(looks(methods).items()):
        values = 100 * board.runs.loc[board.runs["method"] == method, "accuracy"].to_numpy()
        if not len(values):
            continue
        mean, half = mean_and_half(values)
        marks = look.marks() | {"linestyle": "none"}
        axes.plot(values, np.full(len(values), place + 0.28), ".", color="0.6", markersize=2.5)
        axes.errorbar(mean, place, xerr=half or None, capsize=2, elinewidth=1, **marks)
        _beside(axes, place, f"{len(values)}/{asked[method]}")
    axes.set_yticks(range(len(methods)), methods)
    axes.set_ylim(len(methods) - 0.4, -0.6)
    axes.set_xlabel("Accuracy (%)")
    axes.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
    axes.grid(axis="y", visible=False)
    sns.despine(ax=axes, left=True)
    axes.tick_params(axis="y", length=0)


def _beside(axes: Axes, place: float, text: str) -> None:
    """Write at the right of a panel."""
    axes.annotate(
        text,
        (1, place),
        (2, 0),
        xycoords=axes.get_yaxis_transform(),
        textcoords="offset points",
        va="center",
        size=SMALL,
        color=GREY,
    )
