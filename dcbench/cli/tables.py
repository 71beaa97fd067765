"""Tables of text: folded where they are too wide, and stacked where folding would break words."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence

from rich import box
from rich.cells import cell_len
from rich.console import Group, RenderableType
from rich.table import Table as RichTable
from rich.text import Text

from dcbench.cli.report import Table
from dcbench.config.text import printable

_NEVER_FOLDED = 16
"""Words up to this long stay whole."""

_FOLDED_TO = 10
"""Longer words are folded to no fewer characters."""

_GAP = 2
"""Characters between two columns."""


def laid_out(table: Table, width: int | None) -> RenderableType:
    """A table in `width` characters, without its title; None: as wide as it is."""
    titles = [_spelled(title) for title in table.columns]
    cells = [[_spelled(_text(value)) for value in row] for row in table.rows]
    columns = [[title, *(row[index] for row in cells)] for index, title in enumerate(titles)]
    natural = [max(cell_len(line) for text in each for line in _lines(text)) for each in columns]
    least = [_least(each) for each in columns]
    room = None if width is None else width - _GAP * (len(columns) - 1)
    if width is not None and room is not None and sum(least) > room:
        fits = least[0] + _GAP + max(least[1:], default=0) <= width
        if table.matrix and fits:
            return _continued(table, least, width)
        return _stacked(titles, cells, width)
    numeric = [
        bool(table.rows) and all(isinstance(row[index], (int, float)) for row in table.rows)
        for index in range(len(columns))
    ]
    return _side_by_side(titles, cells, _shrunk(natural, least, room), numeric)


def _shrunk(natural: Sequence[int], least: Sequence[int], room: int | None) -> list[int]:
    """Widths that fit into `room`, taken from the widest columns first."""
    widths = list(natural)
    while room is not None and sum(widths) > room:
        spare = [width if width > bound else 0 for width, bound in zip(widths, least, strict=True)]
        widths[spare.index(max(spare))] -= 1
    return widths


def _side_by_side(
    titles: Sequence[str],
    cells: Iterable[Sequence[str]],
    widths: Sequence[int],
    numeric: Sequence[bool],
) -> RenderableType:
    # One of the gap's two characters is the divider of the box.
    drawn = RichTable(
        box=box.SIMPLE_HEAD, padding=(0, _GAP - 1, 0, 0), pad_edge=False, show_edge=False
    )
    for title, width, number in zip(titles, widths, numeric, strict=True):
        drawn.add_column(
            Text(title),
            justify="right" if number else "left",
            width=max(width, 1),
            overflow="fold",
        )
    for row in cells:
        drawn.add_row(*map(Text, row))
    return drawn


def _continued(table: Table, least: Sequence[int], width: int) -> RenderableType:
    """As many columns as fit, then the others below, each time with the first one."""
    blocks: list[list[int]] = []
    left = 0
    for column in range(1, len(least)):
        if not blocks or least[column] + _GAP > left:
            blocks.append([0])
            left = width - least[0]
        blocks[-1].append(column)
        left -= least[column] + _GAP
    drawn: list[RenderableType] = []
    for block in blocks:
        rows = [[row[index] for index in block] for row in table.rows]
        columns = [table.columns[index] for index in block]
        drawn += [*([Text("")] if drawn else []), laid_out(Table("", columns, rows), width)]
    return Group(*drawn)


def _stacked(titles: Sequence[str], cells: Iterable[Sequence[str]], width: int) -> RenderableType:
    """Each row as a block, with one line a column."""
    named = min(max(map(cell_len, titles)), max(width // 2 - _GAP, 1))
    blocks: list[RenderableType] = []
    for row in cells:
        block = RichTable.grid(padding=(0, _GAP, 0, 0), pad_edge=False)
        block.add_column(width=named, overflow="fold")
        block.add_column(width=max(width - named - _GAP, 1), overflow="fold")
        for title, text in zip(titles, row, strict=True):
            block.add_row(Text(title), Text(text))
        blocks += [Text(""), block]
    return Group(*blocks)


def _least(texts: Iterable[str]) -> int:
    """The width in which no word is folded that should stay whole."""
    lengths = [cell_len(word) for text in texts for word in text.split()]
    bounds = [length if length <= _NEVER_FOLDED else _FOLDED_TO for length in lengths]
    return max(bounds, default=0)


def _lines(text: str) -> list[str]:
    return text.splitlines() or [""]


def _spelled(text: str) -> str:
    """The text as standard output will spell it: ± as +/- in ASCII, which is wider."""
    text = printable(text)
    encoding, errors = getattr(sys.stdout, "encoding", None), getattr(sys.stdout, "errors", None)
    if not encoding or not errors or errors == "strict":
        return text
    return text.encode(encoding, errors).decode(encoding)


def _text(value: object) -> str:
    if value is None:
        return "–"
    return f"{value:.4f}" if isinstance(value, float) else str(value)
