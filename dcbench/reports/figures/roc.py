"""ROC curves of telling test from OOD images, one panel an OOD set."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes

from dcbench.leaderboard.boards import Board
from dcbench.reports.figures.layout import Sheet, fitted, label_outside, rows_of, sheet
from dcbench.reports.figures.palette import GREY, Look, legend_of, looks
from dcbench.reports.figures.run_data import FloatArray, StoredRun
from dcbench.reports.figures.spread import listed, percents

_NOTE = (
    "Score: largest softmax probability (MSP); test images are the positives. Lines: mean over "
    "the runs of subset 0 at each false positive rate. AUROC: mean over the runs in percent "
    "± half of its 95 % interval; 50 is chance."
)
_MOST_COLUMNS = 2
_RATES = np.linspace(0, 1, 501)


def true_positive_rate(inside: FloatArray, outside: FloatArray) -> FloatArray:
    """Share of the test images accepted where a share of 0, 0.002 … 1 of the OOD images is [501].

    Larger scores are accepted first; straight lines join the points of the ROC curve.
    """
    from sklearn.metrics import roc_curve

    is_test = np.arange(len(inside) + len(outside)) < len(inside)
    false, true, _ = roc_curve(is_test, np.concatenate([inside, outside]))
    return np.asarray(np.interp(_RATES, false, true))


def draw_roc(board: Board, runs: Sequence[StoredRun]) -> Sheet:
    """The mean ROC curve of each method against each OOD set, with its AUROC beside it."""
    given = looks(run.method for run in runs)
    sets = list(dict.fromkeys(name for run in runs for name in run.ood_scores))
    areas = {name: percents(board.runs, f"ood.{name}.msp.auroc") for name in sets}
    columns, width = fitted(len(sets), _MOST_COLUMNS)
    rows = rows_of(len(sets), columns)
    drawn = sheet(
        f"ROC of test against OOD images of {board.split} ({board.protocol})",
        _NOTE,
        (width, 1.9 * rows),
        values=" ".join(
            listed(f"AUROC in percent against {name}", each) for name, each in areas.items()
        ),
    )
    cells = drawn.figure.subplots(rows, 2 * columns, squeeze=False, width_ratios=[1, 0.8] * columns)
    for cell in cells.flat:
        cell.set_axis_off()
    curves, lists = list(cells[:, ::2].flat), list(cells[:, 1::2].flat)
    for name, axes, beside in zip(sets, curves, lists, strict=False):
        _curves(axes, name, runs, given)
        _list(beside, areas[name], given)
    label_outside(curves[: len(sets)], columns, "OOD accepted (%)", "Test accepted (%)")
    return drawn


def _curves(axes: Axes, name: str, runs: Sequence[StoredRun], given: dict[str, Look]) -> None:
    axes.set_axis_on()
    axes.plot([0, 100], [0, 100], color=GREY, linewidth=0.6, linestyle=":")
    for place, (method, look) in enumerate(given.items()):
        rates = [
            true_positive_rate(run.scores, run.ood_scores[name])
            for run in runs
            if run.method == method and name in run.ood_scores
        ]
        if rates:
            marks = look.marks() | {"markevery": (30 + 10 * place, 100), "markersize": 3.5}
            axes.plot(100 * _RATES, 100 * np.mean(rates, axis=0), **marks)
    axes.set(xlim=(0, 100), ylim=(0, 100), xticks=(0, 50, 100), yticks=(0, 50, 100))
    axes.set_title(name)


def _list(axes: Axes, areas: dict[str, str], given: dict[str, Look]) -> None:
    axes.legend(
        handles=legend_of({f"{method}  {areas[method]}": look for method, look in given.items()}),
        title="AUROC (%)",
        loc="center left",
        bbox_to_anchor=(0, 0.5),
        borderpad=0,
        borderaxespad=0,
        frameon=False,
        handlelength=2.4,
        alignment="left",
    )
