"""What a table may lack: columns that came after it was written, and cells that are empty."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import pandas as pd

from dcbench.errors import UsageError
from dcbench.leaderboard.boards import Board, titled


def has_values(table: pd.DataFrame, column: str) -> bool:
    """Whether a table has a column with a number in it."""
    return column in table.columns and bool(table[column].notna().any())


def values_of(table: pd.DataFrame, column: str) -> list[float]:
    """The numbers of a column, without the empty cells; none where the column is absent."""
    return table[column].dropna().tolist() if column in table.columns else []


def has_subset_0(board: Board) -> bool:
    """Whether a leaderboard has a run of subset 0, which most tables are of."""
    return bool((board.summary["subsets"] == "0").any())


def rows_of_subset_0(board: Board) -> dict[str, dict[Hashable, Any]]:
    """The rows of the summary over subset 0 by method, in order of rank, then of mean accuracy.

    Raises
    ------
    UsageError
        There is none.
    """
    if not has_subset_0(board):
        name = titled(f"{board.split} under {board.protocol}", board.track)
        raise UsageError(f"{name} has no run of subset 0, which the table is of")
    ordered = board.summary.sort_values(
        ["rank", "accuracy_mean"], ascending=[True, False], na_position="last", kind="stable"
    )
    rows = ordered.to_dict("records")
    return {str(row["method"]): row for row in rows if row["subsets"] == "0"}
