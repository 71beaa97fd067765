"""A record as a row of a leaderboard: keys first, then metrics in fractions, then provenance."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby

from dcbench.config.text import span
from dcbench.leaderboard.column_order import columns_of, row_names
from dcbench.leaderboard.columns import DEFAULTS
from dcbench.records.schema import Record

Row = dict[str, str]
"""Every cell as it stands in the CSV."""

Key = tuple[int, str, int]
"""Subset, method and seed of a row."""


def row_of(record: Record, footnote: str = "") -> Row:
    """The row of a record; a metric or a cost that is not there is an empty cell."""
    cells = {column.name: column.take(record) for column in columns_of(record)}
    return {**cells, "footnote": footnote}


def is_whole(cell: str) -> bool:
    """Whether a cell is a whole number that any column may hold: up to nine digits of ASCII."""
    return cell.isascii() and cell.isdecimal() and len(cell) <= 9


def key_of(row: Row) -> Key:
    """What a row is found by, and sorted by."""
    return int(row["subset"]), row["method"], int(row["seed"])


def run_title(key: Key) -> str:
    """A run, as sentences name it."""
    subset, method, seed = key
    return f"subset {subset}, method {method}, seed {seed}"


def runs_in_brief(keys: Iterable[Key], most: int = 4) -> str:
    """Runs in part of a sentence: `erm (seeds 0-9), mixup (subset 1, seeds 0,2)`.

    Subset 0 is not named. Of more than `most` methods and subsets, the others are counted.
    """
    grouped = {group: list(runs) for group, runs in groupby(sorted(keys), key=lambda key: key[:2])}
    named = []
    for (subset, method), runs in list(grouped.items())[:most]:
        seeds = tuple(seed for _, _, seed in runs)
        where = f"subset {subset}, " if subset else ""
        named.append(f"{method} ({where}seed{'s' if len(seeds) > 1 else ''} {span(seeds)})")
    left = sum(len(runs) for runs in list(grouped.values())[most:])
    return ", ".join([*named, *([f"and {left} more"] if left else [])])


def in_order(rows: Iterable[Row]) -> list[Row]:
    """Rows with the same columns in their order; a cell that a row lacks is at its default."""
    rows = list(rows)
    headers = dict.fromkeys(map(tuple, rows))
    names = row_names(name for header in headers for name in header)
    return [{name: row.get(name) or DEFAULTS.get(name, "") for name in names} for row in rows]
