"""`dcbench run` and `dcbench measure`."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dcbench.cli.options import (
    CompileOption,
    DataOption,
    DeviceOption,
    RecipeOption,
    ResultsOption,
    ThreadsOption,
    UnverifiedOption,
    WeightsOption,
    with_tuned,
)
from dcbench.cli.report import Report, Table
from dcbench.errors import UsageError

if TYPE_CHECKING:
    from dcbench.metrics.values import Metrics
    from dcbench.records.schema import Record
    from dcbench.records.store import Store
    from dcbench.runs.plan import Plan
    from dcbench.runs.session import Session

RUN_EXAMPLE = "Example:  dcbench run --method ic-regmixup --split digits --seeds 0-2"
MEASURE_EXAMPLE = "Example:  dcbench measure results/v1/digits/subset-0/erm/seed-0"

_log = logging.getLogger(__name__)


def run(
    method: Annotated[
        str, typer.Option(help="A name, with settings in brackets or not; or FILE.py:Class.")
    ],
    split: Annotated[str, typer.Option(help="Name of a split; `dcbench splits` lists them.")],
    subset: Annotated[int, typer.Option(help="Which draw of the training images.")] = 0,
    seed: Annotated[str | None, typer.Option(help="One seed.", show_default="0")] = None,
    seeds: Annotated[str | None, typer.Option(help="Several: 0-9 or 0,2,5.")] = None,
    protocol: Annotated[str, typer.Option(help="Rules; `dcbench protocols` lists them.")] = "v1",
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", help="key=value of the method or recipe; may be repeated."),
    ] = None,
    recipe: RecipeOption = None,
    device: DeviceOption = "auto",
    threads: ThreadsOption = None,
    data: DataOption = None,
    results: ResultsOption = None,
    restart: Annotated[
        bool, typer.Option("--restart", help="Throw away what an earlier run left.")
    ] = False,
    allow_unverified_data: UnverifiedOption = False,
    weights: WeightsOption = None,
    pack: Annotated[int, typer.Option(min=1, help="Runs that share the device at once.")] = 1,
    compiled: CompileOption = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would run, and for how long.")
    ] = False,
) -> Iterator[Report]:
    """Train, predict, measure and record: one run or several.

    A finished run is found and not repeated; a half-done one goes on.
    """
    from dcbench.cli.console import ConsoleProgress
    from dcbench.config.names import parse_settings
    from dcbench.config.paths import results_root
    from dcbench.data.source import open_source
    from dcbench.errors import DcbenchError
    from dcbench.records.schema import Record
    from dcbench.records.store import Store
    from dcbench.runs.execute import execute_together
    from dcbench.runs.machine import find_device
    from dcbench.runs.plan import plan_run
    from dcbench.runs.session import Session

    asked = with_tuned(parse_settings(settings or []), recipe)
    plans = [
        plan_run(method, split, subset=subset, seed=each, protocol=protocol, settings=asked)
        for each in _chosen_seeds(seed, seeds)
    ]
    store = Store(results_root(results), weights)
    source = open_source(data, allow_unverified=allow_unverified_data)
    session = Session(source, find_device(device), threads, compiled=compiled)
    if dry_run:
        for plan in plans:
            yield _forecast(plan, store, session, restart=restart)
        return
    for first in range(0, len(plans), pack):
        together = plans[first : first + pack]
        for plan in together:
            _announce(plan)
        with ConsoleProgress() as progress:
            carried_out = execute_together(
                together, store, session, restart=restart, progress=progress
            )
        ended = [each.ended for each in carried_out]
        for plan, outcome in zip(together, ended, strict=True):
            if isinstance(outcome, Record):
                yield _recorded(outcome, store.folder(plan.identity) / "record.json")
        for outcome in ended:
            if isinstance(outcome, DcbenchError):
                raise outcome


def _chosen_seeds(seed: str | None, seeds: str | None) -> tuple[int, ...]:
    from dcbench.config.names import parse_seeds

    if seeds is not None:
        if seed is not None:
            raise UsageError(f"--seed {seed} beside --seeds {seeds}: give one of them")
        return parse_seeds(seeds)
    chosen = parse_seeds(seed or "0")
    if len(chosen) > 1:
        raise UsageError(f"--seed {seed}: is for one seed; several: --seeds {seed}")
    return chosen


def _forecast(plan: Plan, store: Store, session: Session, *, restart: bool) -> Report:
    """What would become of a run, and how long it would take; nothing is written."""
    from dcbench.records.store import Differs, Finished
    from dcbench.runs.execute import estimate

    _announce(plan)
    folder = store.folder(plan.identity)
    there = None if restart else store.find(plan.identity)
    if isinstance(there, Finished):
        said = f"found {folder / 'record.json'}; not run again"
        return Report(data={"folder": str(folder), "estimate": None}, lines=[said])
    if isinstance(there, Differs):
        raise there.error
    said = str(estimate(plan, session, None if restart else folder))
    return Report(data={"folder": str(folder), "estimate": said}, lines=[said])


def _announce(plan: Plan) -> None:
    recipe = plan.choice.recipe
    _log.info(
        f"{plan.folder}: {plan.num_images} images, {recipe.model}, {recipe.epochs} epochs, "
        f"batches of {recipe.batch_size}"
    )
    if plan.departures:
        _log.info("custom, no leaderboard will take it: %s", "; ".join(plan.departures))


def _recorded(record: Record, path: Path) -> Report:
    title = f"{record.label} on {record.split}, subset {record.subset}, seed {record.seed}"
    notes = []
    if record.status == "custom":
        notes.append(f"custom: {'; '.join(record.departures)}")
    if record.unverified_data:
        notes.append(f"unverified data: {', '.join(record.unverified_data)}")
    return Report(
        data=record.model_dump(mode="json"),
        tables=[Table(title, ("metric", "value"), _metric_rows(record.metrics))],
        lines=[str(path)],
        notes=notes,
    )


def measure(
    folder: Annotated[
        Path, typer.Argument(metavar="RUN", help="Folder of a finished run, or its record.")
    ],
) -> Report:
    """Compute the metrics again from the stored predictions; says if any differs."""
    from dcbench.records.files import RECORD
    from dcbench.records.recompute import measure_again
    from dcbench.records.store import record_paths

    if folder.name == RECORD:
        folder = folder.parent
    below = record_paths(folder) if folder.is_dir() and not (folder / RECORD).exists() else []
    if below:
        raise UsageError(f"{folder}: is no folder of a run; name one, such as {below[0].parent}")
    again = measure_again(folder)
    differing = ", ".join(again.differing)
    notes = [f"differs from the record: {differing}" if differing else "as recorded"]
    if again.new:
        notes.append(f"new, for the record is older: {', '.join(again.new)}")
    return Report(
        data={
            "metrics": again.metrics.model_dump(),
            "differing": again.differing,
            "new": again.new,
        },
        tables=[Table(str(folder), ("metric", "value"), _metric_rows(again.metrics))],
        notes=notes,
        exit_code=1 if differing else 0,
    )


def _metric_rows(metrics: Metrics) -> list[tuple[str, float | None]]:
    """Metrics of a record by dotted name; those that do not apply are left out."""
    from dcbench.metrics.table import (
        HEADLINE_OOD_METRIC,
        HEADLINE_SCORE,
        METRICS,
        ood_key,
        shift_key,
    )

    keys = [metric.key for metric in METRICS if metrics[metric.key] is not None]
    rows = [(key, metrics[key]) for key in keys]
    for name, scores in metrics.ood.items():
        for score in scores or (HEADLINE_SCORE,):
            value = scores[score][HEADLINE_OOD_METRIC] if scores else None
            rows.append((ood_key(name, score), value))
    for name, reached in metrics.shift.items():
        value = reached.accuracy if reached else None
        rows.append((shift_key(name, "accuracy"), value))
    return rows
