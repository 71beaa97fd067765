"""`dcbench leaderboard diff`: what differs between two leaderboards."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dcbench.cli.report import Report, Table

EXAMPLE = "Example:  dcbench leaderboard diff HEAD~1 --markdown"


def diff(
    before: Annotated[str, typer.Argument(metavar="BEFORE", help="A folder, or a git revision.")],
    after: Annotated[
        str | None,
        typer.Argument(metavar="[AFTER]", help="Likewise; else the folder as it is now."),
    ] = None,
    folder: Annotated[
        Path, typer.Option("--from", help="The leaderboards whose revisions are meant.")
    ] = Path("leaderboard"),
    markdown: Annotated[
        bool, typer.Option("--markdown", help="For a comment on a pull request.")
    ] = False,
    exit_code: Annotated[
        bool, typer.Option("--exit-code", help="End with 1 if anything differs, as git does.")
    ] = False,
) -> Report:
    """Say which rows came, went or changed between two leaderboards, and which ranks moved.

    Columns that are empty in all rows of one of them, and full in the other, are named once and not
    for every row.
    """
    from dcbench.leaderboard.diff import diff as difference
    from dcbench.leaderboard.states import find_state, state_of_folder
    from dcbench.reports.board_diff import as_data, remarks, summary_line, tables, to_markdown

    old = find_state(before, folder)
    new = state_of_folder(folder) if after is None else find_state(after, folder)
    found = difference(old, new)
    data, ended = as_data(found), int(exit_code and bool(found))
    if markdown:
        return Report(data=data, lines=to_markdown(found).splitlines(), exit_code=ended)
    return Report(
        data=data,
        tables=[Table(*each) for each in tables(found)],
        lines=[*remarks(found), summary_line(found)],
        exit_code=ended,
    )
