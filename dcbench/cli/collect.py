"""`dcbench collect`: the results of several machines in one folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dcbench.cli.options import Json, ResultsOption

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dcbench.records.collect import Outcome

EXAMPLE = "Example:  dcbench collect from-lab from-cluster --results results"


def collect(
    folders: Annotated[
        list[Path], typer.Argument(metavar="DIR", help="Results folders to copy runs from.")
    ],
    results: ResultsOption = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check all and say what would happen; write nothing.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Merge the results folders of several machines into --results.

    A finished run is checked against the hashes in its record and copied whole; one that is there
    already is left. Of two different records of one run, the one that is there stays; where none
    is there, none is taken. Half-done runs are counted and left where they are. May be repeated.

    Ends with 1 if a run was refused or is damaged (all others are merged then), and with 2, having
    written nothing, if a DIR is not there, holds no run, or is not a results folder of its own.
    """
    from dcbench.cli.console import RunProgress
    from dcbench.config.paths import results_root
    from dcbench.records.collect import collect as merge
    from dcbench.records.collect import conflicts, counts

    with RunProgress() as progress:
        outcomes = merge(
            folders,
            results_root(results),
            dry_run=dry_run,
            advance=lambda done, total: progress.counted("collect", done, total, "runs"),
        )
    if as_json:
        rows = [
            {"run": str(each.run), "folder": str(each.folder)}
            | {"state": each.state, "message": each.message}
            for each in outcomes
        ]
        report = {"dry_run": dry_run, "counts": counts(outcomes), "runs": rows}
        typer.echo(json.dumps(report | {"conflicts": conflicts(outcomes)}))
    else:
        _show(outcomes, dry_run)
    if any(each.state in ("refused", "damaged") for each in outcomes):
        raise typer.Exit(1)


def _show(outcomes: Sequence[Outcome], dry_run: bool) -> None:
    from dcbench.cli.console import note, show_table, stdout
    from dcbench.records.collect import conflicts, counts

    told = [each for each in outcomes if each.message or (dry_run and each.state == "copied")]
    if told:
        show_table(
            ("run", "state", "why"),
            [(each.run, each.state, each.message or f"from {each.folder}") for each in told],
        )
    for each in conflicts(outcomes):
        line = (
            f"{each['folder']}: accuracy {each['accuracy']:.4f}, {each['device']}, torch "
            f"{each['torch']}, finished {each['finished']}, predictions "
            f"{each['predictions_sha256'][:12]}"
        )
        stdout.print(line, markup=False, soft_wrap=True)
    said = ", ".join(
        f"{count} {state.replace('_', ' ')}" for state, count in counts(outcomes).items()
    )
    note(f"would be: {said}; nothing was written" if dry_run else said)
