"""What accuracy costs: mean accuracy against the time of training."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import cycle

import pandas as pd

from dcbench.leaderboard.boards import Board
from dcbench.reports.figures.layout import Sheet, plain_log, sheet
from dcbench.reports.figures.palette import legend_of, looks
from dcbench.reports.figures.spread import listed, mean_and_half, percents
from dcbench.reports.figures.style import ONE_COLUMN

_NOTE = (
    "Large mark: mean over runs of subset 0; bar: the 95 % interval of its accuracy; dots: single "
    "runs. Wall-clock time on: "
)
_DEVICE_MARKS = {"o": "●", "s": "■", "^": "▲", "D": "◆", "v": "▼", "*": "★", "P": "✚"}
"""Marks, and how a note writes them."""


def draw_cost(board: Board) -> Sheet:
    """Accuracy against training seconds; where runs are of several devices, a mark for each."""
    given = looks(board.runs["method"])
    used = _devices(board.runs)
    marks = _marks(used)
    means = board.runs.groupby("method")["train_seconds"].mean()
    single = len(marks) == 1
    devices = [
        device if single else f"{_DEVICE_MARKS[mark]}\N{NO-BREAK SPACE}{device}"
        for device, mark in marks.items()
    ]
    drawn = sheet(
        f"Accuracy against training time on {board.split} ({board.protocol})",
        f"{_NOTE}{'; '.join(devices)}.",
        (ONE_COLUMN, 2.3),
        legend_of(
            {each: look if single else look._replace(marker="") for each, look in given.items()}
        ),
        listed("Accuracy in percent", percents(board.runs, "accuracy"))
        + listed(" Training time in seconds", {each: f"{means[each]:.3g}" for each in given}),
    )
    axes = drawn.figure.subplots()
    for place, runs in board.runs.groupby(["method", used]):
        method, device = map(str, place)
        look = given[method].marks() | {"linestyle": "none"}
        look["marker"] = marks[device] or look["marker"]
        seconds, accuracy = runs["train_seconds"], 100 * runs["accuracy"]
        mean, half = mean_and_half(accuracy)
        axes.plot(seconds, accuracy, ".", color=look["color"], markersize=2.5, alpha=0.6)
        axes.errorbar(seconds.mean(), mean, half or None, capsize=2, elinewidth=0.9, **look)
    plain_log(axes)
    axes.set(xlabel="Training time (s)", ylabel="Accuracy (%)")
    return drawn


def _devices(runs: pd.DataFrame) -> pd.Series[str]:
    """The device of each run; one that several runs shared is slower, so it counts as another."""
    together = runs["runs_together"].fillna(1).astype(int)
    shared = runs["device"] + ", shared by " + together.astype(str) + " runs"
    return runs["device"].where(together == 1, shared)


def _marks(devices: Iterable[str]) -> dict[str, str]:
    """The mark of each of several devices; one alone has none, and methods keep theirs."""
    names = sorted(set(devices))
    return dict(zip(names, cycle(_DEVICE_MARKS) if len(names) > 1 else [""], strict=False))
