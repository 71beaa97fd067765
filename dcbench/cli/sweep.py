"""`dcbench sweep` and `dcbench plan`."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dcbench.cli.options import (
    CompileOption,
    DataOption,
    DeviceOption,
    EngineOption,
    EngineOptionsOption,
    JobsOption,
    RecipeOption,
    ResultsOption,
    ThreadsOption,
    UnverifiedOption,
    WeightsOption,
    with_tuned,
)
from dcbench.cli.report import Report, Table
from dcbench.cli.site import as_workers, site_of
from dcbench.config.text import duration

if TYPE_CHECKING:
    from dcbench.sweep.engines.base import Engine, Outcome, Site
    from dcbench.sweep.forecast import Forecast
    from dcbench.sweep.grid import Request

SWEEP_EXAMPLE = (
    "Example:  dcbench sweep --methods erm,ic-mixup --splits digits --seeds 0-4 --engine loky"
)
PLAN_EXAMPLE = "Example:  dcbench plan cifair10-common --protocol v1-lite"


Methods = Annotated[
    str | None, typer.Option(help="Joined by commas, with settings in brackets or not.")
]


def sweep(
    queue: Annotated[
        Path | None, typer.Argument(metavar="[QUEUE.yaml]", help="Blocks of runs; flags win.")
    ] = None,
    methods: Methods = None,
    splits: Annotated[str | None, typer.Option(help="Joined by commas.")] = None,
    subsets: Annotated[str | None, typer.Option(help="0, 0-2 or 0,2.")] = None,
    seeds: Annotated[str | None, typer.Option(help="0, 0-9 or 0,2,5.")] = None,
    protocol: Annotated[str | None, typer.Option(help="Rules; v1 unless the queue says.")] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="key=value for every run; may be repeated.")
    ] = None,
    recipe: RecipeOption = None,
    engine: EngineOption = "serial",
    engine_options: EngineOptionsOption = None,
    jobs: JobsOption = None,
    pack: Annotated[int, typer.Option(min=1, help="Runs that share a device at once.")] = 1,
    threads: ThreadsOption = None,
    compiled: CompileOption = False,
    device: DeviceOption = "auto",
    weights: WeightsOption = None,
    budget: Annotated[
        str | None, typer.Option(help="Stop in time, all checkpointed: 90s, 9m or 1.5h.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would run, and what it costs here.")
    ] = False,
    data: DataOption = None,
    results: ResultsOption = None,
    allow_unverified_data: UnverifiedOption = False,
) -> Report:
    """Run many: only what is missing, nothing twice, and one that fails stops no other.

    Asked again, it goes on. With --budget it ends in time with exit code 0 and says what is left.
    """
    from dcbench.config.names import parse_settings, split_list
    from dcbench.sweep.engines.registry import load_engine

    chosen = load_engine(engine, engine_options, workers=jobs)
    changes = _changes(
        methods=split_list(methods or ""),
        splits=split_list(splits or ""),
        subsets=subsets,
        seeds=seeds,
        protocol=protocol,
        settings=with_tuned(parse_settings(settings or []), recipe),
    )
    requests = _requests(queue, changes)
    site = site_of(
        results, data, device, allow_unverified_data, threads, budget, weights, compiled=compiled
    )
    if dry_run:
        return _forecast(requests, site, chosen.workers(device))
    return _outcomes(_swept(requests, site, chosen, pack))


def plan(
    splits: Annotated[list[str], typer.Argument(metavar="SPLIT")],
    methods: Methods = None,
    protocol: Annotated[str, typer.Option(help="Rules; `dcbench protocols` lists them.")] = "v1",
    threads: ThreadsOption = None,
    device: DeviceOption = "auto",
    data: DataOption = None,
    results: ResultsOption = None,
    allow_unverified_data: UnverifiedOption = False,
) -> Report:
    """Say what the runs that a protocol requires of some splits cost here, from measured steps."""
    from dcbench.config.names import split_list
    from dcbench.sweep.grid import requests_of, required_blocks

    blocks = required_blocks(protocol, splits, split_list(methods or ""))
    site = site_of(results, data, device, allow_unverified_data, threads, None)
    return _forecast(requests_of(blocks), site, workers=1)


def _changes(**flags: Any) -> dict[str, Any]:
    """What the flags say of every block."""
    return {key: value for key, value in flags.items() if value not in (None, [], {})}


def _requests(queue: Path | None, changes: dict[str, Any]) -> list[Request]:
    from dcbench.config.base import validated
    from dcbench.errors import UsageError
    from dcbench.sweep.grid import Block, read_queue, requests_of

    if queue is not None:
        return requests_of(read_queue(queue, changes).blocks)
    if not {"methods", "splits"} <= changes.keys():
        raise UsageError("say what to run: a QUEUE.yaml, or --methods and --splits")
    return requests_of([validated(Block, changes, "the flags")])


def _swept(requests: list[Request], site: Site, engine: Engine[Any], pack: int) -> list[Outcome]:
    from dcbench.cli.console import ConsoleProgress, hushed
    from dcbench.sweep.scheduler import sweep

    _warn_of_slow_recipes(requests, site)
    with hushed("dcbench.runs"), ConsoleProgress() as progress:
        return sweep(requests, replace(site, progress=progress), engine, pack=pack)


def _warn_of_slow_recipes(requests: list[Request], site: Site) -> None:
    """Here and not by the workers alone, of whose warnings not every engine shows all."""
    from dcbench.runs.machine import find_device, warn_of_slow_arithmetic
    from dcbench.sweep.grid import plan_of

    device = find_device(site.device)
    for request in requests:
        warn_of_slow_arithmetic(plan_of(request).choice.recipe.precision, device)


def _outcomes(outcomes: list[Outcome]) -> Report:
    from dcbench.sweep.grid import plan_of

    counts = {
        state: sum(outcome.state == state for outcome in outcomes)
        for state in ("done", "found", "failed", "left")
    }
    unfinished: dict[tuple[str, str], list[str]] = {}
    for each in outcomes:
        if each.state in ("failed", "left"):
            alike = unfinished.setdefault((each.state, each.message), [])
            alike.append(plan_of(each.request).title)
    rows = [(_in_short(titles), state, why) for (state, why), titles in unfinished.items()]
    notes = [", ".join(f"{count} {state}" for state, count in counts.items())]
    notes += _restarting(why for _, why in unfinished)
    if counts["left"]:
        notes.append("the same command goes on with what is left")
    return Report(
        data={"counts": counts, "runs": [_row(each) for each in outcomes]},
        tables=[Table("", ("run", "state", "why"), rows)] if rows else (),
        notes=notes,
        exit_code=1 if counts["failed"] else 0,
    )


def _in_short(titles: list[str]) -> str:
    """The first of the runs that ended alike, and how many more did; --json names them all."""
    return titles[0] if len(titles) == 1 else f"{titles[0]}, and {len(titles) - 1} more"


def _row(outcome: Outcome) -> dict[str, Any]:
    row = {**outcome.request._asdict(), **outcome._asdict()}
    del row["request"]
    return row | {"settings": _named_settings(outcome.request)}


def _named_settings(request: Request) -> dict[str, Any]:
    """The settings of a request, a tuned recipe by its hash."""
    from dcbench.config.tuned import SETTING

    settings: dict[str, Any] = json.loads(request.settings)
    if SETTING in settings:
        settings[SETTING] = settings[SETTING]["sha256"]
    return settings


def _forecast(requests: list[Request], site: Site, workers: int) -> Report:
    from dcbench.runs.machine import device_title, find_device
    from dcbench.runs.session import Session
    from dcbench.sweep.engines.base import at_once
    from dcbench.sweep.forecast import forecast
    from dcbench.sweep.grid import plan_of

    device = find_device(site.device)
    session = Session(site.source, device, site.threads, compiled=site.compiled)
    found = forecast(requests, site.store, session)
    with session.threads_of(plan_of(requests[0])):
        title = device_title(device)
    workers = at_once(workers, sum(each.to_do for each in found))
    problems = [problem for each in found for problem in each.problems]
    rows = [
        asdict(each) | {"seconds": each.seconds, "problems": [*map(str, each.problems)]}
        for each in found
    ]
    # Of runs that are refused alike, one is told.
    told = dict.fromkeys(str(p) for each in found for p in (each.problems[:1] + each.problems[-1:]))
    return Report(
        data={"device": title, "workers": workers, "runs": rows},
        tables=[_forecast_table(found)],
        notes=[*told, *_restarting(told), _total(found, f"on {title}", workers)],
        exit_code=max((each.exit_code for each in problems), default=0),
    )


def _restarting(problems: Iterable[str]) -> list[str]:
    """How to follow an advice that sweeps have no option for."""
    if not any("--restart" in each for each in problems):
        return []
    return ["--restart is an option of `dcbench run`; a sweep finds what it has made anew"]


def _forecast_table(found: list[Forecast]) -> Table:
    states = ("recorded", "half-done", "missing", "refused")
    columns = ("protocol", "split", "method", *states, "a run", "all")
    rows = [
        (
            *(each.protocol, each.split, each.method),
            *(each.recorded, each.half_done, each.missing, each.refused),
            duration(each.seconds_each) if each.seconds_each else None,
            duration(each.seconds) if each.seconds else None,
        )
        for each in found
    ]
    return Table("", columns, rows)


def _total(found: list[Forecast], where: str, workers: int) -> str:
    runs = sum(each.to_do for each in found)
    unknown = sum(each.to_do for each in found if each.seconds is None)
    seconds = sum(each.seconds or 0 for each in found)
    told = f"{runs} runs to do: about {duration(seconds)} {where}{as_workers(seconds, workers)}"
    return f"{told}, without {unknown} that could not be measured" if unknown else told
