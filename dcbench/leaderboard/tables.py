"""Leaderboards as CSV, read strictly: other programs and hands may have written them."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path

import pandas as pd

from dcbench.errors import DataError
from dcbench.leaderboard.rows import KEYS, TEXT, Row
from dcbench.leaderboard.summary import HEADLINES, SPREAD
from dcbench.records import write_whole


def read_rows(path: Path) -> list[Row]:
    """The rows of a leaderboard, cell by cell as they are written.

    Raises
    ------
    DataError
        The file is no such table: a column is lacking, a row is longer or shorter than the header,
        or a key is no whole number.
    """
    rows = _read(path, (*KEYS, *HEADLINES, "predictions_sha256"))
    for line, row in enumerate(rows, start=2):
        for key in ("subset", "seed"):
            if not row[key].isdecimal():
                raise DataError(f"{path}, line {line}: {key}='{row[key]}' is no whole number")
    return rows


def read_summary_table(path: Path) -> pd.DataFrame:
    """A summary, with its metrics as numbers; errors as for `read_rows`."""
    spreads = [f"{name}_{kind}" for name in HEADLINES for kind in SPREAD]
    return with_numbers(_read(path, ("subsets", "method", "n", "asked", *spreads)), path)


def with_numbers(rows: Iterable[Row], path: Path) -> pd.DataFrame:
    """Rows as a table whose columns are numbers, but for those of text; an empty cell is NaN."""
    table = pd.DataFrame(rows)
    for column in (name for name in table.columns if name not in TEXT):
        try:
            table[column] = pd.to_numeric(table[column].replace("", None))
        except ValueError as problem:
            raise DataError(f"{path}: column {column}: {problem}") from None
    return table


def write_table(path: Path, table: pd.DataFrame) -> None:
    """Write a table in one piece, numbers with six decimals."""
    text = table.to_csv(index=False, float_format="%.6f", lineterminator="\n")
    write_whole(path, lambda file: file.write(text.encode()))


def _read(path: Path, required: Sequence[str]) -> list[Row]:
    try:
        content = path.read_bytes().decode()
        header, *lines = list(csv.reader(io.StringIO(content), strict=True)) or [[]]
    except (OSError, UnicodeDecodeError, csv.Error) as problem:
        raise DataError(f"{path}: cannot be read: {problem}") from None
    lacking = [column for column in required if column not in header]
    if lacking:
        raise DataError(f"{path}: no such table: there is no column {', '.join(lacking)}")
    for number, line in enumerate(lines, start=2):
        if len(line) != len(header):
            raise DataError(
                f"{path}, line {number}: {len(line)} cells where the header has {len(header)}"
            )
    return [dict(zip(header, line, strict=True)) for line in lines]
