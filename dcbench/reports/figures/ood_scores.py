"""How confident each method is on its own test set and on the OOD sets."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import cycle
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from dcbench.leaderboard.boards import Board
from dcbench.reports.figures.layout import (
    TitledFigure,
    columns_and_width,
    label_outside,
    num_rows,
    panel_grid,
    titled_figure,
)
from dcbench.reports.figures.palette import BLUE, GREEN, ORANGE, PURPLE, VERMILLION, sorted_methods
from dcbench.reports.figures.run_data import FloatArray, RunData

_NOTE = (
    "Share of the images by largest softmax probability (MSP), runs of subset 0 pooled. MSP "
    "separates OOD images where their line lies to the left of the gray of the test set."
)
_MOST_COLUMNS = 4
_BINS = 20
_LINES: tuple[dict[str, Any], ...] = (
    {"color": VERMILLION, "linestyle": "-"},
    {"color": BLUE, "linestyle": (0, (4, 2))},
    {"color": GREEN, "linestyle": (0, (1, 1))},
    {"color": ORANGE, "linestyle": (0, (4, 1, 1, 1))},
    {"color": PURPLE, "linestyle": (0, (8, 2))},
)


def shares(scores: Sequence[FloatArray], lowest: float) -> tuple[FloatArray, FloatArray]:
    """Share of the pooled scores in each bin [20], and the edges of the bins [21] up to 1."""
    edges = np.linspace(lowest, 1, _BINS + 1)
    pooled = np.clip(np.concatenate(list(scores)), lowest, 1)
    return np.histogram(pooled, edges)[0] / len(pooled), edges


def draw_ood_scores(board: Board, runs: Sequence[RunData]) -> TitledFigure:
    """Histograms of MSP on the test set and on each OOD set, one panel a method."""
    methods = sorted_methods(run.method for run in runs)
    sets = list(dict.fromkeys(name for run in runs for name in run.ood_scores))
    lines = dict(zip(sets, cycle(_LINES), strict=False))
    ood = [Line2D([], [], label=name, **line) for name, line in lines.items()]
    columns, width = columns_and_width(len(methods), _MOST_COLUMNS)
    titled = titled_figure(
        f"Confidence on test and OOD images of {board.heading}",
        _NOTE,
        (width, 1.6 * num_rows(len(methods), columns)),
        [Patch(color="0.8", label="test set"), *ood],
    )
    panels = panel_grid(titled.figure, len(methods), columns, sharex=True, sharey=True)
    for axes, method in zip(panels, methods, strict=True):
        _panel(axes, [run for run in runs if run.method == method], lines)
        axes.set_title(method)
    label_outside(panels, columns, "MSP", "Images (%)")
    return titled


def _panel(axes: Axes, runs: Sequence[RunData], lines: dict[str, dict[str, Any]]) -> None:
    lowest = 1 / len(runs[0].recall)
    inside, edges = shares([run.scores for run in runs], lowest)
    axes.stairs(100 * inside, edges, fill=True, color="0.8")
    for name, line in lines.items():
        scores = [run.ood_scores[name] for run in runs if name in run.ood_scores]
        if scores:
            outside, _ = shares(scores, lowest)
            axes.stairs(100 * outside, edges, baseline=None, **line)
