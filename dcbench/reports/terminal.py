"""Leaderboards as tables for people: percent, with 95 % intervals and ties."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from typing import Any

import pandas as pd

from dcbench.leaderboard.statistics import Difference
from dcbench.metrics.metric import Metric
from dcbench.metrics.table import TERMINAL, find_metric, is_headline_ood, metrics_of
from dcbench.reports.absent import has_values

PLUS_MINUS = "\N{NO-BREAK SPACE}±\N{NO-BREAK SPACE}"
"""As pages have it: a number stays on the line of its interval."""


def with_minus(number: str) -> str:
    """A number with a minus sign where a terminal has a hyphen: for pages and papers."""
    return number.replace("-", "−")


def display_rows(summary: pd.DataFrame) -> tuple[list[str], list[list[str]]]:
    """Column titles and rows of a summary, best rank first; `1 =` is a rank that is shared."""
    shown = [metric for metric in _shown(summary) if has_values(summary, f"{metric.key}_mean")]
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
            *(mean_text(row, metric) for metric in shown),
        ]
        for row in order.to_dict("records")
    ]
    return ["subsets", "rank", "method", "runs", *map(_title, shown)], rows


def _shown(summary: pd.DataFrame) -> list[Metric]:
    """The metrics of the table: some of the test set's, and that of the first OOD set."""
    names = (name.removesuffix("_mean") for name in summary.columns if name.endswith("_mean"))
    first = next(filter(is_headline_ood, names), None)
    near = None if first is None else find_metric(first)
    return [*metrics_of(TERMINAL), *([] if near is None else [near])]


def _title(metric: Metric) -> str:
    """The head of a column, in lower case as the others are, but for abbreviations."""
    if metric.key.startswith("ood."):
        return f"{metric.short_title} {metric.key.split('.')[1]} %"
    title = metric.column_title
    return title[0].lower() + title[1:] if title[1:2].islower() else title


def _rank(row: dict[Hashable, Any], shared: Any) -> str:
    if pd.isna(row["rank"]):
        return str(row["state"])
    return f"{row['rank']} =" if shared[row["subsets"], row["rank"]] > 1 else str(row["rank"])


def mean_text(
    row: Mapping[Hashable, Any],
    metric: Metric,
    decimals: int | None = None,
    plus_minus: str = " ± ",
) -> str:
    """The mean of a metric in a row of a summary, with half of its 95 % interval.

    A dash where the row, or its table, has no mean. Two decimals at least, if none are asked for.
    """
    mean, half = row.get(f"{metric.key}_mean"), row.get(f"{metric.key}_ci95")
    digits = max(metric.decimals, 2) if decimals is None else decimals
    interval = "" if pd.isna(half) else f"{plus_minus}{metric.text(half, digits)}"
    return "–" if pd.isna(mean) else f"{metric.text(mean, digits)}{interval}"


def ties(summary: pd.DataFrame) -> list[str]:
    """Sentences on who shares the first rank, and on who has none."""
    said = []
    for subsets, rows in summary.groupby("subsets", sort=True):
        where = "subset 0" if subsets == "0" else "all subsets"
        best = rows.loc[rows["rank"] == 1].sort_values("accuracy_mean", ascending=False)
        first, *others = best["method"].tolist() or [None]
        if others:
            listed = ", ".join(others)
            said.append(f"{where}: not significantly different from {first}, the best: {listed}")
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
    return [*columns, "significantly different"], rows


def _difference(each: Difference) -> list[str]:
    return [
        each.method,
        str(each.n),
        difference_text(each),
        interval_text(each),
        p_text(each.p),
        "–" if each.p_holm is None else p_text(each.p_holm),
        "yes" if each.significant else each.no_test or "no",
    ]


def difference_text(each: Difference) -> str:
    """The mean difference with its sign; of fractions in percentage points; a dash for no pair."""
    return _signed(each, each.mean) if each.n else "–"


def interval_text(each: Difference) -> str:
    """The 95 % interval of the mean difference; a dash for a single pair."""
    return f"{_signed(each, each.low)} to {_signed(each, each.high)}" if each.n > 1 else "–"


def difference_half(each: Difference, plus_minus: str = " ± ") -> str:
    """`+2.8 ± 0.6`: the mean difference with half of its 95 % interval, which one pair lacks.

    Of fractions in percentage points with one decimal, of other metrics with three.
    """
    metric = find_metric(each.metric)
    scale, digits = (100, 1) if metric is not None and metric.percent else (1, 3)
    mean = with_minus(f"{scale * each.mean:+z.{digits}f}")
    return mean if each.n < 2 else f"{mean}{plus_minus}{scale * (each.high - each.mean):.{digits}f}"


def _signed(each: Difference, value: float) -> str:
    metric = find_metric(each.metric)
    return f"{value:+z.2%}" if metric is not None and metric.percent else f"{value:+z.4g}"


def p_text(value: float) -> str:
    """A p value with four decimals."""
    return "<0.0001" if value < 1e-4 else f"{value:.4f}"
