"""ROC curves of separating test from OOD images, one panel an OOD set."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes

from dcbench.leaderboard.boards import Board
from dcbench.metrics.table import HEADLINE_OOD_METRIC, OOD_METRICS, ood_key
from dcbench.reports.figures.layout import (
    TitledFigure,
    columns_and_width,
    label_outside,
    num_rows,
    titled_figure,
)
from dcbench.reports.figures.palette import GRAY, MethodStyle, legend_handles, styles_of
from dcbench.reports.figures.run_data import FloatArray, RunData
from dcbench.reports.figures.spread import percent_texts, sentence_of

_NOTE = (
    "Score: largest softmax probability (MSP); test images are the positives. Lines: mean over "
    "the runs of subset 0 at each false positive rate. AUROC: mean over the runs in percent "
    "± half of its 95 % interval; 50 is chance."
)
_MOST_COLUMNS = 2
_ROW, _LINE = 1.9, 0.15
"""Inches of a row of panels, and of a method in the list beside one, which may need more."""
[_AUROC] = [metric for metric in OOD_METRICS if metric.key == HEADLINE_OOD_METRIC]
_RATES = np.linspace(0, 1, 501)


def true_positive_rate(inside: FloatArray, outside: FloatArray) -> FloatArray:
    """Share of the test images accepted where a share of 0, 0.002 … 1 of the OOD images is [501].

    Larger scores are accepted first; straight lines join the points of the ROC curve.
    """
    from sklearn.metrics import roc_curve

    is_test = np.arange(len(inside) + len(outside)) < len(inside)
    false, true, _ = roc_curve(is_test, np.concatenate([inside, outside]))
    return np.asarray(np.interp(_RATES, false, true))


def draw_roc(board: Board, runs: Sequence[RunData]) -> TitledFigure:
    """The mean ROC curve of each method against each OOD set, with its AUROC beside it."""
    styles = styles_of(run.method for run in runs)
    sets = list(dict.fromkeys(name for run in runs for name in run.ood_scores))
    areas = {name: percent_texts(board.runs, ood_key(name)) for name in sets}
    columns, width = columns_and_width(len(sets), _MOST_COLUMNS)
    rows = num_rows(len(sets), columns)
    titled = titled_figure(
        f"ROC of test against OOD images of {board.heading}",
        _NOTE,
        (width, max(_ROW, _LINE * (len(styles) + 2)) * rows),
        values=" ".join(
            sentence_of(f"{_AUROC.title} in percent against {name}", each)
            for name, each in areas.items()
        ),
    )
    cells = titled.figure.subplots(
        rows, 2 * columns, squeeze=False, width_ratios=[1, 0.8] * columns
    )
    for cell in cells.flat:
        cell.set_axis_off()
    curves, lists = list(cells[:, ::2].flat), list(cells[:, 1::2].flat)
    for name, axes, beside in zip(sets, curves, lists, strict=False):
        _curves(axes, name, runs, styles)
        _list(beside, areas[name], styles)
    label_outside(curves[: len(sets)], columns, "OOD accepted (%)", "Test accepted (%)")
    return titled


def _curves(axes: Axes, name: str, runs: Sequence[RunData], styles: dict[str, MethodStyle]) -> None:
    axes.set_axis_on()
    axes.plot([0, 100], [0, 100], color=GRAY, linewidth=0.6, linestyle=":")
    for index, (method, style) in enumerate(styles.items()):
        rates = [
            true_positive_rate(run.scores, run.ood_scores[name])
            for run in runs
            if run.method == method and name in run.ood_scores
        ]
        if rates:
            marks = style.line_kwargs() | {"markevery": (30 + 10 * index, 100), "markersize": 3.5}
            axes.plot(100 * _RATES, 100 * np.mean(rates, axis=0), **marks)
    axes.set(xlim=(0, 100), ylim=(0, 100), xticks=(0, 50, 100), yticks=(0, 50, 100))
    axes.set_title(name)


def _list(axes: Axes, areas: dict[str, str], styles: dict[str, MethodStyle]) -> None:
    axes.legend(
        handles=legend_handles(
            {f"{method}  {areas.get(method, '–')}": style for method, style in styles.items()}
        ),
        title=_AUROC.paper_title,
        loc="center left",
        bbox_to_anchor=(0, 0.5),
        borderpad=0,
        borderaxespad=0,
        frameon=False,
        handlelength=2.4,
        alignment="left",
    )
