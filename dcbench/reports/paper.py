"""Tables for papers: what stands in them; `export` writes them as LaTeX or Markdown."""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from dcbench.errors import UsageError, unknown
from dcbench.leaderboard.boards import Board
from dcbench.leaderboard.ranks import standings
from dcbench.reports.reported import Reported

Spread = Literal["ci95", "sd", "none"]

TITLES = {
    "accuracy": "Accuracy (%)",
    "balanced_accuracy": "Balanced acc. (%)",
    "accuracy_many": "Many (%)",
    "accuracy_medium": "Medium (%)",
    "accuracy_few": "Few (%)",
    "nll": "NLL",
    "brier": "Brier",
    "ece15": "ECE (%)",
    "adaptive_ece15": "Adaptive ECE (%)",
    "classwise_ece15": "Classwise ECE (%)",
}
"""Metrics that a table may show, as it heads them."""

LOWER_IS_BETTER = frozenset({"nll", "brier", "ece15", "adaptive_ece15", "classwise_ece15"})
NOT_IN_PERCENT = frozenset({"nll", "brier"})


@dataclass(frozen=True)
class Cell:
    """A number of a table.

    Attributes
    ----------
    text : str
        The mean; empty where there is none.
    spread : str
        What stands behind ±; empty where nothing does.
    best : bool
        Whether it is the best of its column, or cannot be told apart from it.
    """

    text: str = ""
    spread: str = ""
    best: bool = False


@dataclass(frozen=True)
class Line:
    """A row of a table: a method; `provisional`: it lacks runs somewhere."""

    method: str
    cells: tuple[Cell, ...]
    provisional: bool = False


@dataclass(frozen=True)
class PaperTable:
    """A table before it is written.

    Attributes
    ----------
    splits, metrics : tuple of str
        Every split has a column for each metric.
    measured, reported : tuple of Line
        Reported lines have numbers of one source each, named in `sources`.
    caption : str
        Protocol, runs, spread, and the date of the newest run.
    sources : tuple of str
        In the order of the reported lines.
    """

    splits: tuple[str, ...]
    metrics: tuple[str, ...]
    measured: tuple[Line, ...]
    caption: str
    reported: tuple[Line, ...] = ()
    sources: tuple[str, ...] = ()


def paper_table(
    boards: Sequence[Board],
    metrics: Sequence[str],
    *,
    spread: Spread = "ci95",
    reported: Iterable[Reported] = (),
) -> PaperTable:
    """A table of subset 0 of some splits of one protocol.

    The best number of a column is marked, and so is every one that cannot be told apart from it:
    paired tests, Holm's correction over all pairs of complete methods. Provisional methods are
    shown and never marked.

    Raises
    ------
    UsageError
        An unknown metric, or one that no run of the splits has.
    """
    for metric in metrics:
        if metric not in TITLES:
            raise unknown("metric", metric, TITLES)
        if all(board.runs[metric].isna().all() for board in boards):
            raise UsageError(f"metric {metric}: no run of {', '.join(_splits(boards))} has it")
    columns = [(board, metric) for board in boards for metric in metrics]
    best = [_best(board, metric) for board, metric in columns]
    lines = []
    for method in _methods(boards):
        cells = tuple(
            _cell(board, metric, method, spread, method in marked)
            for (board, metric), marked in zip(columns, best, strict=True)
        )
        lines.append(Line(method, cells, any(_provisional(board, method) for board in boards)))
    quoted, sources = _quoted(list(reported), _splits(boards), metrics)
    return PaperTable(
        splits=_splits(boards),
        metrics=tuple(metrics),
        measured=tuple(lines),
        caption=_caption(boards, spread, marked=any(best)),
        reported=quoted,
        sources=sources,
    )


def _splits(boards: Sequence[Board]) -> tuple[str, ...]:
    return tuple(board.split for board in boards)


def _summary(board: Board) -> dict[str, dict[Hashable, Any]]:
    """The rows of subset 0 by method, in the order of their ranks, then of their means."""
    ordered = board.summary.sort_values(
        ["rank", "accuracy_mean"], ascending=[True, False], na_position="last", kind="stable"
    )
    rows = ordered.to_dict("records")
    return {str(row["method"]): row for row in rows if row["subsets"] == "0"}


def _methods(boards: Sequence[Board]) -> list[str]:
    """All methods, in the order of the first split, then of the others'."""
    return list(dict.fromkeys(method for board in boards for method in _summary(board)))


def _provisional(board: Board, method: str) -> bool:
    row = _summary(board).get(method)
    return row is not None and row["state"] == "provisional"


def _best(board: Board, metric: str) -> set[str]:
    """Methods that are best by a metric, or cannot be told apart from the best."""
    ranked = [method for method, row in _summary(board).items() if row["state"] == "ranked"]
    runs = board.runs[(board.runs["subset"] == 0) & board.runs["method"].isin(ranked)]
    values = runs.pivot(index="seed", columns="method", values=metric).dropna(axis="columns")
    if values.empty:
        return set()
    sign = -1 if metric in LOWER_IS_BETTER else 1
    return {method for method, found in standings(sign * values).items() if found.rank == 1}


def _cell(board: Board, metric: str, method: str, spread: Spread, best: bool) -> Cell:
    row = _summary(board).get(method, {})
    scale, digits = (1, 3) if metric in NOT_IN_PERCENT else (100, 1)

    def figure(column: str) -> str:
        value = float(row.get(f"{metric}_{column}", math.nan))
        return "" if math.isnan(value) else f"{scale * value:.{digits}f}"

    return Cell(figure("mean"), "" if spread == "none" else figure(spread), best)


def _quoted(
    reported: Sequence[Reported], splits: Sequence[str], metrics: Sequence[str]
) -> tuple[tuple[Line, ...], tuple[str, ...]]:
    """A line for each published method and table, with whatever of the columns it has."""
    lines, sources = [], []
    kinds = dict.fromkeys((each.table, each.method, each.source) for each in reported)
    for table, method, source in kinds:
        cells = []
        for split in splits:
            for metric in metrics:
                values = [
                    each.value
                    for each in reported
                    if (each.table, each.method, each.source) == (table, method, source)
                    and (each.split, each.metric) == (split, metric)
                    and each.value is not None
                ]
                cells.append(Cell(f"{100 * values[0]:.1f}") if values else Cell())
        if any(cell.text for cell in cells):
            lines.append(Line(method, tuple(cells)))
            sources.append(source)
    return tuple(lines), tuple(sources)


def _caption(boards: Sequence[Board], spread: Spread, *, marked: bool) -> str:
    protocol = boards[0].protocol
    runs = []
    for board in boards:
        counts = sorted({int(row["n"]) for row in _summary(board).values()})
        number = str(counts[0]) if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
        runs.append(f"{number} on {board.split}")
    newest = max(str(board.runs["finished"].max())[:10] for board in boards)
    behind = {"ci95": "± half of the 95 % interval", "sd": "± standard deviation", "none": "mean"}
    bold = "bold: best, and what cannot be told apart from it; " if marked else ""
    return (
        f"dcbench, protocol {protocol}, subset 0; runs: {', '.join(runs)}; {behind[spread]}; "
        f"{bold}newest run {newest}."
    )
