"""Reliability diagrams: how far confidence and accuracy lie apart, one panel a method."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Patch

from dcbench.leaderboard.boards import Board
from dcbench.metrics.calibration import CalibrationBins
from dcbench.metrics.table import metrics_of
from dcbench.reports.figures.layout import (
    TitledFigure,
    columns_and_width,
    label_outside,
    num_rows,
    titled_figure,
)
from dcbench.reports.figures.palette import BLUE, GRAY, VERMILLION, sorted_methods
from dcbench.reports.figures.run_data import FloatArray, RunData
from dcbench.reports.figures.spread import percent_texts, sentence_of
from dcbench.reports.figures.style import SMALL

_NOTE = (
    "Each bar is the gap between the mean confidence of a bin, on the diagonal, and its accuracy, "
    "the black line; 15 bins, which pool n runs of subset 0; pale: under 0.5 % of the images. "
    "Strip: share of the images in each bin. ECE: mean of the runs' ECE-15 (not that of the "
    "pooled bins) ± half of its 95 % interval."
)
_MOST_COLUMNS = 4
[_ECE] = metrics_of(["ece15"])
_RARE = 0.005
_OVER: Any = {"facecolor": VERMILLION, "hatch": "/////"}
_UNDER: Any = {"facecolor": BLUE, "hatch": ""}
_EDGE: Any = {"edgecolor": "white", "linewidth": 0}


def pooled(runs: Sequence[RunData]) -> CalibrationBins:
    """The bins of several runs, added up."""
    return CalibrationBins(*np.array([np.stack(run.bins) for run in runs]).sum(axis=0))


def confidence_and_accuracy(bins: CalibrationBins) -> tuple[FloatArray, FloatArray]:
    """Mean confidence and accuracy of each bin; NaN for an empty one."""
    rows = np.where(bins.rows > 0, bins.rows, np.nan)
    return bins.confidence / rows, bins.correct / rows


def draw_reliability(board: Board, runs: Sequence[RunData]) -> TitledFigure:
    """A reliability diagram of each method, with its mean ECE in the corner."""
    methods = sorted_methods(run.method for run in runs)
    errors = percent_texts(board.runs, _ECE.key)
    columns, width = columns_and_width(len(methods), _MOST_COLUMNS)
    rows = num_rows(len(methods), columns)
    titled = titled_figure(
        f"Reliability on {board.heading}",
        _NOTE,
        (width, 2.2 * rows),
        [
            Patch(**_OVER, **_EDGE, label="over-confident: accuracy is lower"),
            Patch(**_UNDER, **_EDGE, label="under-confident: accuracy is higher"),
        ],
        sentence_of(f"{_ECE.title} in percent", errors),
    )
    # Axes that share x, or labels that are aligned with one another, ask one another at each step.
    panels = titled.figure.subplots(2 * rows, columns, squeeze=False, height_ratios=[4, 1] * rows)
    diagrams, strips = list(panels[::2].flat), list(panels[1::2].flat)
    for spare in (*diagrams[len(methods) :], *strips[len(methods) :]):
        spare.remove()
    diagrams, strips = diagrams[: len(methods)], strips[: len(methods)]
    for method, diagram, strip in zip(methods, diagrams, strips, strict=True):
        of_method = [run for run in runs if run.method == method]
        _diagram(
            diagram,
            pooled(of_method),
            f"{_ECE.title} {errors[method]} %" if method in errors else "",
        )
        _strip(strip, pooled(of_method))
        diagram.set_title(f"{method} (n = {len(of_method)})")
    most = max(strip.get_ylim()[1] for strip in strips)
    for strip in strips:
        strip.set(ylim=(0, most), yticks=(0, most))
    label_outside(diagrams, columns, "", "Accuracy")
    label_outside(strips, columns, "Confidence", "Share (%)")
    for pair in zip(diagrams[::columns], strips[::columns], strict=True):
        titled.figure.align_ylabels(pair)
    return titled


def _diagram(axes: Axes, bins: CalibrationBins, error: str) -> None:
    axes.plot([0, 1], [0, 1], color=GRAY, linewidth=0.6, linestyle="--")
    edges = np.linspace(0, 1, len(bins.rows) + 1)
    for index, (confidence, accuracy) in enumerate(
        zip(*confidence_and_accuracy(bins), strict=True)
    ):
        if not bins.rows[index]:
            continue
        kind = _OVER if accuracy < confidence else _UNDER
        pale = 0.3 if bins.rows[index] < _RARE * bins.rows.sum() else 1
        left, right = edges[index : index + 2]
        gap, width = accuracy - confidence, right - left
        axes.bar(left, gap, width, confidence, align="edge", alpha=pale, **_EDGE, **kind)
        axes.plot([left, right], [accuracy, accuracy], color="black", linewidth=1.2, alpha=pale)
    axes.set(xlim=(0, 1), ylim=(0, 1), xticks=(0, 0.5, 1), yticks=(0, 0.5, 1))
    axes.text(0.98, 0.03, error, ha="right", va="bottom", size=SMALL)


def _strip(axes: Axes, bins: CalibrationBins) -> None:
    edges = np.linspace(0, 1, len(bins.rows) + 1)
    share = 100 * bins.rows / bins.rows.sum()
    axes.bar(edges[:-1], share, np.diff(edges), align="edge", color="0.55", linewidth=0)
    axes.set(xlim=(0, 1), xticks=(0, 0.5, 1), ylim=(0, math.ceil(share.max() / 10) * 10))
