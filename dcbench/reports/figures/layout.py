"""A figure with its title, legend, note and panels, and how it reaches the disk."""

from __future__ import annotations

import io
import math
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Literal

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator, StrMethodFormatter

from dcbench.records.atomic import write_bytes
from dcbench.reports.figures.palette import GRAY
from dcbench.reports.figures.style import ONE_COLUMN, SMALL, TITLE, TWO_COLUMNS

Format = Literal["svg", "pdf"]

_LINE = 0.14
_MARGIN = 0.06
_SHORT = 8


@dataclass(frozen=True)
class TitledFigure:
    """A figure, and what it says to those who cannot see it."""

    figure: Figure
    title: str
    description: str


def titled_figure(
    title: str,
    note: str,
    size: tuple[float, float],
    legend: Sequence[Artist] = (),
    values: str = "",
) -> TitledFigure:
    """An empty figure with its title, legend and note.

    Parameters
    ----------
    note
        How to read it, set below.
    size
        Inches of the width, and of the height that the panels get.
    values
        The numbers as a sentence, for the description alone.
    """
    width, panels = size
    heading = textwrap.wrap(title, int(width * 12))
    lines = textwrap.wrap(note, int(width * 18.5))
    longest = max((len(str(each.get_label())) for each in legend), default=0)
    columns = max(1, int(width / (0.45 + 0.06 * longest)))
    legend_height = math.ceil(len(legend) / columns) * (_LINE + 0.03)
    note_height = len(lines) * _LINE + _MARGIN
    foot, head = note_height + legend_height + _MARGIN, len(heading) * _LINE * 1.2 + 2 * _MARGIN
    height = panels + head + foot
    figure = Figure((width, height))
    figure.set_layout_engine("constrained", rect=(0, foot / height, 1, panels / height))
    left = _MARGIN / width
    top, bottom = 1 - _MARGIN / height, _MARGIN / height
    figure.text(left, top, "\n".join(heading), va="top", weight="bold", size=TITLE)
    figure.text(left, bottom, "\n".join(lines), va="bottom", size=SMALL, color=GRAY)
    if legend:
        figure.legend(
            handles=legend,
            loc="lower left",
            bbox_to_anchor=(0, note_height / height),
            ncols=columns,
            frameon=False,
            borderpad=0,
            borderaxespad=0.5,
            handlelength=2.6,
            columnspacing=1.2,
        )
    return TitledFigure(figure, title, f"{note} {values}".strip())


def columns_and_width(panels: int, most: int) -> tuple[int, float]:
    """Columns for `panels` panels in rows of like length, and the width that they fill."""
    columns = math.ceil(panels / num_rows(panels, most))
    return columns, ONE_COLUMN if columns == 1 else TWO_COLUMNS


def num_rows(panels: int, columns: int) -> int:
    """Rows that `panels` panels take."""
    return math.ceil(panels / columns)


def panel_grid(
    figure: Figure, panels: int, columns: int, *, sharex: bool = False, sharey: bool = False
) -> list[Axes]:
    """Axes of `panels` panels, row by row."""
    rows = num_rows(panels, columns)
    every = figure.subplots(rows, columns, squeeze=False, sharex=sharex, sharey=sharey)
    for spare in list(every.flat)[panels:]:
        spare.remove()
    return list(every.flat)[:panels]


def label_outside(panels: Sequence[Axes], columns: int, x: str, y: str) -> None:
    """Label the y axis of the first panel of each row, and the x axis of the last of a column."""
    for index, axes in enumerate(panels):
        first, last = index % columns == 0, index + columns >= len(panels)
        axes.set_ylabel(y if first else "", visible=True)
        axes.set_xlabel(x if last else "", visible=True)
        axes.tick_params(labelbottom=last and bool(x))


def beside(axes: Axes, row: float, text: str) -> None:
    """Write at the right of a panel."""
    axes.annotate(
        text,
        (1, row),
        (2, 0),
        xycoords=axes.get_yaxis_transform(),
        textcoords="offset points",
        va="center",
        size=SMALL,
        color=GRAY,
    )


def plain_log(axes: Axes) -> None:
    """A logarithmic x axis with plain numbers, enough of them on a short one too."""
    low, high = axes.get_xlim()
    axes.set_xscale("log")
    short = low > 0 and high / low < _SHORT
    axes.xaxis.set_major_locator(MaxNLocator(5) if short else LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axes.xaxis.set_minor_locator(NullLocator())


def save(titled: TitledFigure, path: Path, form: Format) -> None:
    """Write a figure in one piece, without a date; SVG with `title` and `desc`."""
    about = {"svg": "Description", "pdf": "Subject"}[form]
    dated = {"svg": "Date", "pdf": "CreationDate"}[form]
    metadata = {"Title": titled.title, about: titled.description, dated: None}
    content = io.BytesIO()
    titled.figure.savefig(content, format=form, metadata=metadata)
    data = content.getvalue()
    if form == "svg":
        described = f"</title>\n <desc>{escape(titled.description, quote=False)}</desc>"
        data = data.replace(b"</title>", described.encode(), 1)
    write_bytes(path, data)
