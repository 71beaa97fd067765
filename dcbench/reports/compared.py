"""Comparisons of stored runs: as a table on the terminal, as a paper's table, and as plain data."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from dcbench.leaderboard.comparison import Comparison
from dcbench.leaderboard.ranks import LEVEL
from dcbench.leaderboard.statistics import Difference
from dcbench.metrics.metric import Metric
from dcbench.metrics.table import find_metric
from dcbench.reports.paper import Line, PaperCell, PaperTable, column_title, in_paper
from dcbench.reports.terminal import difference_text, interval_text, mean_text, p_text

COLUMNS = (
    *("metric", "method", "runs", "mean", "difference", "95 % interval", "pairs"),
    *("p", "p (Holm)", "verdict"),
)


def comparison_rows(comparison: Comparison) -> list[list[str]]:
    """The rows of a table with `COLUMNS`: by metric, the side that is compared with first."""
    rows = []
    for metric, differences in _by_metric(comparison).items():
        rows.append([*_mean_cells(comparison, metric, comparison.against), *["–"] * 6])
        for each in differences:
            rows.append([*_mean_cells(comparison, metric, each.method), *_test_cells(each, metric)])
    return rows


def _by_metric(comparison: Comparison) -> dict[Metric, list[Difference]]:
    found: dict[str, list[Difference]] = {}
    for each in comparison.differences:
        found.setdefault(each.metric, []).append(each)
    metrics = {key: find_metric(key) for key in found}
    return {metric: found[key] for key, metric in metrics.items() if metric is not None}


def _mean_cells(comparison: Comparison, metric: Metric, side: str) -> list[str]:
    [row] = comparison.board.summary.query("method == @side").to_dict("records")
    return [column_title(metric), side, str(row["n"]), mean_text(row, metric)]


def _test_cells(each: Difference, metric: Metric) -> list[str]:
    return [
        difference_text(each),
        interval_text(each),
        str(each.n),
        p_text(each.p) if each.n > 1 else "–",
        "–" if each.p_holm is None else p_text(each.p_holm),
        verdict(each, metric),
    ]


def verdict(each: Difference, metric: Metric) -> str:
    """What a test says of a method, in the field's words."""
    if not each.significant:
        return each.no_test or "not significantly different"
    if metric.best == "none":
        return f"significantly {'higher' if each.mean > 0 else 'lower'}"
    better = (each.mean < 0) == metric.lower_is_better
    return f"significantly {'better' if better else 'worse'}"


def recipe_lines(comparison: Comparison) -> list[str]:
    """A line on each side with another recipe, and one on those that have the same."""
    others = [side for side in comparison.sides if side != comparison.against]
    found = {side: comparison.recipe_of(side) for side in others}
    same = [side for side, differing in found.items() if not differing]
    lines = [f"{side}: {'; '.join(differing)}" for side, differing in found.items() if differing]
    if same:
        lines.append(f"{', '.join(same)}: the recipe of {comparison.against}")
    return [f"{comparison.title}: {line}" for line in lines]


def how_compared(comparisons: Sequence[Comparison]) -> str:
    """A sentence on the tests."""
    against = comparisons[0].against
    counts = {
        metric.key: sum(each.p_holm is not None for each in differences)
        for metric, differences in _all_by_metric(comparisons).items()
    }
    most = max(counts.values())
    tests = "one test" if most == 1 else f"{most} tests"
    return (
        f"differences to {against} over runs of equal subset and seed: paired t-test, two-sided; "
        f"Holm's correction over {tests} of each metric; significant: p < {LEVEL}"
    )


def _all_by_metric(comparisons: Sequence[Comparison]) -> dict[Metric, list[Difference]]:
    found: dict[Metric, list[Difference]] = {}
    for comparison in comparisons:
        for metric, differences in _by_metric(comparison).items():
            found.setdefault(metric, []).extend(differences)
    return found


def as_data(comparison: Comparison) -> dict[str, Any]:
    """A comparison as JSON has it; what is no number is null."""
    sides = [
        {
            "name": name,
            "method": runs[0].record.method,
            "settings": runs[0].record.settings,
            "runs": [str(run.folder) for run in runs],
            "custom": any(run.record.status == "custom" for run in runs),
            "recipe_differs": [] if name == comparison.against else comparison.recipe_of(name),
        }
        for name, runs in comparison.sides.items()
    ]
    differences = [
        {key: None if value != value else value for key, value in asdict(each).items()}
        for each in comparison.differences
    ]
    board = comparison.board
    return {
        "protocol": board.protocol,
        "split": board.split,
        "against": comparison.against,
        "methods": sides,
        "differences": differences,
    }


def comparison_table(comparisons: Sequence[Comparison]) -> PaperTable:
    """A paper's table: of each split and metric the means, and the differences beside them."""
    metrics = list(_all_by_metric(comparisons))
    against = comparisons[0].against
    sides = dict.fromkeys(side for each in comparisons for side in each.sides if side != against)
    lines = [
        Line(side, tuple(_paper_cells(comparisons, metrics, side))) for side in (against, *sides)
    ]
    protocols = {each.board.protocol for each in comparisons}
    return PaperTable(
        splits=tuple(
            each.board.split
            if len(protocols) == 1
            else f"{each.board.split} ({each.board.protocol})"
            for each in comparisons
        ),
        titles=tuple(
            title for metric in metrics for title in (column_title(metric), f"− {against}")
        ),
        measured=tuple(lines),
        caption=f"dcbench, protocol {', '.join(sorted(protocols))}; ± half of the 95 % interval; "
        f"{how_compared(comparisons)}; bold: significantly different.",
    )


def _paper_cells(
    comparisons: Sequence[Comparison], metrics: Sequence[Metric], side: str
) -> list[PaperCell]:
    cells = []
    for comparison in comparisons:
        tests = {(each.metric, each.method): each for each in comparison.differences}
        means = {row["method"]: row for row in comparison.board.summary.to_dict("records")}
        for metric in metrics:
            row = means.get(side, {})
            mean, half = (row.get(f"{metric.key}_{kind}", math.nan) for kind in ("mean", "ci95"))
            cells.append(PaperCell(in_paper(metric, mean), in_paper(metric, half)))
            cells.append(_paper_difference(tests.get((metric.key, side)), metric))
    return cells


def _paper_difference(each: Difference | None, metric: Metric) -> PaperCell:
    if each is None:
        return PaperCell()
    return PaperCell(
        in_paper(metric, each.mean, "+"),
        in_paper(metric, each.high - each.mean),
        bool(each.significant),
    )
