"""`dcbench leaderboard latex` and `fill`: tables for papers, and in pages of one's own."""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dcbench.cli.options import BoardsOption, only_for
from dcbench.cli.report import Report

if TYPE_CHECKING:
    from dcbench.reports.paper import PaperTable

EXAMPLE = "Example:  dcbench leaderboard latex cifair10-common --protocol v1-lite -o table.tex"


FILL_EXAMPLE = "Example:  dcbench leaderboard fill docs/results.md --check"


_METRICS = "accuracy,ece15,nll"


class PlusMinus(StrEnum):
    """What stands after ±."""

    ci95 = "ci95"
    sd = "sd"
    none = "none"


def latex(
    splits: Annotated[
        list[str] | None, typer.Argument(metavar="SPLIT", help="With --across: which, else all.")
    ] = None,
    protocol: Annotated[str, typer.Option(help="Which protocol's results.")] = "v1",
    track: Annotated[str, typer.Option(help="default, or tuned(n) of n trials.")] = "default",
    metrics: Annotated[
        str | None,
        typer.Option(help="Columns of each split, joined by commas.", show_default=_METRICS),
    ] = None,
    spread: Annotated[
        PlusMinus | None,
        typer.Option(
            help="After ±: half of the 95 % interval, standard deviation, or nothing.",
            show_default=PlusMinus.ci95.value,
        ),
    ] = None,
    reported: Annotated[
        bool, typer.Option("--reported", help="Add the numbers that papers report.")
    ] = False,
    across: Annotated[
        bool,
        typer.Option("--across", help="Mean ranks, wins and costs over splits, not a column each."),
    ] = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="Markdown, not LaTeX.")] = False,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="A file.")] = None,
    folder: BoardsOption = None,
) -> Report:
    """Write a table that is ready to paste: booktabs, the best and its ties in bold.

    With --across: mean ranks, wins and costs over five splits or more, a method a row.
    """
    from dcbench.config.names import split_list
    from dcbench.errors import UsageError
    from dcbench.leaderboard.boards import load_board
    from dcbench.records.atomic import write_bytes
    from dcbench.reports.latex import to_latex, to_markdown
    from dcbench.reports.paper import paper_table
    from dcbench.reports.reported import load_reported

    if across and track != "default":
        raise UsageError(
            "--across is of the default track: what is tuned differs from split to split"
        )
    if across:
        of_columns = {"--metrics": metrics, "--spread": spread, "--reported": reported or None}
        only_for("latex without --across", of_columns)
        table = _across(splits or [], protocol, folder)
    elif not splits:
        raise UsageError("name a split or several, or --across for ranks over all of them")
    else:
        table = paper_table(
            [load_board(split, protocol, folder, track) for split in dict.fromkeys(splits)],
            list(dict.fromkeys(split_list(metrics or _METRICS))),
            spread=(spread or PlusMinus.ci95).value,
            reported=load_reported() if reported else (),
        )
    text = to_markdown(table) if markdown else to_latex(table)
    if output is None:
        return Report(data={"text": text}, lines=text.splitlines())
    write_bytes(output, text.encode())
    return Report(data={"file": str(output)})


def _across(splits: list[str], protocol: str, folder: Path | None) -> PaperTable:
    from dcbench.errors import UsageError
    from dcbench.leaderboard.across import compare_across
    from dcbench.leaderboard.boards import choose_boards, load_boards
    from dcbench.reports.across import across_table, why_nothing

    found = compare_across(choose_boards(load_boards(folder), splits, protocol))
    if not found.standings:
        raise UsageError(f"{protocol}: {why_nothing(found.block)}")
    return across_table(found)


def fill(
    pages: Annotated[list[Path], typer.Argument(metavar="PAGE.md")],
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; 1 if a number is another one.")
    ] = False,
    folder: BoardsOption = None,
) -> Report:
    """Bring the numbers of marked Markdown tables to those of the leaderboards.

    A table follows `<!-- measured: PROTOCOL [SPLIT] -->`. Its titles say what its
    columns hold, the first cells which method; what is no number of a leaderboard stays.
    The tables of `agree --markdown` are written whole below their marks.
    """
    from dcbench.config.reading import read_text
    from dcbench.records.atomic import write_bytes
    from dcbench.reports.filled import filled

    changed: list[tuple[Path, str]] = []
    for page in pages:
        old = read_text(page, links=True)
        new = filled(old, str(page), folder)
        changed += [(page, row) for row in _changed(old.split("\n"), new.split("\n"))]
        if new != old and not check:
            write_bytes(page, new.encode())
    return Report(
        data=[{"file": str(page), "row": row} for page, row in changed],
        lines=[f"{page}: {row}" for page, row in changed],
        notes=[] if changed else ["every number is that of the leaderboards"],
        exit_code=int(check and bool(changed)),
    )


def _changed(old: list[str], new: list[str]) -> Iterator[str]:
    """The new lines that are other ones, and the old ones that nothing takes the place of."""
    from difflib import SequenceMatcher

    same = SequenceMatcher(None, old, new, autojunk=False)
    for _, begin, end, new_begin, new_end in same.get_opcodes():
        if old[begin:end] != new[new_begin:new_end]:
            yield from new[new_begin:new_end] or (f"gone: {line}" for line in old[begin:end])
