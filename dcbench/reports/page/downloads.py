"""Copies of the tables that a spreadsheet may open without harm."""

from __future__ import annotations

import re
from typing import Any

import pandas as pd

from dcbench.leaderboard.columns import COSTS, LAST_COLUMNS, WHOLE

_FORMULA = re.compile(r"[=+\-@\t\r\n]")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")


def with_decimals(runs: pd.DataFrame) -> pd.DataFrame:
    """Rows of runs with costs and whole numbers as the leaderboard writes them."""
    whole = {column.name: 0 for column in LAST_COLUMNS if column.kind is WHOLE}
    known = {**COSTS, **whole}
    costs = {name: decimals for name, decimals in known.items() if name in runs.columns}
    written = {
        name: [f"{value:.{decimals}f}" if value == value else "" for value in runs[name].tolist()]
        for name, decimals in costs.items()
    }
    return runs.assign(**written)


def harmless(table: pd.DataFrame) -> pd.DataFrame:
    """The table with an apostrophe before every text that a spreadsheet would take for a formula.

    Those begin with `=`, `+`, `-`, `@`, a tab or a line end (OWASP, "CSV Injection"). Numbers stay.
    """
    return table.map(_neutral).rename(columns=_neutral)


def _neutral(value: Any) -> Any:
    if isinstance(value, str) and _FORMULA.match(value) and not _NUMBER.fullmatch(value):
        return f"'{value}"
    return value
