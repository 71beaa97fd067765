"""How the training loss falls, one panel a method."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import seaborn as sns
from matplotlib.ticker import MaxNLocator

from dcbench.leaderboard.boards import Board
from dcbench.reports.figures.layout import (
    TitledFigure,
    columns_and_width,
    label_outside,
    num_rows,
    panel_grid,
    titled_figure,
)
from dcbench.reports.figures.palette import styles_of
from dcbench.reports.figures.run_data import RunData
from dcbench.reports.figures.spread import interval

_NOTE = (
    "Line: mean over runs of subset 0; band: its 95 % interval. Each method minimizes a "
    "loss of its own, on a scale of its own: compare shapes, not heights."
)
_MOST_COLUMNS = 4


def draw_learning(board: Board, runs: Sequence[RunData]) -> TitledFigure:
    """Mean training loss by epoch, each method on a scale of its own."""
    styles = styles_of(run.method for run in runs)
    columns, width = columns_and_width(len(styles), _MOST_COLUMNS)
    titled = titled_figure(
        f"Training loss on {board.heading}",
        _NOTE,
        (width, 1.45 * num_rows(len(styles), columns)),
    )
    panels = panel_grid(titled.figure, len(styles), columns, sharex=True)
    for axes, (method, style) in zip(panels, styles.items(), strict=True):
        losses = [run.losses for run in runs if run.method == method]
        sns.lineplot(
            x=np.concatenate([np.arange(1, len(each) + 1) for each in losses]),
            y=np.concatenate(losses),
            errorbar=interval,
            ax=axes,
            color=style.color,
            linewidth=0.8,
            # A line of one epoch has no length: without its mark the panel would be empty.
            marker=style.marker if max(map(len, losses)) == 1 else None,
            err_kws={"alpha": 0.3, "linewidth": 0},
        )
        axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        axes.set_title(f"{method} (n = {len(losses)})")
    label_outside(panels, columns, "Epoch", "Training loss")
    titled.figure.align_ylabels()
    return titled
