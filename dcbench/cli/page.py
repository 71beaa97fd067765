"""`dcbench leaderboard page`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dcbench.cli.options import BoardsOption, DataOption
from dcbench.cli.report import Report
from dcbench.errors import UsageError

EXAMPLE = "Example:  dcbench leaderboard page -o page --figures figures --results results"


def page(
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder of the page.")],
    folder: BoardsOption = None,
    figures: Annotated[
        Path | None, typer.Option(help="Folder of SVG files to show, as `figures` draws them.")
    ] = None,
    results: Annotated[
        Path | None,
        typer.Option(help="Stored runs, for the curves on the pages of methods; else none."),
    ] = None,
    data: DataOption = None,
) -> Report:
    """Write the leaderboards as a page that opens without a network.

    Every method and every split has a page of its own beside it. A split's shows its images where
    the data folder has them.
    """
    from dcbench.cli.console import ConsoleProgress
    from dcbench.data.source import open_source
    from dcbench.leaderboard.boards import load_boards
    from dcbench.reports.page import write_page
    from dcbench.reports.reported import load_reported

    if results is not None and not results.is_dir():
        raise UsageError(f"{results}: there is no such folder of stored runs")
    source = open_source(data, allow_unverified=True)
    with ConsoleProgress() as progress:
        page = write_page(
            load_boards(folder),
            load_reported(),
            output,
            figures,
            results=results,
            source=source,
            progress=progress,
        )
    return Report(data={"file": str(page)}, lines=[str(page)])
