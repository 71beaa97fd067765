"""`dcbench leaderboard figures`: leaderboards as pictures for papers and pages."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dcbench.cli.options import BoardsOption, ResultsOption
from dcbench.cli.report import Report

EXAMPLE = "Example:  dcbench leaderboard figures cifair10-common --results results -o figures"


def figures(
    splits: Annotated[
        list[str] | None, typer.Argument(metavar="SPLIT", help="Which splits; else all.")
    ] = None,
    protocol: Annotated[str | None, typer.Option(help="Which protocol; else all.")] = None,
    folder: BoardsOption = None,
    results: ResultsOption = None,
    output: Annotated[Path, typer.Option("-o", "--output", help="Where figures go.")] = Path(
        "figures"
    ),
    formats: Annotated[
        str, typer.Option("--format", help="svg, pdf, or both with a comma.")
    ] = "svg,pdf",
) -> Report:
    """Draw accuracy, calibration, cost, learning curves, class frequency and OOD detection.

    From five splits on also ranks and costs across them. What is drawn from predictions and
    histories needs the stored runs.
    """
    from dcbench.config.paths import results_root
    from dcbench.leaderboard.boards import choose_boards, load_boards
    from dcbench.reports.figures import draw_figures, parse_formats

    boards = choose_boards(load_boards(folder), splits or [], protocol)
    drawn = draw_figures(boards, results_root(results), output, parse_formats(formats))
    files = [str(path) for path in drawn]
    return Report(data={"files": files}, lines=files)
