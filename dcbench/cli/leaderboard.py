"""`dcbench leaderboard`: from records to tables."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dcbench.cli.options import BoardsOption, DataOption, ResultsOption
from dcbench.cli.report import Report, Table, reporting

if TYPE_CHECKING:
    import pandas as pd

    from dcbench.leaderboard.boards import Board
    from dcbench.runs.evidence import WeightsCheck

app = typer.Typer(help="Records to leaderboards.", no_args_is_help=True)


@app.command("build", epilog="Example:  dcbench leaderboard build --results results -o leaderboard")
@reporting
def build_leaderboard(
    results: ResultsOption = None,
    output: Annotated[
        Path, typer.Option("-o", "--output", help="Folder with one folder a protocol.")
    ] = Path("leaderboard"),
    replace: Annotated[
        bool,
        typer.Option(help="Let a record take the place of a row with other numbers; it is kept."),
    ] = False,
    reason: Annotated[
        str, typer.Option(help="Why rows are replaced: a line of the changelog.")
    ] = "",
    further: Annotated[
        bool,
        typer.Option(
            "--open", help="Also runs with another network, augmentation or further images."
        ),
    ] = False,
    footnote: Annotated[str, typer.Option(help="What the rows' readers should know.")] = "",
) -> Iterator[Report]:
    """Turn records into CSV: one row a run, and a summary a method.

    Runs that have a row already are not added; 1 if that row has other predictions.
    """
    from dcbench.config.paths import results_root
    from dcbench.leaderboard.boards import titled
    from dcbench.leaderboard.build import build
    from dcbench.leaderboard.rows import runs_in_brief
    from dcbench.leaderboard.submission.manifest import footnote_of
    from dcbench.leaderboard.tracks import by_track

    folder = results_root(results)
    footnote = footnote or footnote_of(folder)
    built = build(
        folder, output, replace=replace, reason=reason, footnote=footnote, further=further
    )
    boards = []
    for board in built.boards:
        written = {"protocol": board.protocol, "split": board.split, "path": str(board.path)}
        other = [dict(zip(("subset", "method", "seed"), key, strict=True)) for key in board.other]
        boards.append(written | {"rows": board.rows, "added": board.added, "other": other})
        title = f"{board.split}, protocol {board.protocol}"
        of_tracks = by_track(board.summary)
        shown = _summaries([(each, titled(title, track)) for track, each in of_tracks])
        said = [f"{board.rows} rows in {board.path}, {board.added} of them new"]
        if board.other:
            said.append(
                f"{board.path}: rows with other predictions are there of {len(board.other)} of the "
                f"runs, and stay: {runs_in_brief(board.other)}; to have the rows of these records, "
                "build into another folder (-o)"
            )
        yield Report(
            tables=shown.tables, lines=shown.lines, notes=said, exit_code=int(bool(board.other))
        )
    custom = [str(path) for path in built.custom]
    yield Report(
        data={"boards": boards, "custom": custom},
        notes=[
            *(f"left out, custom: {path}" for path in custom),
            *(f"add to {output / 'CHANGELOG.md'}: {line}" for line in built.unexplained),
        ],
    )


@app.command("check", epilog="Example:  dcbench leaderboard check --predictions results")
@reporting
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
            help="Old rows to compare with; else all that git has from where the branch began.",
        ),
    ] = None,
    require_predictions: Annotated[
        bool,
        typer.Option(
            "--require-predictions", help="Every new row has its predictions in that folder."
        ),
    ] = False,
    weights: Annotated[
        bool,
        typer.Option(
            "--weights", help="Predict some images again from stored weights; needs the images."
        ),
    ] = False,
    data: DataOption = None,
) -> Iterator[Report]:
    """Say everything that is wrong with leaderboards, one line a problem."""
    from dcbench.errors import RunError
    from dcbench.leaderboard.checks import check

    found = check(
        folder,
        predictions=predictions,
        base=base,
        require_predictions=require_predictions,
        verify=_weights_check(predictions, data) if weights else None,
    )
    yield Report(data=asdict(found), lines=found.problems or found.sentences)
    if found.problems:
        count = len(found.problems)
        raise RunError(f"{folder}: {count} problem{'s' if count > 1 else ''}")


def _weights_check(predictions: Path | None, data: Path | None) -> WeightsCheck:
    from dcbench.data.source import open_source
    from dcbench.errors import UsageError
    from dcbench.runs.evidence import WeightsCheck

    if predictions is None:
        raise UsageError("--weights: name the results folder that has them with --predictions")
    return WeightsCheck(open_source(data))


@app.command(
    "mark",
    epilog="Example:  dcbench leaderboard mark v1-lite/digits --method erm --seeds 3 "
    "--state disputed --reason 'the loss rises in epoch 40'",
)
@reporting
def mark_rows(
    board: Annotated[str, typer.Argument(metavar="PROTOCOL/SPLIT")],
    method: Annotated[str, typer.Option(help="As in the rows.")],
    seeds: Annotated[str, typer.Option(help="3, 0-2 or 0,2.")],
    state: Annotated[
        str,
        typer.Option(help="withdrawn, disputed, current, corrected; or missing, of no row."),
    ],
    reason: Annotated[str, typer.Option(help="Why: a line of the changelog.")],
    subset: Annotated[int, typer.Option(help="Which draw of the training images.")] = 0,
    folder: Annotated[Path, typer.Option("-o", "--output", help="Leaderboards.")] = Path(
        "leaderboard"
    ),
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would change.")] = False,
) -> Report:
    """Say what became of rows: they are withdrawn, disputed or missing; nothing is deleted."""
    from dcbench.config.names import parse_seeds
    from dcbench.leaderboard.changelog import CHANGELOG
    from dcbench.leaderboard.marks import mark

    entry = mark(
        folder, board, method, parse_seeds(seeds), state, reason, subset=subset, dry_run=dry_run
    )
    notes = ["nothing is written yet; run it again without --dry-run"] if dry_run else []
    return Report(data=asdict(entry), lines=[f"{folder / CHANGELOG}: {entry.line}"], notes=notes)


@app.command(
    "confirm",
    epilog="Example:  dcbench leaderboard confirm --results mine --reason 'predictions at "
    "https://example.org/mine'",
)
@reporting
def confirm_rows(
    results: ResultsOption,
    reason: Annotated[
        str, typer.Option(help="Where the runs can be had, or who trained them: for the changelog.")
    ],
    folder: Annotated[Path, typer.Option("-o", "--output", help="Leaderboards.")] = Path(
        "leaderboard"
    ),
    rerun: Annotated[
        bool, typer.Option("--rerun", help="The runs are the rows' own, trained again elsewhere.")
    ] = False,
    spread: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=1,
            help="How far accuracies may be apart with --rerun.",
            show_default="as measured between machines",
        ),
    ] = None,
    weights: Annotated[
        bool, typer.Option("--weights", help="Predict some images again from stored weights too.")
    ] = False,
    data: DataOption = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would change.")] = False,
) -> Iterator[Report]:
    """Raise the tier of rows whose runs are given: recomputed, or rerun."""
    from dcbench.config.paths import results_root
    from dcbench.errors import RunError
    from dcbench.leaderboard.changelog import CHANGELOG
    from dcbench.leaderboard.confirm import confirm_recomputed, confirm_rerun

    root = results_root(results)
    if rerun:
        found = confirm_rerun(folder, root, reason, spread=spread, dry_run=dry_run)
    else:
        verify = _weights_check(root, data) if weights else None
        found = confirm_recomputed(folder, root, reason, verify=verify, dry_run=dry_run)
    lines = [f"{folder / CHANGELOG}: {entry.line}" for entry in found.entries]
    notes = [] if lines else ["no row's tier rises"]
    if lines and dry_run:
        notes = ["nothing is written yet; run it again without --dry-run"]
    yield Report(
        data={"lines": [entry.line for entry in found.entries], "problems": found.problems},
        lines=found.problems or lines,
        notes=[] if found.problems else notes,
    )
    if found.problems:
        raise RunError(f"{folder}: nothing is confirmed: {len(found.problems)} problems")


@app.command("migrate", epilog="Example:  dcbench leaderboard migrate leaderboard --dry-run")
@reporting
def migrate_leaderboard(
    folder: Annotated[Path, typer.Argument(help="Leaderboards, one folder a protocol.")] = Path(
        "leaderboard"
    ),
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would change.")] = False,
) -> Report:
    """Bring tables of an earlier version to the newest columns; no record is needed."""
    from dcbench.leaderboard.migrate import migrate

    changes = migrate(folder, dry_run=dry_run)
    notes = [] if changes else [f"{folder}: nothing to change"]
    if changes and dry_run:
        notes = ["nothing is written yet; run it again without --dry-run"]
    return Report(
        data=[{"file": str(each.path), "change": each.what} for each in changes],
        lines=[f"{each.path}: {each.what}" for each in changes],
        notes=notes,
    )


@app.command("show", epilog="Example:  dcbench leaderboard show cifair10-common")
@reporting
def show_leaderboard(
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
    metric: Annotated[str, typer.Option(help="What --against compares.")] = "accuracy",
    against_reported: Annotated[
        bool, typer.Option("--against-reported", help="Beside the tables that v1 reproduces.")
    ] = False,
) -> Report | Iterator[Report]:
    """Show the methods of a split by rank, their differences to one of them, or all splits.

    Without a split, also what holds across splits, from five of them on: mean ranks and wins.
    """
    from dcbench.errors import UsageError
    from dcbench.leaderboard.boards import load_tracks

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
        report = _differences(next(of_method, boards[0]), against, metric)
    else:
        report = _summaries([(board.summary, board.title) for board in boards])
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
    from dcbench.reports.overview import overview_rows, sentences, standings_of

    if protocol is not None:
        load_protocol(protocol)
    boards = load_boards(folder)
    data: dict[str, list[Any]] = {"splits": [], "across": []}
    for name in [protocol] if protocol else protocol_names():
        own = [board for board in boards if board.protocol == name]
        tables, lines = [], []
        for track in dict.fromkeys([DEFAULT, *(board.track for board in own)]):
            found = standings_of(board for board in own if board.track == track)
            tuned = {} if track == DEFAULT else {"track": track}
            data["splits"] += [each._asdict() | {"protocol": name} | tuned for each in found]
            if found:
                title = titled(f"accuracy %, protocol {name}", track)
                tables.append(Table(title, *overview_rows(found), matrix=True))
            lines += sentences(titled(name, track), found)
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


def _summaries(tracks: list[tuple[pd.DataFrame, str]]) -> Report:
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
    from dcbench.leaderboard.tracks import DEFAULT
    from dcbench.reports.against_reported import comparison_rows, side_by_side
    from dcbench.reports.reported import load_reported

    reported = [each for each in load_reported() if each.of_the_poster]
    splits = {each.split for each in reported}
    if split is not None and split not in splits:
        raise unknown("split of the published tables", split, splits)
    runs = {
        board.split: board.runs
        for board in load_boards(folder)
        if (board.protocol, board.track) == (protocol, DEFAULT)
    }
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
