"""What accuracy costs: mean accuracy against the time of training."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import cycle

import pandas as pd

from dcbench.leaderboard.boards import Board
from dcbench.metrics.table import metrics_of
from dcbench.reports.figures.layout import TitledFigure, plain_log, titled_figure
from dcbench.reports.figures.palette import legend_handles, styles_of
from dcbench.reports.figures.spread import mean_and_half, percent_texts, sentence_of
from dcbench.reports.figures.style import ONE_COLUMN

_NOTE = (
    "Large mark: mean over runs of subset 0; bar: the 95 % interval of its accuracy; dots: single "
    "runs. Wall-clock time on: "
)
[_ACCURACY] = metrics_of(["accuracy"])
_DEVICE_MARKS = {"o": "●", "s": "■", "^": "▲", "D": "◆", "v": "▼", "*": "★", "P": "✚"}
"""Marks, and how a note writes them."""


def draw_cost(board: Board) -> TitledFigure:
    """Accuracy against training seconds; where runs are of several devices, a mark for each."""
    measured = board.runs.dropna(subset=["train_seconds", _ACCURACY.key])
    styles = styles_of(measured["method"])
    used = _devices(measured)
    marks = _marks(used)
    means = measured.groupby("method")["train_seconds"].mean()
    single = len(marks) == 1
    devices = [
        device if single else f"{_DEVICE_MARKS[mark]}\N{NO-BREAK SPACE}{device}"
        for device, mark in marks.items()
    ]
    titled = titled_figure(
        f"Accuracy against training time on {board.heading}",
        f"{_NOTE}{'; '.join(devices)}.",
        (ONE_COLUMN, 2.3),
        legend_handles(
            {each: style if single else style._replace(marker="") for each, style in styles.items()}
        ),
        sentence_of("Accuracy in percent", percent_texts(measured, _ACCURACY.key))
        + sentence_of(" Training time in seconds", {each: f"{means[each]:.3g}" for each in styles}),
    )
    axes = titled.figure.subplots()
    for key, runs in measured.groupby(["method", used]):
        method, device = map(str, key)
        style = styles[method].line_kwargs() | {"linestyle": "none"}
        style["marker"] = marks[device] or style["marker"]
        seconds, accuracy = runs["train_seconds"], 100 * runs[_ACCURACY.key]
        mean, half = mean_and_half(accuracy)
        axes.plot(seconds, accuracy, ".", color=style["color"], markersize=2.5, alpha=0.6)
        axes.errorbar(seconds.mean(), mean, half or None, capsize=2, elinewidth=0.9, **style)
    plain_log(axes)
    axes.set(xlabel="Training time (s)", ylabel=_ACCURACY.paper_title)
    return titled


def _devices(runs: pd.DataFrame) -> pd.Series[str]:
    """The device of each run; one that several runs shared is slower, so it counts as another."""
    device = runs.get("device", pd.Series("", runs.index)).replace("", "a device not named")
    together = runs.get("runs_together", pd.Series(1, runs.index)).fillna(1).astype(int)
    shared = device + ", shared by " + together.astype(str) + " runs"
    return device.where(together == 1, shared)


def _marks(devices: Iterable[str]) -> dict[str, str]:
    """The mark of each of several devices; one alone has none, and methods keep theirs."""
    names = sorted(set(devices))
    return dict(zip(names, cycle(_DEVICE_MARKS) if len(names) > 1 else [""], strict=False))
