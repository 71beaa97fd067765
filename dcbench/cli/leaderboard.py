"""`dcbench leaderboard`: from records to tables."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dcbench.cli.options import Json, ResultsOption

if TYPE_CHECKING:
    import pandas as pd

    from dcbench.leaderboard.boards import Board

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
    from dcbench.cli.console import note
    from dcbench.config.paths import results_root
    from dcbench.leaderboard.build import build

    built = build(results_root(results), output, replace=replace, footnote=footnote)
    for board in built.boards:
        _show_summary(board.summary, f"{board.split}, protocol {board.protocol}")
        note(f"{board.rows} rows in {board.path}, {board.added} of them new")
    for path in built.custom:
        note(f"left out, custom: {path}")


@app.command("check", epilog="Example:  dcbench leaderboard check --predictions results")
def check_leaderboard(
    folder: Annotated[Path, typer.Argument(help="Leaderboards, one folder a protocol.")] = Path(
        "leaderboard"
    ),
    predictions: Annotated[
        Path | None, typer.Option(help="Results folder: compute metrics again from what it holds.")
    ] = None,
    base: Annotated[
        str | None,
        typer.Option(
            metavar="FOLDER|REVISION",
            help="Old rows to compare with; else where git's branch left the main one.",
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Say everything that is wrong with leaderboards, one line a problem."""
    import json
    from dataclasses import asdict

    from dcbench.cli.console import stdout
    from dcbench.errors import RunError
    from dcbench.leaderboard.checks import check

    report = check(folder, predictions=predictions, base=base)
    if as_json:
        typer.echo(json.dumps(asdict(report)))
    else:
        for line in report.problems or report.sentences:
            stdout.print(line, markup=False, soft_wrap=True)
    if report.problems:
        count = len(report.problems)
        raise RunError(f"{folder}: {count} problem{'s' if count > 1 else ''}")


@app.command("show", epilog="Example:  dcbench leaderboard show cifair10-common")
def show_leaderboard(
    split: Annotated[
        str | None, typer.Argument(metavar="SPLIT", help="Optional with --against-reported.")
    ] = None,
    protocol: Annotated[str, typer.Option(help="Which protocol's results.")] = "v1",
    folder: Annotated[
        Path | None, typer.Option("--from", help="Leaderboards; else those that ship.")
    ] = None,
    against: Annotated[
        str | None, typer.Option(metavar="METHOD", help="Paired differences to this method.")
    ] = None,
    metric: Annotated[str, typer.Option(help="What --against compares.")] = "accuracy",
    against_reported: Annotated[
        bool, typer.Option("--against-reported", help="Beside the tables that v1 reproduces.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Show the methods of a split by rank, or their differences to one of them."""
    from dcbench.errors import UsageError
    from dcbench.leaderboard.boards import load_board

    if against_reported:
        _show_against_reported(split, protocol, folder, as_json)
        return
    if split is None:
        raise UsageError("say which split's leaderboard to show; `dcbench splits` lists them")
    board = load_board(split, protocol, folder)
    if against is not None:
        _show_differences(board, against, metric, as_json)
    elif as_json:
        typer.echo(board.summary.to_json(orient="records"))
    else:
        _show_summary(board.summary, f"{split}, protocol {protocol}")


def _show_summary(summary: pd.DataFrame, title: str) -> None:
    from dcbench.cli.console import show_table, stdout
    from dcbench.reports.terminal import display_rows, ties

    show_table(*display_rows(summary), title)
    for sentence in ties(summary):
        stdout.print(sentence, markup=False, soft_wrap=True)


def _show_differences(board: Board, against: str, metric: str, as_json: bool) -> None:
    from dataclasses import asdict

    import pandas as pd

    from dcbench.cli.console import show_table
    from dcbench.leaderboard.statistics import differences_to
    from dcbench.reports.terminal import difference_rows

    differences = differences_to(board, against, metric)
    if as_json:
        rows = [
            {"subsets": subsets, **asdict(each)}
            for subsets, group in differences.items()
            for each in group
        ]
        typer.echo(pd.DataFrame(rows).to_json(orient="records"))
        return
    title = f"{metric} minus that of {against}: {board.split}, protocol {board.protocol}"
    show_table(*difference_rows(differences), title)


def _show_against_reported(
    split: str | None, protocol: str, folder: Path | None, as_json: bool
) -> None:
    from dataclasses import asdict

    import pandas as pd

    from dcbench.cli.console import show_table
    from dcbench.errors import unknown
    from dcbench.leaderboard.boards import load_boards
    from dcbench.reports.against_reported import comparison_rows, side_by_side
    from dcbench.reports.reported import load_reported

    reported = [each for each in load_reported() if each.of_the_poster]
    splits = {each.split for each in reported}
    if split is not None and split not in splits:
        raise unknown("split of the published tables", split, splits)
    runs = {board.split: board.runs for board in load_boards(folder) if board.protocol == protocol}
    found = side_by_side([each for each in reported if split in (None, each.split)], runs)
    if as_json:
        rows = [
            asdict(each)
            | {"reported": each.reported.model_dump(mode="json")}
            | {"difference": each.difference, "covered": each.covered}
            for each in found
        ]
        typer.echo(pd.DataFrame(rows).to_json(orient="records"))
        return
    other = "" if protocol == "v1" else ", which has other recipes,"
    show_table(*comparison_rows(found), f"protocol {protocol}{other} beside what is reported")
