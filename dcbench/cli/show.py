"""`dcbench leaderboard show`: boards, differences and what holds across splits, in a terminal."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dcbench.cli.options import BoardsOption, only_for
from dcbench.cli.report import Report, Table

if TYPE_CHECKING:
    import pandas as pd

    from dcbench.leaderboard.boards import Board

EXAMPLE = "Example:  dcbench leaderboard show cifair10-common"


def show(
    split: Annotated[
        str | None, typer.Argument(metavar="[SPLIT]", help="Without it: all splits at a glance.")
    ] = None,
    protocol: Annotated[
        str | None, typer.Option(help="Which one's results; v1's where it has any, if not said.")
    ] = None,
    folder: BoardsOption = None,
    against: Annotated[
        str | None, typer.Option(metavar="METHOD", help="Paired differences to this method.")
    ] = None,
    metric: Annotated[
        str | None, typer.Option(help="What --against compares.", show_default="accuracy")
    ] = None,
    against_reported: Annotated[
        bool, typer.Option("--against-reported", help="Beside the tables that v1 reproduces.")
    ] = False,
) -> Report | Iterator[Report]:
    """Show the methods of a split by rank, their differences to one of them, or all splits.

    Without a split, also what holds across splits, from five of them on: mean ranks and wins.
    """
    from dcbench.errors import UsageError
    from dcbench.leaderboard.boards import load_tracks

    if against is None:
        only_for("--against", {"--metric": metric})
    if against_reported:
        return _beside_reported(split, protocol or "v1", folder)
    if split is None:
        if against is not None:
            raise UsageError(
                "--against compares on one split: say which; `dcbench splits` lists them"
            )
        return _overview(protocol, folder)
    chosen, notes = (protocol, []) if protocol else _protocol_with_rows(split, folder)
    boards = load_tracks(split, chosen, folder)
    if against is not None:
        of_method = (board for board in boards if against in set(board.runs["method"]))
        report = _differences(next(of_method, boards[0]), against, metric or "accuracy")
    else:
        report = summaries([(board.summary, board.title) for board in boards])
    return dataclasses.replace(report, notes=[*notes, *report.notes])


def _protocol_with_rows(split: str, folder: Path | None) -> tuple[str, list[str]]:
    """`v1`, or the first protocol that has rows of a split, and a sentence that says so."""
    from dcbench.leaderboard.boards import protocols_with

    found = protocols_with(split, folder)
    if not found or "v1" in found:
        return "v1", []
    said = f"v1 has no rows of {split} yet: these are of {found[0]}, whose numbers are not v1's"
    return found[0], [f"{said}; `dcbench plan {split}` lists the runs that v1 asks for"]


def _overview(protocol: str | None, folder: Path | None) -> Iterator[Report]:
    from dcbench.config.protocol import load_protocol, protocol_names
    from dcbench.leaderboard.boards import load_boards, titled
    from dcbench.leaderboard.tracks import DEFAULT
    from dcbench.reports.absent import has_subset_0
    from dcbench.reports.overview import overview_rows, sentences, standings_of

    if protocol is not None:
        load_protocol(protocol)
    boards = load_boards(folder)
    data: dict[str, list[Any]] = {"splits": [], "across": []}
    for name in [protocol] if protocol else protocol_names():
        own = [board for board in boards if board.protocol == name]
        tables, lines = [], []
        for track in dict.fromkeys([DEFAULT, *(board.track for board in own)]):
            of_track = [board for board in own if board.track == track]
            found = standings_of(of_track)
            lacking = [board for board in of_track if not has_subset_0(board)]
            left_out = [titled(board.split, board.track) for board in lacking]
            tuned = {} if track == DEFAULT else {"track": track}
            data["splits"] += [each._asdict() | {"protocol": name} | tuned for each in found]
            if found:
                title = titled(f"accuracy %, protocol {name}", track)
                tables.append(Table(title, *overview_rows(found), matrix=True))
            lines += sentences(titled(name, track), found, left_out)
        yield Report(tables=tables, lines=[*lines, *([""] if own else [])])
        if own:
            across = _across(name, own)
            data["across"].append(across.data)
            yield dataclasses.replace(across, data=None)
    yield Report(data=data)


def _across(protocol: str, boards: Sequence[Board]) -> Report:
    from dcbench.leaderboard.across import compare_across
    from dcbench.reports.across import across_data, across_rows, across_sentences

    found = compare_across(boards)
    data = {"protocol": protocol, **across_data(found)}
    said = across_sentences(found)
    if not found.standings:
        return Report(data=data, lines=[f"{protocol}: {said[0]}"])
    title = f"across splits, protocol {protocol}"
    return Report(data=data, tables=[Table(title, *across_rows(found))], lines=said)


def summaries(tracks: list[tuple[pd.DataFrame, str]]) -> Report:
    """The means of each track, each under its title."""
    from dcbench.reports.terminal import display_rows, ties

    tables = [Table(title, *display_rows(summary)) for summary, title in tracks]
    return Report(
        data=[row for summary, _ in tracks for row in _records(summary)],
        tables=tables,
        lines=[line for summary, _ in tracks for line in ties(summary)],
    )


def _differences(board: Board, against: str, metric: str) -> Report:
    import pandas as pd

    from dcbench.leaderboard.statistics import differences_to
    from dcbench.reports.terminal import difference_rows

    differences = differences_to(board, against, metric)
    rows = [
        {"subsets": subsets, **asdict(each)}
        for subsets, group in differences.items()
        for each in group
    ]
    title = f"{metric} minus that of {against}: {board.title}"
    table = Table(title, *difference_rows(differences))
    return Report(data=_records(pd.DataFrame(rows)), tables=[table])


def _beside_reported(split: str | None, protocol: str, folder: Path | None) -> Report:
    import pandas as pd

    from dcbench.errors import unknown
    from dcbench.leaderboard.boards import load_boards
    from dcbench.reports.against_reported import comparison_rows, measured_by, side_by_side
    from dcbench.reports.reported import load_reported

    reported = [each for each in load_reported() if each.of_the_poster]
    splits = {each.split for each in reported}
    if split is not None and split not in splits:
        raise unknown("split of the published tables", split, splits)
    runs = measured_by(load_boards(folder), protocol)
    found = side_by_side([each for each in reported if split in (None, each.split)], runs)
    rows = [
        asdict(each)
        | {"reported": each.reported.model_dump(mode="json")}
        | {"difference": each.difference, "covered": each.covered}
        for each in found
    ]
    other = "" if protocol == "v1" else ", which has other recipes,"
    title = f"protocol {protocol}{other} beside what is reported"
    table = Table(title, *comparison_rows(found))
    return Report(data=_records(pd.DataFrame(rows)), tables=[table])


def _records(frame: pd.DataFrame) -> Any:
    """The rows as JSON has them: what is not a number is null."""
    return json.loads(frame.to_json(orient="records"))
