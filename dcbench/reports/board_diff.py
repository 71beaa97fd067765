"""What differs between two leaderboards, for people: tables of the terminal, Markdown, JSON."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from statistics import fmean
from typing import Any, NamedTuple

from dcbench.config.text import span
from dcbench.leaderboard.diff import BoardDiff, Cell, Diff, Move
from dcbench.leaderboard.rows import Key, Row
from dcbench.metrics.table import find_metric
from dcbench.reports.latex import escape_markdown
from dcbench.reports.markdown_tables import table_lines

MOST_CHANGED = 50
"""Rows whose cells are listed; of more, their number is told."""

_MOST_CELLS = 8
"""Cells of a row that are listed."""

_CELL_COLUMNS = ("method", "subset", "seed", "column", "before", "after", "difference")


class DiffTable(NamedTuple):
    """A table of a difference."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]


def summary_line(found: Diff) -> str:
    """How much differs, in one sentence."""
    if not found:
        return f"{found.before} and {found.after}: no difference"
    counts = [sum(len(getattr(each, kind)) for each in found.boards) for kind in _KINDS]
    told = ", ".join(f"{count} {kind}" for count, kind in zip(counts, _KINDS, strict=True))
    moves = sum(len(each.moves) for each in found.boards)
    ranks = f"{moves} rank{'' if moves == 1 else 's'} moved"
    return f"{found.before} → {found.after}: rows: {told}; {ranks}"


_KINDS = ("added", "gone", "changed")


def tables(found: Diff) -> Iterator[DiffTable]:
    """What differs on each board: rows that came and went, cells, ranks."""
    for each in found.boards:
        came = [*_by_method("added", each.added), *_by_method("gone", each.gone)]
        shown = list(each.changed.items())[:MOST_CHANGED]
        cells = [row for key, changed in shown for row in _cell_rows(key, changed)]
        parts: list[tuple[str, Sequence[str], list[list[str]]]] = [
            ("rows", ("rows", "method", "subset", "seeds", "accuracy %"), came),
            ("changed cells", _CELL_COLUMNS, cells),
            ("ranks", ("subsets", "method", "runs", "rank", "accuracy %"), _moves(each)),
        ]
        for title, columns, rows in parts:
            if rows:
                yield DiffTable(f"{each.board}: {title}", columns, rows)


def remarks(found: Diff) -> Iterator[str]:
    """What no table shows: columns, rules, and how many rows are left out."""
    for protocol, lines in found.rules.items():
        yield from (f"{protocol}: the rules differ: {line}" for line in lines)
    for each in found.boards:
        for what, columns in (("new", each.columns_added), ("gone", each.columns_gone)):
            if columns:
                yield f"{each.board}: columns that are {what}: {', '.join(columns)}"
        left_out = len(each.changed) - MOST_CHANGED
        if left_out > 0:
            yield f"{each.board}: {left_out} more rows have changed; --json lists all"


def to_markdown(found: Diff) -> str:
    """The difference as Markdown, such as for a comment on a pull request."""
    lines = [escape_markdown(summary_line(found)), ""]
    for table in tables(found):
        titles, *rows = ([*map(escape_cell, row)] for row in (table.columns, *table.rows))
        lines += [f"**{escape_markdown(table.title)}**", "", *table_lines(titles, rows), ""]
    lines += [f"- {escape_markdown(line)}" for line in remarks(found)]
    return "\n".join(lines).rstrip() + "\n"


def escape_cell(text: str) -> str:
    """A cell; a difference may begin with its sign."""
    escaped = escape_markdown(text)
    number = escaped.startswith(("'+", "'-")) and escaped[2:3].isdigit()
    return escaped[1:] if number else escaped


def as_data(found: Diff) -> dict[str, Any]:
    """The whole difference as JSON has it."""
    return {
        "before": found.before,
        "after": found.after,
        "differs": bool(found),
        "rules": found.rules,
        "boards": [_board_data(each) for each in found.boards],
    }


def _board_data(found: BoardDiff) -> dict[str, Any]:
    changed = [
        _key_data(key) | {"cells": {name: cell._asdict() for name, cell in cells.items()}}
        for key, cells in found.changed.items()
    ]
    moves = [
        {"subsets": each.subsets, "method": each.method}
        | {"before": each.before._asdict(), "after": each.after._asdict()}
        for each in found.moves
    ]
    return {
        "board": found.board,
        "added": list(found.added.values()),
        "gone": list(found.gone.values()),
        "changed": changed,
        "columns_added": list(found.columns_added),
        "columns_gone": list(found.columns_gone),
        "ranks": moves,
    }


def _key_data(key: Key) -> dict[str, Any]:
    return dict(zip(("subset", "method", "seed"), key, strict=True))


def _by_method(what: str, rows: dict[Key, Row]) -> Iterator[list[str]]:
    """A line for each method and subset: its seeds, and their mean accuracy."""
    groups: dict[tuple[int, str], list[tuple[int, Row]]] = defaultdict(list)
    for (subset, method, seed), row in rows.items():
        groups[subset, method].append((seed, row))
    for (subset, method), members in groups.items():
        seeds = tuple(seed for seed, _ in members)
        values = [_number(row.get("accuracy", "")) for _, row in members]
        known = [value for value in values if value is not None]
        mean = f"{100 * fmean(known):.2f}" if len(known) == len(values) else "–"
        yield [what, method, str(subset), span(seeds), mean]


def _cell_rows(key: Key, cells: dict[str, Cell]) -> Iterator[list[str]]:
    subset, method, seed = key
    run = [method, str(subset), str(seed)]
    for column, cell in list(cells.items())[:_MOST_CELLS]:
        yield [*run, column, cell.before or "–", cell.after or "–", _difference(column, cell)]
    if len(cells) > _MOST_CELLS:
        yield [*run, f"and {len(cells) - _MOST_CELLS} more", "", "", ""]


def _difference(column: str, cell: Cell) -> str:
    """How much a metric has moved, in the unit of its column."""
    before, after = _number(cell.before), _number(cell.after)
    if find_metric(column) is None or before is None or after is None:
        return ""
    return f"{after - before:+z.6f}"


def _moves(found: BoardDiff) -> list[list[str]]:
    return [_move(move) for move in found.moves]


def _move(move: Move) -> list[str]:
    before, after = move.before, move.after
    ranks = [each.rank or each.state or "not there" for each in (before, after)]
    accuracies = [_percent(each.accuracy_mean) for each in (before, after)]
    pairs = ((before.n or "0", after.n or "0"), ranks, accuracies)
    return [move.subsets, move.method, *(_arrow(*pair) for pair in pairs)]


def _arrow(before: str, after: str) -> str:
    return before if before == after else f"{before} → {after}"


def _percent(cell: str) -> str:
    value = _number(cell)
    return "–" if value is None else f"{100 * value:.2f}"


def _number(cell: str) -> float | None:
    try:
        return float(cell)
    except ValueError:
        return None
