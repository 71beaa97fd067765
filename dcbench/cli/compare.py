"""`dcbench compare`: methods beside one another, on records alone."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dcbench.cli.report import Report, Table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dcbench.leaderboard.comparison import Comparison

EXAMPLE = "Example:  dcbench compare results --against erm --metrics accuracy,nll"


def compare(
    results: Annotated[
        list[Path], typer.Argument(metavar="RESULTS", help="Results folders, or folders below.")
    ],
    against: Annotated[
        str | None,
        typer.Option(
            metavar="METHOD", help="With which method.", show_default="erm, or the plain one"
        ),
    ] = None,
    metrics: Annotated[str, typer.Option(help="Joined by commas.")] = "accuracy,ece15,nll",
    latex: Annotated[bool, typer.Option("--latex", help="A table for a paper.")] = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="The same in Markdown.")] = False,
    figures: Annotated[
        Path | None, typer.Option("--figures", metavar="DIR", help="Draw them into this folder.")
    ] = None,
) -> Report:
    """Compare methods, settings and recipes run by run, on records of any status.

    Runs of equal subset and seed are paired. There are no ranks: those are a leaderboard's.
    """
    from dcbench.config.names import split_list
    from dcbench.errors import UsageError
    from dcbench.leaderboard.comparison import compare as compare_records
    from dcbench.reports.compared import as_data

    if latex and markdown:
        raise UsageError("--latex beside --markdown: give one of them")
    found = compare_records(results, list(dict.fromkeys(split_list(metrics))), against)
    drawn = _drawn(found, figures) if figures is not None else []
    data = {"comparisons": [as_data(each) for each in found], "figures": drawn}
    if latex or markdown:
        return Report(data=data, lines=_paper(found, markdown=markdown), notes=drawn)
    return _tables(found, data, drawn)


def _drawn(found: Sequence[Comparison], folder: Path) -> list[str]:
    from dcbench.reports.figures.compared import draw_comparisons

    return [str(path) for path in draw_comparisons(found, folder)]


def _paper(found: Sequence[Comparison], *, markdown: bool) -> list[str]:
    from dcbench.reports.compared import comparison_table
    from dcbench.reports.latex import to_latex, to_markdown

    table = comparison_table(found)
    return (to_markdown(table) if markdown else to_latex(table)).splitlines()


def _tables(found: Sequence[Comparison], data: object, drawn: Sequence[str]) -> Report:
    from dcbench.reports.compared import COLUMNS, comparison_rows, how_compared, recipe_lines

    return Report(
        data=data,
        tables=[Table(each.title, COLUMNS, comparison_rows(each)) for each in found],
        lines=[*(line for each in found for line in recipe_lines(each)), *drawn],
        notes=[how_compared(found)],
    )
