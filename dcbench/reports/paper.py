"""Tables for papers: what they hold; `latex` writes them as LaTeX or Markdown."""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any, Literal, NamedTuple

from dcbench.errors import UsageError
from dcbench.leaderboard.boards import Board, titled
from dcbench.leaderboard.ranks import standings
from dcbench.metrics.metric import Metric
from dcbench.metrics.table import metric_of
from dcbench.reports.absent import has_values, rows_of_subset_0
from dcbench.reports.reported import Reported
from dcbench.reports.terminal import with_minus

Spread = Literal["ci95", "sd", "none"]
"""What stands after ±: half of the 95 % interval, the standard deviation, or nothing."""


@dataclass(frozen=True)
class PaperCell:
    """A number of a paper's table.

    Attributes
    ----------
    text : str
        The mean; empty where there is none.
    spread : str
        What stands after ±; empty where nothing does.
    best : bool
        Whether it is the best of its column, or not significantly different from it.
    """

    text: str = ""
    spread: str = ""
    best: bool = False


@dataclass(frozen=True)
class Line:
    """A row of a table: a method; `provisional`: it lacks runs somewhere."""

    method: str
    cells: tuple[PaperCell, ...]
    provisional: bool = False


@dataclass(frozen=True)
class PaperTable:
    """A table before it is written.

    Attributes
    ----------
    splits : tuple of str
    titles : tuple of str
        Every split has a column under each title.
    measured, reported : tuple of Line
        Reported lines have numbers of one source each, named in `sources`.
    caption : str
        Protocol, runs, spread, and the date of the newest run.
    sources : tuple of str
        In the order of the reported lines.
    """

    splits: tuple[str, ...]
    titles: tuple[str, ...]
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

    The best number of a column is marked, and so is every one that is not significantly different
    from it: paired tests, Holm's correction over all pairs of complete methods. Provisional methods
    are shown and never marked. Reported numbers that are known to be of other subsets are left out.

    Raises
    ------
    UsageError
        An unknown metric, one that no run of the splits has, or a split without a run of subset 0.
    """
    shown = tuple(_metric(key, boards) for key in metrics)
    summaries = [rows_of_subset_0(board) for board in boards]
    columns = [
        _Column(metric, summary, _best(board, summary, metric))
        for board, summary in zip(boards, summaries, strict=True)
        for metric in shown
    ]
    lines = []
    # All methods, in the order of the first split, then of the others'.
    for method in dict.fromkeys(method for summary in summaries for method in summary):
        cells = tuple(_cell(column, method, spread) for column in columns)
        provisional = any(_is_provisional(summary, method) for summary in summaries)
        lines.append(Line(method, cells, provisional))
    reported = [each for each in reported if each.split in _splits(boards)]
    asked = [each for each in reported if each.metric in metrics and each.value is not None]
    quoted, sources = _quoted([each for each in asked if _fits(each)], _splits(boards), shown)
    left_out = sorted({each.source for each in asked if not _fits(each)})
    return PaperTable(
        splits=_splits(boards),
        titles=tuple(map(column_title, shown)),
        measured=tuple(lines),
        caption=_caption(boards, summaries, spread, marked=any(column.best for column in columns))
        + "".join(f" Left out, of other subsets: numbers of {source}." for source in left_out),
        reported=quoted,
        sources=sources,
    )


def column_title(metric: Metric) -> str:
    """The head of a column; one of an OOD set names the set: `AUROC (%) cifar100`."""
    parts = metric.key.split(".")
    return metric.paper_title if len(parts) == 1 else f"{metric.paper_title} {parts[1]}"


def _metric(key: str, boards: Sequence[Board]) -> Metric:
    """The metric of a key, of which a summary has a mean."""
    metric = metric_of(key)
    if not any(has_values(board.summary, f"{key}_mean") for board in boards):
        raise UsageError(f"metric {key}: no run of {', '.join(_splits(boards))} has it")
    return metric


def _splits(boards: Sequence[Board]) -> tuple[str, ...]:
    return tuple(board.split for board in boards)


_Summary = dict[str, dict[Hashable, Any]]
"""The rows of subset 0 by method."""


class _Column(NamedTuple):
    """A metric of a split; `best` are the methods that are marked."""

    metric: Metric
    summary: _Summary
    best: set[str]


def _is_provisional(summary: _Summary, method: str) -> bool:
    row = summary.get(method)
    return row is not None and row["state"] == "provisional"


def _best(board: Board, summary: _Summary, metric: Metric) -> set[str]:
    """Methods that are best by a metric, or not significantly different from the best."""
    if metric.best == "none" or not has_values(board.runs, metric.key):
        return set()
    ranked = [method for method, row in summary.items() if row["state"] == "ranked"]
    runs = board.runs[(board.runs["subset"] == 0) & board.runs["method"].isin(ranked)]
    values = runs.pivot(index="seed", columns="method", values=metric.key).dropna(axis="columns")
    if values.empty:
        return set()
    sign = -1 if metric.lower_is_better else 1
    return {method for method, found in standings(sign * values).items() if found.rank == 1}


def _cell(column: _Column, method: str, spread: Spread) -> PaperCell:
    metric, row = column.metric, column.summary.get(method, {})

    def number(kind: str) -> str:
        return in_paper(metric, float(row.get(f"{metric.key}_{kind}", math.nan)))

    return PaperCell(
        number("mean"), "" if spread == "none" else number(spread), method in column.best
    )


def in_paper(metric: Metric, value: float, sign: Literal["", "+"] = "") -> str:
    """A value with the decimals of a paper: one of a percentage, else those of the metric.

    Empty for NaN. A difference has its `sign` also above zero.
    """
    digits = 1 if metric.percent else metric.decimals
    return "" if math.isnan(value) else with_minus(f"{metric.shown(value):{sign}z.{digits}f}")


def _fits(reported: Reported) -> bool:
    """Whether a published number is of subset 0, as far as its source says."""
    return reported.subsets in ((), (0,))


def _quoted(
    reported: Sequence[Reported], splits: Sequence[str], metrics: Sequence[Metric]
) -> tuple[tuple[Line, ...], tuple[str, ...]]:
    """Lines of each published method and table: several where it has several numbers of a cell."""
    lines, sources = [], []
    kinds = dict.fromkeys((each.table, each.method, each.source) for each in reported)
    for table, method, source in kinds:
        columns = [
            [
                PaperCell(in_paper(metric, each.value))
                for each in reported
                if (each.table, each.method, each.source) == (table, method, source)
                and (each.split, each.metric) == (split, metric.key)
                and each.value is not None
            ]
            for split in splits
            for metric in metrics
        ]
        for cells in zip_longest(*columns, fillvalue=PaperCell()):
            lines.append(Line(method, cells))
            sources.append(source)
    return tuple(lines), tuple(sources)


def _caption(
    boards: Sequence[Board], summaries: Sequence[_Summary], spread: Spread, *, marked: bool
) -> str:
    rules = titled(f"protocol {boards[0].protocol}", boards[0].track)
    runs = []
    for board, summary in zip(boards, summaries, strict=True):
        counts = sorted({int(row["n"]) for row in summary.values()})
        number = str(counts[0]) if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
        runs.append(f"{number} on {board.split}")
    newest = max(str(board.runs["finished"].max())[:10] for board in boards)
    after = {"ci95": "± half of the 95 % interval", "sd": "± standard deviation", "none": "mean"}
    bold = "bold: best, and what is not significantly different from it; " if marked else ""
    return (
        f"dcbench, {rules}, subset 0; runs: {', '.join(runs)}; {after[spread]}; "
        f"{bold}newest run {newest}."
    )
