"""`dcbench leaderboard agree`: whether two protocols say the same of the methods."""

from __future__ import annotations

from typing import Annotated

import typer

from dcbench.cli.options import BoardsOption
from dcbench.cli.report import Report, Table

EXAMPLE = "Example:  dcbench leaderboard agree cifair10-common --protocols v1-lite,v1"


def agree(
    splits: Annotated[
        list[str] | None,
        typer.Argument(metavar="[SPLIT]...", help="Which splits; else all that have rows."),
    ] = None,
    protocols: Annotated[
        str, typer.Option(metavar="ONE,OTHER", help="Which two are compared.")
    ] = "v1-lite,v1",
    folder: BoardsOption = None,
    against: Annotated[
        str, typer.Option(metavar="METHOD", help="What paired differences are to.")
    ] = "erm",
    metric: Annotated[str, typer.Option(help="What is compared.")] = "accuracy",
    markdown: Annotated[
        bool, typer.Option("--markdown", help="Tables for a page, which `fill` keeps up to date.")
    ] = False,
) -> Report:
    """Say whether two protocols agree on the methods, on each split with rows under both.

    Of the methods that have rows under both: rank correlation of their means, and whether their
    differences to one of them have the same sign and significance. Default track alone.
    """
    from dcbench.leaderboard.agreement import agreement, two_protocols
    from dcbench.leaderboard.boards import load_boards
    from dcbench.reports.agreement import (
        SPLIT_COLUMNS,
        as_data,
        how_compared,
        method_table,
        sentences,
        split_rows,
        titled,
        what_to_run,
    )
    from dcbench.reports.agreement_pages import to_markdown

    pair = two_protocols(protocols)
    named = list(dict.fromkeys(splits or []))
    found = agreement(load_boards(folder), pair, splits=named, against=against, metric=metric)
    data = as_data(found)
    notes = [*([how_compared(found)] if found.splits else []), *what_to_run(found)]
    if markdown:
        return Report(data=data, lines=to_markdown(found, named), notes=notes)
    tables = [
        Table(f"{titled(each)}: {metric} under {pair[0]} and {pair[1]}", *method_table(found, each))
        for each in found.splits
        if each.methods
    ]
    if found.splits:
        title = f"agreement of {pair[0]} and {pair[1]}: {metric}, differences to {against}"
        tables.insert(0, Table(title, SPLIT_COLUMNS, split_rows(found)))
    return Report(data=data, tables=tables, lines=sentences(found), notes=notes)
