"""`dcbench results`: what a results folder takes on disk."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Annotated

import typer

from dcbench.cli.options import ResultsOption
from dcbench.cli.report import Report, Table
from dcbench.cli.reporting import reporting
from dcbench.errors import UsageError

if TYPE_CHECKING:
    from dcbench.records.prune import Pruned
    from dcbench.records.schema import Record

app = typer.Typer(help="Results folders and the space they take.", no_args_is_help=True)


@app.callback()
def results() -> None:
    """Results folders and the space they take."""


@app.command("prune", epilog="Example:  dcbench results prune --weights --keep-seeds 0 --dry-run")
@reporting
def prune_results(
    results: ResultsOption = None,
    weights: Annotated[
        bool, typer.Option("--weights", help="Remove the weights; records keep their hash.")
    ] = False,
    repack: Annotated[
        bool, typer.Option("--repack", help="Write old predictions as new ones: smaller, the same.")
    ] = False,
    method: Annotated[str, typer.Option(help="Only of these methods: a wildcard.")] = "*",
    split: Annotated[str, typer.Option(help="Only on these splits: a wildcard.")] = "*",
    protocol: Annotated[str, typer.Option(help="Only under these protocols: a wildcard.")] = "*",
    keep_seeds: Annotated[
        str | None, typer.Option(help="Leave runs of these seeds alone: 0, 0-2 or 0,2.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would go and how much that is.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do it; what is removed is gone.")] = False,
) -> Report:
    """Give back disk space of finished runs: weights, and predictions of older versions.

    Metrics, records and predictions stay what they are, and runs are found as before. Only files
    that records name are touched, in folders that follow from the records.

    Ends with 1 if a run was refused or is damaged; it is left as it is.
    """
    from dcbench.cli.console import ConsoleProgress
    from dcbench.config.names import parse_seeds
    from dcbench.config.paths import results_root
    from dcbench.records.prune import prune

    if not weights and not repack:
        raise UsageError("say what to prune: --weights, --repack, or both")
    if not yes and not dry_run:
        raise UsageError("what is pruned is gone: look at it with --dry-run, then say --yes")
    kept = parse_seeds(keep_seeds) if keep_seeds is not None else ()
    wanted = {"protocol": protocol, "split": split, "method": method}

    def chosen(record: Record) -> bool:
        named = all(fnmatchcase(getattr(record, key), like) for key, like in wanted.items())
        return named and record.seed not in kept

    with ConsoleProgress() as progress:
        outcomes = prune(
            results_root(results),
            chosen,
            weights=weights,
            repack=repack,
            dry_run=dry_run,
            progress=progress,
        )
    if not outcomes:
        asked = ", ".join(f"--{key} '{like}'" for key, like in wanted.items())
        raise UsageError(f"there is no finished run of {asked}, but for the seeds that are kept")
    return _report(outcomes, dry_run)


def _report(outcomes: Sequence[Pruned], dry_run: bool) -> Report:
    runs = [
        {"folder": str(each.folder), "state": each.state, "message": each.message}
        | {"weights_bytes": each.weights, "predictions_bytes": each.predictions}
        for each in outcomes
    ]
    states = ("pruned", "unchanged", "refused", "damaged")
    counts = {state: sum(each.state == state for each in outcomes) for state in states}
    freed = {
        "weights": sum(each.weights for each in outcomes),
        "predictions": sum(each.predictions for each in outcomes),
    }
    groups = _groups(outcomes)
    columns = ("protocol", "split", "method", "runs", "weights MiB", "predictions MiB")
    said = f"{_mib(freed['weights'])} MiB of weights, {_mib(freed['predictions'])} of predictions"
    counted = ", ".join(f"{count} {state}" for state, count in counts.items())
    how = "would give back" if dry_run else "gave back"
    return Report(
        data={"dry_run": dry_run, "counts": counts, "bytes": freed, "runs": runs},
        tables=[Table("", columns, groups)] if groups else (),
        lines=[each.message for each in outcomes if each.message],
        notes=[f"{how} {said}: {counted}" + ("; nothing was written" if dry_run else "")],
        exit_code=1 if counts["refused"] or counts["damaged"] else 0,
    )


def _groups(outcomes: Sequence[Pruned]) -> list[tuple[object, ...]]:
    """A line for the runs of each method on each split that give something back."""
    groups: dict[tuple[str, ...], list[Pruned]] = defaultdict(list)
    for each in outcomes:
        if each.record is not None and each.state == "pruned":
            groups[each.record.protocol, each.record.split, each.record.label].append(each)
    return [
        (
            *(*key, len(group)),
            _mib(sum(each.weights for each in group)),
            _mib(sum(each.predictions for each in group)),
        )
        for key, group in groups.items()
    ]


def _mib(size: int) -> str:
    return f"{size / 2**20:.1f}"
