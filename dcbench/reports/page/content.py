"""What the page shows of a board: tables of methods with their runs, as text and positions."""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import chain, count
from typing import Any

import pandas as pd

from dcbench.config.text import duration
from dcbench.data.splits import split_config
from dcbench.leaderboard.boards import Board
from dcbench.metrics.metric import Metric
from dcbench.metrics.table import metrics_of
from dcbench.reports.absent import values_of
from dcbench.reports.page.columns import metrics_of_methods, metrics_of_runs
from dcbench.reports.page.cost import RelativeCost, relative_costs
from dcbench.reports.page.intervals import Axis, Drawing, axis_over, interval_drawing

[_ACCURACY] = metrics_of(["accuracy"])
SUBSETS = {"0": "Subset 0", "all": "All subsets"}
_Values = dict[Hashable, Any]


@dataclass(frozen=True)
class PageCell:
    """A number of a table of the page: as shown, its spread, and what it is sorted by."""

    text: str = "–"
    spread: str = ""
    order: float | None = None


@dataclass(frozen=True)
class RunRow:
    """One run."""

    subset: int
    seed: int
    cells: tuple[PageCell, ...]
    notes: tuple[str, ...]
    predictions_sha256: str
    accuracy: float | None
    ece15: float | None


@dataclass(frozen=True)
class MethodRow:
    """A method over its runs; `key` is its address, `tied` are the methods that share its rank."""

    key: str
    method: str
    state: str
    rank: int | None
    tied: tuple[str, ...]
    n: int
    asked: int
    accuracy: PageCell
    cells: tuple[PageCell, ...]
    cost: PageCell
    drawing: Drawing | None
    unverified: str
    runs: tuple[RunRow, ...]


@dataclass(frozen=True)
class MethodTable:
    """All methods over the same subsets."""

    key: str
    title: str
    metrics: list[Metric]
    run_metrics: list[Metric]
    axis: Axis
    rows: list[MethodRow]
    subsets: str

    @property
    def first(self) -> bool:
        """Whether it is of the subset that ranks are given for first."""
        return self.subsets == "0"

    def runs_of(self, board: Board) -> pd.DataFrame:
        """The rows of a board that the table is over."""
        return _runs_over(board, self.subsets)


def slug(*parts: str) -> str:
    """A name for an element of the page."""
    return re.sub(r"[^A-Za-z0-9]+", "-", "-".join(parts)).strip("-").lower()


def slugs(names: Iterable[str]) -> dict[str, str]:
    """A name for each of several texts, no two the same."""
    found: dict[str, str] = {}
    taken: set[str] = set()
    for name in sorted(set(names)):
        plain = slug(name) or "method"
        numbers = (f"{plain}-{number}" for number in count(2))
        found[name] = next(each for each in chain([plain], numbers) if each not in taken)
        taken.add(found[name])
    return found


def method_tables(board: Board) -> list[MethodTable]:
    """The tables of a board, one for each choice of subsets, best methods first."""
    return [
        _table(board, subsets, board.summary[board.summary["subsets"].astype(str) == subsets])
        for subsets in SUBSETS
        if (board.summary["subsets"].astype(str) == subsets).any()
    ]


def _table(board: Board, subsets: str, summary: pd.DataFrame) -> MethodTable:
    ood = split_config(board.split).ood
    runs = _runs_over(board, subsets).sort_values(["method", "subset", "seed"])
    shown, run_metrics = metrics_of_methods(summary, ood), metrics_of_runs(runs, ood)
    axis = _axis(summary, runs)
    key = slug(board.protocol, board.file_name, "subset", subsets)
    by_method: dict[str, list[_Values]] = defaultdict(list)
    for run in runs.to_dict("records"):
        by_method[run["method"]].append(run)
    costs = relative_costs(runs)
    named = slugs(by_method)
    rows = [
        _method_row(
            f"{key}-{named[values['method']]}",
            values,
            by_method[values["method"]],
            shown,
            run_metrics,
            axis,
            _cost_cell(costs[values["method"]], values),
        )
        for values in _best_first(summary)
    ]
    return MethodTable(key, SUBSETS[subsets], shown, run_metrics, axis, rows, subsets)


