"""Leaderboards as tables for people: percent, with 95 % intervals."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import pandas as pd


def display_rows(summary: pd.DataFrame) -> tuple[list[str], list[list[str]]]:
    """Column titles and rows of a summary, best rank first; `1 =` is a rank that is shared."""
    shown = {
        "accuracy %": "accuracy",
        "few %": "accuracy_few",
        "medium %": "accuracy_medium",
        "ECE-15 %": "ece15",
        "NLL": "nll",
    }
    near = [name for name in summary.columns if name.endswith(".msp.auroc_mean")][:1]
    shown |= {f"AUROC {name.split('.')[1]} %": name.removesuffix("_mean") for name in near}
    shown = {title: key for title, key in shown.items() if summary[f"{key}_mean"].notna().any()}
    order = summary.sort_values(
        ["subsets", "rank", "accuracy_mean"], ascending=[True, True, False], na_position="last"
    )
    shared = summary.groupby(["subsets", "rank"]).size()
    rows = [
        [
            str(row["subsets"]),
            _rank(row, shared),
            str(row["method"]),
            f"{row['n']}/{row['asked']}",
            *(_with_interval(row, key, 1 if key == "nll" else 100) for key in shown.values()),
        ]
        for row in order.to_dict("records")
    ]
    return ["subsets", "rank", "method", "runs", *shown], rows


def _rank(row: dict[Hashable, Any], shared: Any) -> str:
    if pd.isna(row["rank"]):
        return str(row["state"])
    return f"{row['rank']} =" if shared[row["subsets"], row["rank"]] > 1 else str(row["rank"])


def _with_interval(row: dict[Hashable, Any], key: str, scale: int) -> str:
    mean, half = row[f"{key}_mean"] * scale, row[f"{key}_ci95"] * scale
    digits = 3 if scale == 1 else 2
    interval = f" ± {half:.{digits}f}" if half == half else ""
    return f"{mean:.{digits}f}{interval}" if mean == mean else "–"
