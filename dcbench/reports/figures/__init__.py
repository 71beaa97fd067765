"""Figures of leaderboards, as SVG and PDF: `<protocol>-<split>-<figure>`."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import chain, groupby
from pathlib import Path

import matplotlib

from dcbench.data.splits import split_config
from dcbench.errors import UsageError, unknown
from dcbench.leaderboard.across import compare_across
from dcbench.leaderboard.boards import Board
from dcbench.leaderboard.tracks import DEFAULT
from dcbench.records.atomic import writing
from dcbench.reports.absent import has_values
from dcbench.reports.across import why_nothing
from dcbench.reports.figures.accuracy import draw_accuracy
from dcbench.reports.figures.cost import draw_cost
from dcbench.reports.figures.critical import draw_critical_difference
from dcbench.reports.figures.frequency import draw_frequency
from dcbench.reports.figures.layout import Format, TitledFigure, save
from dcbench.reports.figures.learning import draw_learning
from dcbench.reports.figures.ood_scores import draw_ood_scores
from dcbench.reports.figures.pareto import draw_pareto
from dcbench.reports.figures.reliability import draw_reliability
from dcbench.reports.figures.roc import draw_roc
from dcbench.reports.figures.run_data import RunData, find_runs, read_runs, row_keys
from dcbench.reports.figures.style import settings

_log = logging.getLogger(__name__)

FORMATS: tuple[Format, ...] = ("svg", "pdf")
ALL_SPLITS = "all"
"""Stands for the split in the name of a figure with a panel a split."""


def parse_formats(text: str) -> list[Format]:
    """Formats as they are written on a command line: `svg,pdf`."""
    names = [name.strip() for name in text.split(",")]
    for name in names:
        if name not in FORMATS:
            raise unknown("figure format", name, FORMATS)
    return [form for form in FORMATS if form in names]


def draw_figures(
    boards: Sequence[Board],
    results: Path,
    output: Path,
    formats: Sequence[Format] = FORMATS,
) -> list[Path]:
    """Draw every figure of leaderboards, of their runs on subset 0, and those across splits.

    Parameters
    ----------
    results
        Folder of stored runs, for the figures that need predictions or histories. A run belongs
        to a row that names the hash of its predictions; the log says how many rows have none.

    Returns
    -------
    list of Path
        The files, in the order in which they were written.

    Raises
    ------
    UsageError
        No leaderboard has a run of subset 0.
    DataError
        A stored run is damaged.
    """
    of_subset_0 = [
        board for board in boards if not board.runs.empty and (board.runs["subset"] == 0).any()
    ]
    if not of_subset_0:
        raise UsageError("there is nothing to draw: no leaderboard has a run of subset 0")
    for board in boards:
        if board not in of_subset_0:
            _log.info("%s: left out: no run of subset 0, which its figures are of", board.name)
    shown = [replace(board, runs=board.runs[board.runs["subset"] == 0]) for board in of_subset_0]
    drawn = chain(_all_figures(shown, results), _across_figures(boards))
    return write_figures(drawn, output, formats)


def write_figures(
    figures: Iterable[tuple[str, TitledFigure]], output: Path, formats: Sequence[Format]
) -> list[Path]:
    """Write figures, which are drawn one at a time, under their names; the files are returned."""
    with writing(output):
        output.mkdir(parents=True, exist_ok=True)
    files = []
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(settings())
        for name, titled in figures:
            for form in formats:
                path = output / f"{name}.{form}"
                save(titled, path, form)
                files.append(path)
    return files


def _all_figures(boards: Sequence[Board], results: Path) -> Iterator[tuple[str, TitledFigure]]:
    """Every figure with its name, one at a time."""
    found = find_runs(results)
    wanted = [key for board in boards for key in row_keys(board.runs)]
    lacking = sum(key not in found for key in wanted)
    if lacking:
        _log.info(
            "%d of %d runs are not stored under %s; figures of predictions and histories leave "
            "them out (--results names another folder)",
            *(lacking, len(wanted), results),
        )
    for protocol, group in groupby(boards, key=lambda board: board.protocol):
        of_protocol = list(group)
        measured = [board for board in of_protocol if has_values(board.runs, "accuracy")]
        plain = [board for board in measured if board.track == DEFAULT]
        if len(plain) > 1:
            yield f"{protocol}-{ALL_SPLITS}-accuracy", draw_accuracy(plain)
        for board in of_protocol:
            for figure, titled in _of_board(board, read_runs(board.runs, found)):
                yield f"{board.name}-{figure}", titled


def _across_figures(boards: Sequence[Board]) -> Iterator[tuple[str, TitledFigure]]:
    """The figures over the splits of each protocol, where these are enough."""
    for protocol, group in groupby(boards, key=lambda board: board.protocol):
        of_protocol = list(group)
        if len(of_protocol) < 2:
            continue
        found = compare_across(of_protocol)
        if not found.standings:
            _log.info("%s: %s", protocol, why_nothing(found.block))
            continue
        try:
            yield f"{protocol}-{ALL_SPLITS}-critical-difference", draw_critical_difference(found)
        except UsageError as lacking:
            _log.warning("%s: left out: %s", protocol, lacking)
        if found.has_reference:
            yield f"{protocol}-{ALL_SPLITS}-pareto", draw_pareto(found)


def _of_board(board: Board, runs: Sequence[RunData]) -> Iterator[tuple[str, TitledFigure]]:
    if has_values(board.runs, "accuracy"):
        yield "accuracy", draw_accuracy([board])
        if has_values(board.runs, "train_seconds"):
            yield "cost", draw_cost(board)
    yield from figures_of_runs(board, runs)


def figures_of_runs(board: Board, runs: Sequence[RunData]) -> Iterator[tuple[str, TitledFigure]]:
    """The figures of predictions and histories; none where there are no runs."""
    if not runs:
        return
    yield "reliability", draw_reliability(board, runs)
    yield "learning", draw_learning(board, runs)
    if split_config(board.split).long_tailed:
        yield "frequency", draw_frequency(board, runs)
    if any(run.ood_scores for run in runs):
        yield "ood-scores", draw_ood_scores(board, runs)
        yield "roc", draw_roc(board, runs)
