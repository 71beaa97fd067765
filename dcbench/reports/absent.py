"""What a table may lack: columns that came after it was written, and cells that are empty."""

from __future__ import annotations

import pandas as pd


def has_values(table: pd.DataFrame, column: str) -> bool:
    """Whether a table has a column with a number in it."""
    return column in table.columns and bool(table[column].notna().any())


def values_of(table: pd.DataFrame, column: str) -> list[float]:
    """The numbers of a column, without the empty cells; none where the column is absent."""
    return table[column].dropna().tolist() if column in table.columns else []
