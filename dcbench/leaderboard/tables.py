"""Leaderboards as CSV, read strictly: other programs and hands may have written them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import pandas as pd

from dcbench.config.reading import MOST_TABLE, parse_csv, read_file
from dcbench.errors import DataError
from dcbench.leaderboard.column_order import summary_names
from dcbench.leaderboard.columns import (
    COSTS,
    KEYS,
    REQUIRED,
    SUMMARY_COLUMNS,
    TEXT_COLUMNS,
    is_known,
)
from dcbench.leaderboard.rows import Row, in_order, is_whole, key_of, run_title
from dcbench.records.atomic import write_bytes

_LARGEST = 1e100
"""No number of a leaderboard comes near it; sums of larger ones may overflow."""


def runs_path(folder: Path, split: str) -> Path:
    """The rows of a split, in the folder of a protocol."""
    return folder / "runs" / f"{split}.csv"


def summary_path(folder: Path, split: str) -> Path:
    """The summary of a split, in the folder of a protocol."""
    return folder / f"{split}.csv"


def retired_path(folder: Path, split: str) -> Path:
    """The rows of a split that count no more, in the folder of a protocol."""
    return folder / "retired" / f"{split}.csv"


def read_rows(path: Path) -> list[Row]:
    """The rows of a leaderboard, cell by cell as they are written.

    Columns that came after the file was written are there, and empty.

    Raises
    ------
    DataError
        The file is no table of rows: it lacks a column of `REQUIRED`, a row is longer or shorter
        than the header, a key is no whole number, or a run is there twice.
    """
    return parse_rows(_content(path), path)


def parse_rows(content: bytes, where: Path | str, unique: Sequence[str] = ()) -> list[Row]:
    """The rows in the bytes of a file; as `read_rows`.

    `unique` are the columns that tell rows apart beside their keys.
    """
    rows = _parse(content, where, REQUIRED)
    for line, row in enumerate(rows, start=2):
        for name in ("subset", "seed"):
            if not is_whole(row[name]):
                raise DataError(f"{where}, line {line}: {name}='{row[name]}' is no whole number")
    keys = [key_of(row) for row in rows]
    seen = set()
    for line, (key, row) in enumerate(zip(keys, rows, strict=True), start=2):
        one = (key, *(row[name] for name in unique))
        if one in seen:
            raise DataError(f"{where}, line {line}: {run_title(key)} is there twice")
        seen.add(one)
    return in_order(rows)


def read_retired(path: Path) -> list[Row]:
    """The rows that count no more, of which a run may have several; errors as for `read_rows`."""
    return parse_rows(_content(path), path, unique=("predictions_sha256",))


def read_cells(path: Path) -> list[Row]:
    """The rows of a file, whatever their cells hold; errors of the table alone."""
    return _parse(_content(path), path, REQUIRED)


def read_summary_rows(path: Path) -> list[Row]:
    """The rows of a summary, cell by cell; errors as for `read_rows`."""
    return parse_summary_rows(_content(path), path)


def parse_summary_rows(content: bytes, where: Path | str) -> list[Row]:
    """The rows in the bytes of a summary; errors as for `read_rows`.

    Required are the columns that say whose means they are, and how the method stands.
    """
    required = [column.name for column in SUMMARY_COLUMNS[:-1]]
    rows = _parse(content, where, required)
    names = summary_names(name for row in rows for name in row)
    return [{name: row.get(name, "") for name in names} for row in rows]


def read_summary(path: Path) -> pd.DataFrame:
    """A summary with its numbers as numbers; `rank` is a nullable whole number."""
    rows = read_summary_rows(path)
    if not rows:
        raise DataError(f"{path}: holds no row; build again")
    table = with_numbers(rows, path)
    return table.astype({"rank": "Int64"})


def with_numbers(rows: Iterable[Row], where: Path | str) -> pd.DataFrame:
    """Rows as a table whose columns are numbers, but for those of text; an empty cell is NaN."""
    table = pd.DataFrame(rows)
    for column in (name for name in table.columns if name not in TEXT_COLUMNS):
        try:
            numbers = pd.to_numeric(table[column].replace("", None))
            if not pd.api.types.is_integer_dtype(numbers):
                numbers = numbers.astype("float64")
        except (ValueError, OverflowError) as problem:
            if not is_known(column):
                continue  # of a later version, whose text is none of ours to judge
            raise DataError(f"{where}: column {column}: {problem}") from None
        if (numbers.abs() > _LARGEST).any():
            raise DataError(f"{where}: column {column}: a number is too large")
        table[column] = numbers
    return table


def table_text(table: pd.DataFrame) -> str:
    """A table as CSV: numbers with six decimals, costs with their own."""
    table = table.copy()
    for name, decimals in COSTS.items():
        if f"{name}_mean" in table.columns:
            values = table[f"{name}_mean"].tolist()
            table[f"{name}_mean"] = [
                f"{value:.{decimals}f}" if value == value else "" for value in values
            ]
    return table.to_csv(index=False, float_format="%.6f", lineterminator="\n")


def write_table(path: Path, table: pd.DataFrame) -> None:
    """Write a table in one piece."""
    write_bytes(path, table_text(table).encode())


def is_rows(path: Path) -> bool:
    """Whether a file holds rows, as `<split>.csv` once did, and not a summary."""
    return path.exists() and has_rows(_content(path))


def has_rows(content: bytes) -> bool:
    """Whether the header of a table is that of rows."""
    return content.startswith(",".join(KEYS).encode() + b",")


def _content(path: Path) -> bytes:
    return read_file(path, most=MOST_TABLE)


def _parse(content: bytes, where: Path | str, required: Sequence[str]) -> list[Row]:
    header, lines = parse_csv(content, where)
    lacking = [column for column in required if column not in header]
    if lacking:
        raise DataError(f"{where}: not such a table: there is no column {', '.join(lacking)}")
    return [dict(zip(header, line, strict=True)) for line in lines]
