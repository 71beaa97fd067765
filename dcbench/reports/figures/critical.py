"""Critical-difference diagram: mean ranks over splits, and who is not significantly different."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from dcbench.errors import UsageError
from dcbench.leaderboard.across import Across
from dcbench.leaderboard.ranks import LEVEL
from dcbench.reports.across import compared_in, prose, verdict
from dcbench.reports.figures.layout import TitledFigure, titled_figure
from dcbench.reports.figures.palette import BLACK, styles_of
from dcbench.reports.figures.spread import sentence_of
from dcbench.reports.figures.style import SMALL, TWO_COLUMNS

_NOTE = (
    "each method at its mean rank over splits, 1 the best; a bar joins methods that are not "
    "significantly different from one another, a dot on it each of them"
)
_LINE = 0.17
"""Inches from one label to the next."""


def draw_critical_difference(found: Across) -> TitledFigure:
    """Mean ranks on one axis, with bars over methods that no test distinguishes (Demšar, 2006).

    Raises
    ------
    UsageError
        The package scikit-posthocs, which draws it, is not there.
    """
    block = found.block
    rows = -(-len(block.methods) // 2) + _diagram(Figure().subplots(), found)
    titled = titled_figure(
        f"Mean rank by accuracy over {len(block.splits)} splits ({block.protocol})",
        prose([_NOTE, *verdict(found), compared_in(block)]),
        (TWO_COLUMNS, 0.5 + _LINE * (rows + 1)),
        values=sentence_of(
            "Mean rank", {each.method: f"{each.mean_rank.value:.2f}" for each in found.standings}
        ),
    )
    _diagram(titled.figure.subplots(), found)
    return titled


def _diagram(axes: Axes, found: Across) -> int:
    """Draw the diagram; the number of rows that its bars take is returned."""
    methods = [each.method for each in found.standings]
    styles = styles_of(methods)
    colors = {number: styles[method].color for number, method in enumerate(methods)}
    # The diagram goes through sets of its labels: numbers have the same order in every process.
    ranks = {number: each.mean_rank.value for number, each in enumerate(found.standings)}
    drawn = _critical_difference_diagram()(
        ranks,
        _p_matrix(found, methods),
        alpha=LEVEL,
        ax=axes,
        color_palette=colors,
        text_h_margin=0.02 * (len(methods) - 1),
        label_props={"size": SMALL},
        marker_props={"s": 14},
        elbow_props={"linewidth": 0.8},
        crossbar_props={"color": BLACK, "linewidth": 1.6, "marker": "o", "markersize": 3},
    )
    gap = 0.006 * (len(methods) - 1)
    halfway = (len(methods) + 1) // 2
    numbers = [*range(halfway), *reversed(range(halfway, len(methods)))]
    for number, label in zip(numbers, drawn["labels"], strict=True):
        name, rank = methods[number], f"{ranks[number]:.2f}"
        label.set_color(BLACK)
        label.set_text(f"{name}  {rank}" if number < halfway else f"{rank}  {name}")
        label.set_x(label.get_position()[0] + gap * (-1 if number < halfway else 1))
    axes.set_xlim(1, len(methods))
    axes.xaxis.set_major_locator(MaxNLocator(min(len(methods), 10), integer=True))
    axes.grid(visible=False)
    axes.spines["top"].set_visible(True)
    for artist in (*drawn["elbows"], *drawn["markers"]):
        artist.set_clip_on(False)
    return len({float(np.ravel(bar[0].get_ydata())[0]) for bar in drawn["crossbars"]})


def _p_matrix(found: Across, methods: list[str]) -> pd.DataFrame:
    return pd.DataFrame(
        [
            [1.0 if one == other else found.p[frozenset((one, other))] for other in methods]
            for one in methods
        ]
    )


def _critical_difference_diagram() -> Any:
    try:
        from scikit_posthocs import critical_difference_diagram
    except ImportError as problem:
        raise UsageError(
            "the critical-difference diagram needs the package scikit-posthocs 0.17 or newer: "
            "pip install 'dcbench-vision[critical-difference]'"
        ) from problem
    return critical_difference_diagram
