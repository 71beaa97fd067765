"""`dcbench leaderboard page`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dcbench.cli.options import BoardsOption
from dcbench.cli.report import Report

EXAMPLE = "Example:  dcbench leaderboard page -o page --figures figures"


def page(
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder of the page.")],
    folder: BoardsOption = None,
    figures: Annotated[
        Path | None, typer.Option(help="Folder of SVG files to show, as `figures` draws them.")
    ] = None,
) -> Report:
    """Write the leaderboards as a page that opens without a network."""
    from dcbench.leaderboard.boards import load_boards
    from dcbench.reports.page import write_page
    from dcbench.reports.reported import load_reported

    written = str(write_page(load_boards(folder), load_reported(), output, figures))
    return Report(data={"file": written}, lines=[written])
