"""Leaderboards as tables for people: percent, with 95 % intervals and ties."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from typing import Any

import pandas as pd

from dcbench.leaderboard.columns import is_fraction
from dcbench.leaderboard.ranks import LEVEL
from dcbench.leaderboard.statistics import Difference


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


def ties(summary: pd.DataFrame) -> list[str]:
    """Sentences on who shares the first rank, and on who has none."""
    said = []
    for subsets, rows in summary.groupby("subsets", sort=True):
        where = "subset 0" if subsets == "0" else "all subsets"
        best = rows.loc[rows["rank"] == 1].sort_values("accuracy_mean", ascending=False)
        first, *others = best["method"].tolist() or [None]
        if others:
            listed = ", ".join(others)
            said.append(f"{where}: cannot be told apart from {first}, the best: {listed}")
        waiting = rows.loc[rows["rank"].isna(), "method"].tolist()
        if waiting:
            asked = rows["asked"].iloc[0]
            said.append(f"{where}: provisional, for fewer than {asked} runs: {', '.join(waiting)}")
    return said


def difference_rows(
    differences: Mapping[str, Iterable[Difference]],
) -> tuple[list[str], list[list[str]]]:
    """Column titles and rows of the paired differences over each choice of subsets."""
    rows = [
        [subsets, *_difference(each)]
        for subsets, group in differences.items()
        for each in sorted(group, key=lambda each: -each.mean)
    ]
    columns = ["subsets", "method", "pairs", "difference", "95 % interval", "p", "p (Holm)"]
    return [*columns, "told apart"], rows


def _difference(each: Difference) -> list[str]:
    show = "{:+.2%}" if is_fraction(each.metric) else "{:+.4g}"
    mean, low, high = (show.format(value) for value in (each.mean, each.low, each.high))
    return [
        each.method,
        str(each.n),
        mean,
        f"{low} to {high}" if each.n > 1 else "–",
        _p(each.p),
        "–" if each.p_holm is None else _p(each.p_holm),
        "provisional" if each.p_holm is None else "yes" if each.p_holm < LEVEL else "no",
    ]


def _p(value: float) -> str:
    return "< 0.0001" if value < 1e-4 else f"{value:.4f}"
