"""`dcbench leaderboard`: from records to rows, and what becomes of rows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dcbench.cli.options import NOT_WRITTEN, DataOption, DryRunOption, ResultsOption, only_for
from dcbench.cli.report import Report
from dcbench.cli.reporting import reporting
from dcbench.cli.show import summaries

if TYPE_CHECKING:
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
    from dcbench.leaderboard.changelog import CHANGELOG
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
        left = {
            name: [dict(zip(("subset", "method", "seed"), key, strict=True)) for key in keys]
            for name, keys in (("other", board.other), ("withdrawn", board.withdrawn))
        }
        boards.append(written | {"rows": board.rows, "added": board.added, **left})
        title = f"{board.split}, protocol {board.protocol}"
        of_tracks = by_track(board.summary)
        shown = summaries([(each, titled(title, track)) for track, each in of_tracks])
        said = [f"{board.rows} rows in {board.path}, {board.added} of them new"]
        if board.other:
            said.append(
                f"{board.path}: rows with other predictions are there of {len(board.other)} of the "
                f"runs, and stay: {runs_in_brief(board.other)}; to have the rows of these records, "
                "build into another folder (-o)"
            )
        if board.withdrawn:
            said.append(f"left out, withdrawn: {runs_in_brief(board.withdrawn)}")
        yield Report(
            tables=shown.tables, lines=shown.lines, notes=said, exit_code=int(bool(board.other))
        )
    custom = [str(path) for path in built.custom]
    yield Report(
        data={"boards": boards, "custom": custom},
        notes=[
            *(f"left out, custom: {path}" for path in custom),
            *(f"add to {output / CHANGELOG}: {line}" for line in built.unexplained),
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
        verify=_weights_check(predictions, data, weights=weights),
    )
    yield Report(data=asdict(found), lines=found.problems or found.sentences)
    if found.problems:
        count = len(found.problems)
        raise RunError(f"{folder}: {count} problem{'s' if count > 1 else ''}")


def _weights_check(
    predictions: Path | None, data: Path | None, *, weights: bool
) -> WeightsCheck | None:
    if not weights:
        only_for("--weights", {"--data": data})
        return None
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
    dry_run: DryRunOption = False,
) -> Report:
    """Say what became of rows: they are withdrawn, disputed or missing; nothing is deleted."""
    from dcbench.config.names import parse_seeds
    from dcbench.leaderboard.changelog import CHANGELOG
    from dcbench.leaderboard.marks import mark

    entry = mark(
        folder, board, method, parse_seeds(seeds), state, reason, subset=subset, dry_run=dry_run
    )
    notes = [NOT_WRITTEN] if dry_run else []
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
    dry_run: DryRunOption = False,
) -> Iterator[Report]:
    """Raise the tier of rows whose runs are given: recomputed, or rerun."""
    from dcbench.config.paths import results_root
    from dcbench.errors import RunError
    from dcbench.leaderboard.changelog import CHANGELOG
    from dcbench.leaderboard.confirm import confirm_recomputed, confirm_rerun

    root = results_root(results)
    verify = _weights_check(root, data, weights=weights)
    if rerun:
        only_for("confirm without --rerun", {"--weights": weights or None})
        found = confirm_rerun(folder, root, reason, spread=spread, dry_run=dry_run)
    else:
        only_for("--rerun", {"--spread": spread})
        found = confirm_recomputed(folder, root, reason, verify=verify, dry_run=dry_run)
    lines = [f"{folder / CHANGELOG}: {entry.line}" for entry in found.entries]
    notes = [] if lines else ["no row's tier rises"]
    if lines and dry_run:
        notes = [NOT_WRITTEN]
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
    dry_run: DryRunOption = False,
) -> Report:
    """Bring tables of an earlier version to the newest columns; no record is needed."""
    from dcbench.leaderboard.migrate import migrate

    changes = migrate(folder, dry_run=dry_run)
    notes = [] if changes else [f"{folder}: nothing to change"]
    if changes and dry_run:
        notes = [NOT_WRITTEN]
    return Report(
        data=[{"file": str(each.path), "change": each.what} for each in changes],
        lines=[f"{each.path}: {each.what}" for each in changes],
        notes=notes,
    )
