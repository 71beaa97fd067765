"""`dcbench leaderboard`: from records to tables."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from dcbench.cli.options import Json, ResultsOption

app = typer.Typer(help="Records to leaderboards.", no_args_is_help=True)


@app.command("build", epilog="Example:  dcbench leaderboard build --results results -o leaderboard")
def build_leaderboard(
    results: ResultsOption = None,
    output: Annotated[
        Path, typer.Option("-o", "--output", help="Folder with one folder a protocol.")
    ] = Path("leaderboard"),
    replace: Annotated[
        bool, typer.Option(help="Let a record take the place of a row with other numbers.")
    ] = False,
    footnote: Annotated[str, typer.Option(help="What the rows' readers should know.")] = "",
) -> None:
    """Turn records into CSV: one row a run, and a summary a method."""
    from dcbench.display import note
    from dcbench.leaderboard.build import build
    from dcbench.plans import results_root

    built = build(results_root(results), output, replace=replace, footnote=footnote)
    for board in built.boards:
        _show_summary(board.summary, f"{board.split}, protocol {board.protocol}")
        note(f"{board.rows} rows in {board.path}, {board.added} of them new")
    for path in built.custom:
        note(f"left out, custom: {path}")


@app.command("show", epilog="Example:  dcbench leaderboard show cifair10-common")
def show_leaderboard(
    split: Annotated[str, typer.Argument(metavar="SPLIT")],
    protocol: Annotated[str, typer.Option(help="Which protocol's results.")] = "v1",
    folder: Annotated[
        Path | None, typer.Option("--from", help="Leaderboards; else those that ship.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Show the summary of a split."""
    from dcbench.leaderboard.boards import load_board

    summary = load_board(split, protocol, folder).summary
    if as_json:
        typer.echo(summary.to_json(orient="records"))
    else:
        _show_summary(summary, f"{split}, protocol {protocol}")


def _show_summary(summary: Any, title: str) -> None:
    from dcbench.display import show_table
    from dcbench.leaderboard.display import display_rows

    show_table(*display_rows(summary), title)