def _runs_over(board: Board, subsets: str) -> pd.DataFrame:
    runs = board.runs
    return runs if subsets == "all" else runs[runs["subset"] == int(subsets)]


def _best_first(summary: pd.DataFrame) -> Iterable[_Values]:
    """Ranked rows by rank, then provisional ones, by accuracy among equals."""
    ordered = summary.sort_values(
        ["rank", "accuracy_mean"], ascending=[True, False], na_position="last"
    )
    return ordered.to_dict("records")


def _axis(summary: pd.DataFrame, runs: pd.DataFrame) -> Axis:
    halves = zip(summary["accuracy_mean"] * 100, summary["accuracy_ci95"] * 100, strict=True)
    known = [(mean - half, mean + half) for mean, half in halves if not math.isnan(half)]
    return axis_over([100 * value for value in values_of(runs, "accuracy")] or [0, 100], known)


def _method_row(
    key: str,
    values: _Values,
    own: Sequence[_Values],
    shown: Sequence[Metric],
    run_metrics: Sequence[Metric],
    axis: Axis,
    cost: PageCell,
) -> MethodRow:
    return MethodRow(
        key=key,
        method=str(values["method"]),
        state=str(values["state"]),
        rank=None if pd.isna(values["rank"]) else int(values["rank"]),
        tied=tuple(text(values["tied"]).split()),
        n=int(values["n"]),
        asked=int(values["asked"]),
        accuracy=_mean_cell(values, _ACCURACY),
        cells=tuple(_mean_cell(values, metric) for metric in shown),
        cost=cost,
        drawing=_drawing(axis, values, own),
        unverified=text(values.get("unverified_data")),
        runs=tuple(_run_row(run, run_metrics) for run in own),
    )


def _cost_cell(cost: RelativeCost, values: _Values) -> PageCell:
    few = int(values["n"]) < int(values["asked"])
    shown = replace(cost, at_most=cost.at_most or few)
    return PageCell(shown.text, shown.flops_text, shown.time)


def _drawing(axis: Axis, values: _Values, own: Sequence[_Values]) -> Drawing | None:
    mean, half = number(values["accuracy_mean"]), number(values["accuracy_ci95"])
    if mean is None:
        return None
    named = [
        (f"subset {run['subset']}, seed {run['seed']}", run["accuracy"] * 100)
        for run in own
        if number(run["accuracy"]) is not None
    ]
    return interval_drawing(axis, mean * 100, None if half is None else half * 100, named)


def _mean_cell(values: _Values, metric: Metric) -> PageCell:
    mean = number(values[f"{metric.key}_mean"])
    if mean is None:
        return PageCell()
    half = number(values.get(f"{metric.key}_ci95"))
    return PageCell(metric.text(mean), "" if half is None else f"±{metric.text(half)}", mean)


def _run_row(values: _Values, run_metrics: Sequence[Metric]) -> RunRow:
    found = [(metric, number(values[metric.key])) for metric in run_metrics]
    seconds = number(values.get("train_seconds"))
    cells = [
        PageCell() if value is None else PageCell(metric.text(value)) for metric, value in found
    ]
    cells.append(PageCell() if seconds is None else PageCell(duration(seconds)))
    unverified = text(values.get("unverified_data"))
    notes = [text(values.get("device")), text(values.get("footnote"))]
    return RunRow(
        subset=int(values["subset"]),
        seed=int(values["seed"]),
        cells=tuple(cells),
        notes=tuple(filter(None, [*notes, unverified and f"not the official files: {unverified}"])),
        predictions_sha256=text(values["predictions_sha256"]),
        accuracy=number(values.get("accuracy")),
        ece15=number(values.get("ece15")),
    )


def number(value: Any) -> float | None:
    """A cell of a table as a number; None where it is empty."""
    return None if value is None or pd.isna(value) else float(value)


def text(value: Any) -> str:
    """A cell of a table as text; "" where it is empty."""
    return "" if value is None or pd.isna(value) else str(value)
