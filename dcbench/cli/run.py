"""`dcbench run` and `dcbench measure`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dcbench.cli.options import DataOption, Json, ResultsOption, UnverifiedOption

if TYPE_CHECKING:
    from dcbench.records.schema import Record
    from dcbench.records.store import Store
    from dcbench.runs.plan import Plan
    from dcbench.runs.session import Session

RUN_EXAMPLE = "Example:  dcbench run --method ic-regmixup --split digits --seeds 0-2"
MEASURE_EXAMPLE = "Example:  dcbench measure results/v1/digits/subset-0/erm/seed-0"


def run(
    method: Annotated[
        str, typer.Option(help="A name, with settings in brackets or not; or FILE.py:Class.")
    ],
    split: Annotated[str, typer.Option(help="Name of a split; `dcbench splits` lists them.")],
    subset: Annotated[int, typer.Option(help="Which draw of the training images.")] = 0,
    seed: Annotated[str, typer.Option(help="One seed.")] = "0",
    seeds: Annotated[str | None, typer.Option(help="Several: 0-9 or 0,2,5.")] = None,
    protocol: Annotated[str, typer.Option(help="Rules; `dcbench protocols` lists them.")] = "v1",
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", help="key=value of the method or recipe; may be repeated."),
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:0.")] = "auto",
    data: DataOption = None,
    results: ResultsOption = None,
    restart: Annotated[
        bool, typer.Option("--restart", help="Throw away what an earlier run left.")
    ] = False,
    allow_unverified_data: UnverifiedOption = False,
    pack: Annotated[int, typer.Option(min=1, help="Runs that share the device at once.")] = 1,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would run, and for how long.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress.")] = False,
    as_json: Json = False,
) -> None:
    """Train, predict, measure and record: one run or several.

    A finished run is found and not repeated; a half-done one goes on.
    """
    from dcbench.cli.console import RunProgress
    from dcbench.config.names import parse_seeds, parse_settings
    from dcbench.config.paths import results_root
    from dcbench.data.source import open_source
    from dcbench.errors import DcbenchError
    from dcbench.records.schema import Record
    from dcbench.records.store import Store
    from dcbench.runs.execute import execute_together
    from dcbench.runs.machine import find_device
    from dcbench.runs.plan import plan_run
    from dcbench.runs.session import Session

    asked = parse_settings(settings or [])
    plans = [
        plan_run(method, split, subset=subset, seed=each, protocol=protocol, settings=asked)
        for each in parse_seeds(seeds if seeds is not None else seed)
    ]
    store = Store(results_root(results))
    source = open_source(data, allow_unverified=allow_unverified_data)
    session = Session(source, find_device(device))
    if dry_run:
        for plan in plans:
            _show_estimate(plan, store, session, quiet, as_json)
        return
    for first in range(0, len(plans), pack):
        together = plans[first : first + pack]
        with RunProgress(quiet) as reporter:
            for plan in together:
                _announce(plan, reporter.note)
            ended = execute_together(together, store, session, restart=restart)
        for plan, outcome in zip(together, ended, strict=True):
            if isinstance(outcome, Record):
                _show_record(outcome, store.folder(plan.identity) / "record.json", as_json)
        for outcome in ended:
            if isinstance(outcome, DcbenchError):
                raise outcome


def _show_estimate(plan: Plan, store: Store, session: Session, quiet: bool, as_json: bool) -> None:
    from dcbench.cli.console import RunProgress
    from dcbench.runs.execute import estimate

    with RunProgress(quiet) as reporter:
        _announce(plan, reporter.note)
        said = str(estimate(plan, session))
    folder = str(store.folder(plan.identity))
    typer.echo(json.dumps({"folder": folder, "estimate": said}) if as_json else said)


def _announce(plan: Plan, note: Any) -> None:
    recipe = plan.choice.recipe
    note(
        f"{plan.folder}: {plan.num_images} images, {recipe.model}, {recipe.epochs} epochs, "
        f"batches of {recipe.batch_size}"
    )
    if plan.departures:
        note(f"custom, no leaderboard will take it: {'; '.join(plan.departures)}")


def _show_record(record: Record, path: Path, as_json: bool) -> None:
    from dcbench.cli.console import metric_rows, note, show_table

    if as_json:
        typer.echo(json.dumps(record.model_dump(mode="json")))
        return
    title = f"{record.label} on {record.split}, subset {record.subset}, seed {record.seed}"
    show_table(("metric", "value"), metric_rows(record.metrics), title)
    if record.status == "custom":
        note(f"custom: {'; '.join(record.departures)}")
    if record.unverified_data:
        note(f"unverified data: {', '.join(record.unverified_data)}")
    typer.echo(path)


def measure(
    folder: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a finished run.")],
    as_json: Json = False,
) -> None:
    """Compute the metrics again from the stored predictions; says if any differs."""
    from dcbench.cli.console import metric_rows, note, show_table
    from dcbench.records.recompute import measure_again

    metrics, differing = measure_again(folder)
    if as_json:
        typer.echo(json.dumps({"metrics": metrics, "differing": differing}))
    else:
        show_table(("metric", "value"), metric_rows(metrics), str(folder))
        note(f"differs from the record: {', '.join(differing)}" if differing else "as recorded")
    if differing:
        raise typer.Exit(1)
