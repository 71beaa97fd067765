"""How figures are set for print."""

from __future__ import annotations

from functools import cache
from typing import Any

import seaborn as sns

ONE_COLUMN, TWO_COLUMNS = 3.4, 6.9
"""Widths for print, in inches."""

TITLE, TEXT, SMALL = 9, 8, 7
"""Sizes of letters at print size, in points."""


@cache
def settings() -> dict[Any, Any]:
    """Matplotlib's settings for every figure; the same data give the same bytes."""
    ticks = {
        f"{axis}tick.{key}": value
        for axis in "xy"
        for key, value in {"labelsize": SMALL, "major.size": 2.5, "major.width": 0.6}.items()
    }
    return {
        **sns.axes_style("ticks"),
        **ticks,
        "axes.axisbelow": True,
        "axes.grid": True,
        "axes.labelsize": TEXT,
        "axes.linewidth": 0.6,
        "axes.spines.right": False,
        "axes.spines.top": False,
        "axes.titlesize": TEXT,
        "font.family": "sans-serif",
        "font.sans-serif": ["DejaVu Sans", "Verdana", "Arial", "Helvetica", "sans-serif"],
        "font.size": TEXT,
        "grid.color": "0.92",
        "grid.linewidth": 0.5,
        "hatch.linewidth": 0.5,
        "legend.fontsize": SMALL,
        "lines.linewidth": 1.1,
        "lines.markeredgewidth": 0.9,
        "lines.markersize": 4,
        "pdf.fonttype": 42,
        "svg.fonttype": "none",
        "svg.hashsalt": "dcbench",
        "text.parse_math": False,
    }
