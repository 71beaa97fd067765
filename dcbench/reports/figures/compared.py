"""Figures of a comparison: `<protocol>-<split>-<figure>`, of differences and of predictions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from dcbench.leaderboard.comparison import Comparison
from dcbench.records.files import HISTORY
from dcbench.reports.figures import FORMATS, figures_of_runs, write_figures
from dcbench.reports.figures.differences import draw_differences
from dcbench.reports.figures.layout import Format, TitledFigure
from dcbench.reports.figures.run_data import StoredRuns, read_runs


def draw_comparisons(
    comparisons: Sequence[Comparison], output: Path, formats: Sequence[Format] = FORMATS
) -> list[Path]:
    """Draw the differences of comparisons, and what the predictions of subset 0 show.

    Returns
    -------
    list of Path
        The files, in the order in which they were written.

    Raises
    ------
    DataError
        A stored run is damaged.
    """
    return write_figures(_figures(comparisons), output, formats)


def _figures(comparisons: Sequence[Comparison]) -> Iterator[tuple[str, TitledFigure]]:
    for comparison in comparisons:
        board = comparison.board
        name = f"{board.protocol}-{board.split}"
        if any(each.n for each in comparison.differences):
            yield f"{name}-differences", draw_differences(comparison)
        first = replace(board, runs=board.runs[board.runs["subset"] == 0])
        for figure, titled in figures_of_runs(first, read_runs(first.runs, _stored(comparison))):
            yield f"{name}-{figure}", titled


def _stored(comparison: Comparison) -> StoredRuns:
    """The runs whose predictions and history are there: records alone have none."""
    return {
        (run.record.predictions.recorded_sha256, side, run.record.seed): (run.folder, run.record)
        for side, runs in comparison.sides.items()
        for run in runs
        if (run.folder / run.record.predictions.file).exists() and (run.folder / HISTORY).exists()
    }
