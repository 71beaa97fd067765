"""Learning curves and reliability of each method, from the stored runs of the rows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from dcbench.config.progress import Progress
from dcbench.leaderboard.boards import Board
from dcbench.reports.figures import write_figures
from dcbench.reports.figures.layout import TitledFigure
from dcbench.reports.figures.learning import draw_learning
from dcbench.reports.figures.reliability import draw_reliability
from dcbench.reports.figures.run_data import RunData, StoredRuns, find_runs, read_runs, row_keys
from dcbench.reports.page.figures import Figure

_FOLDER = Path("figures", "methods")
_DRAWN = {"learning": draw_learning, "reliability": draw_reliability}


def draw_methods(
    boards: Sequence[Board],
    results: Path,
    output: Path,
    names: Mapping[str, str],
    progress: Progress,
) -> dict[str, list[Figure]]:
    """Draw what the stored runs of subset 0 show of each method, one figure a split.

    Parameters
    ----------
    results
        Folder of stored runs; a row whose predictions are not there is left out.
    output
        The folder of the page.
    names
        A file name for each method.

    Returns
    -------
    dict
        The figures of each method that has any.

    Raises
    ------
    DataError
        A stored run is damaged.
    """
    stored = find_runs(results)
    first = [replace(board, runs=board.runs[board.runs["subset"] == 0]) for board in boards]
    total = sum(len(_stored_methods(board, stored)) for board in first)
    found: dict[str, list[Figure]] = {}
    task = progress.task("figures of methods", total)

    def drawn() -> Iterator[tuple[str, TitledFigure]]:
        for board, method, runs in _by_method(first, stored):
            own = replace(board, runs=board.runs[board.runs["method"] == method])
            for kind, draw in _DRAWN.items():
                name = f"{names[method]}-{board.name}-{kind}"
                titled = draw(own, runs)
                href = (_FOLDER / f"{name}.svg").as_posix()
                figure = Figure(name, href, titled.title, titled.description)
                found.setdefault(method, []).append(figure)
                yield name, titled
            task.advance(detail=method)

    write_figures(drawn(), output / _FOLDER, ["svg"])
    task.close()
    return found


def _stored_methods(board: Board, stored: StoredRuns) -> list[str]:
    """The methods of a board that have a stored run, in the order of its rows."""
    return list(dict.fromkeys(key[1] for key in row_keys(board.runs) if key in stored))


def _by_method(
    boards: Sequence[Board], stored: StoredRuns
) -> Iterator[tuple[Board, str, list[RunData]]]:
    for board in boards:
        for method in _stored_methods(board, stored):
            rows = board.runs[board.runs["method"] == method]
            yield board, method, read_runs(rows, stored)
