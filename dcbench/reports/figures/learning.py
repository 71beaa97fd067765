"""How the training loss falls, one panel a method."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import seaborn as sns

from dcbench.leaderboard.boards import Board
from dcbench.reports.figures.layout import Sheet, fitted, grid, label_outside, rows_of, sheet
from dcbench.reports.figures.palette import looks
from dcbench.reports.figures.run_data import StoredRun
from dcbench.reports.figures.spread import interval

_NOTE = (
    "Line: mean over runs of subset 0; band: its 95 % interval. Each method minimizes a "
    "loss of its own, on a scale of its own: compare shapes, not heights."
)
_MOST_COLUMNS = 4


def draw_learning(board: Board, runs: Sequence[StoredRun]) -> Sheet:
    """Mean training loss by epoch, each method on a scale of its own."""
    given = looks(run.method for run in runs)
    columns, width = fitted(len(given), _MOST_COLUMNS)
    drawn = sheet(
        f"Training loss on {board.split} ({board.protocol})",
        _NOTE,
        (width, 1.45 * rows_of(len(given), columns)),
    )
    panels = grid(drawn.figure, len(given), columns, sharex=True)
    for axes, (method, look) in zip(panels, given.items(), strict=True):
        losses = [run.losses for run in runs if run.method == method]
        sns.lineplot(
            x=np.concatenate([np.arange(1, len(each) + 1) for each in losses]),
            y=np.concatenate(losses),
            errorbar=interval,
            ax=axes,
            color=look.color,
            linewidth=0.8,
            err_kws={"alpha": 0.3, "linewidth": 0},
        )
        axes.set_title(f"{method} (n = {len(losses)})")
    label_outside(panels, columns, "Epoch", "Training loss")
    drawn.figure.align_ylabels()
    return drawn
