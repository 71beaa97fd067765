"""`dcbench collect`: the results of several machines in one folder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dcbench.cli.options import ResultsOption
from dcbench.cli.report import Report, Table

EXAMPLE = "Example:  dcbench collect from-lab from-cluster --results results"


def collect(
    folders: Annotated[
        list[Path], typer.Argument(metavar="DIR", help="Results folders to copy runs from.")
    ],
    results: ResultsOption = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check all and say what would happen; write nothing.")
    ] = False,
) -> Report:
    """Merge the results folders of several machines into --results.

    A finished run is checked against the hashes in its record and copied whole; one that is there
    already is left. Of two different records of one run, the one that is there stays; where none
    is there, none is taken. Half-done runs are counted and left where they are. May be repeated.

    Ends with 1 if a run was refused or is damaged (all others are merged then), and with 2, having
    written nothing, if a DIR is not there, holds no run, or is not a results folder of its own.
    """
    from dcbench.cli.console import ConsoleProgress
    from dcbench.config.paths import results_root
    from dcbench.records.collect import collect as merge
    from dcbench.records.collect import conflicts, counts

    with ConsoleProgress() as progress:
        outcomes = merge(folders, results_root(results), dry_run=dry_run, progress=progress)
    runs = [
        {"run": str(each.run), "folder": str(each.folder)}
        | {"state": each.state, "message": each.message}
        for each in outcomes
    ]
    told = [
        (each.run, each.state, each.message or f"from {each.folder}")
        for each in outcomes
        if each.message or (dry_run and each.state == "copied")
    ]
    counted, rivals = counts(outcomes), conflicts(outcomes)
    said = ", ".join(f"{count} {state.replace('_', ' ')}" for state, count in counted.items())
    return Report(
        data={"dry_run": dry_run, "counts": counted, "runs": runs, "conflicts": rivals},
        tables=[Table("", ("run", "state", "why"), told)] if told else (),
        lines=[
            f"{each['folder']}: accuracy {each['accuracy']:.4f}, {each['device']}, torch "
            f"{each['torch']}, finished {each['finished']}, predictions "
            f"{each['predictions_sha256'][:12]}"
            for each in rivals
        ],
        notes=[f"would be: {said}; nothing was written" if dry_run else said],
        exit_code=1 if counted["refused"] or counted["damaged"] else 0,
    )
