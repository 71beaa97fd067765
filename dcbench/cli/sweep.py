"""`dcbench sweep` and `dcbench plan`."""

from __future__ import annotations

import json
import os
import time
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dcbench.cli.options import DataOption, Json, ResultsOption, UnverifiedOption

if TYPE_CHECKING:
    from dcbench.sweep.engines import Outcome, Site
    from dcbench.sweep.forecast import Forecast
    from dcbench.sweep.grid import Request

SWEEP_EXAMPLE = (
    "Example:  dcbench sweep --methods erm,ic-mixup --splits digits --seeds 0-4 --engine loky"
)
PLAN_EXAMPLE = "Example:  dcbench plan cifair10-common --protocol v1-lite"


class EngineName(StrEnum):
    """Who carries the runs out."""

    serial = "serial"
    loky = "loky"


Methods = Annotated[
    str | None, typer.Option(help="Joined by commas, with settings in brackets or not.")
]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:0.")]
Threads = Annotated[int, typer.Option(min=1, help="Of each process, on a CPU; results differ.")]


def sweep(
    plan: Annotated[
        Path | None, typer.Argument(metavar="[PLAN.yaml]", help="Blocks of runs; flags win.")
    ] = None,
    methods: Methods = None,
    splits: Annotated[str | None, typer.Option(help="Joined by commas.")] = None,
    subsets: Annotated[str | None, typer.Option(help="0, 0-2 or 0,2.")] = None,
    seeds: Annotated[str | None, typer.Option(help="0, 0-9 or 0,2,5.")] = None,
    protocol: Annotated[str | None, typer.Option(help="Rules; v1 unless the plan says.")] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="key=value for every run; may be repeated.")
    ] = None,
    engine: Annotated[
        EngineName, typer.Option(help="In this process, or in several workers.")
    ] = EngineName.serial,
    jobs: Annotated[
        int | None, typer.Option(min=1, help="Workers of loky; one a GPU, or one a core.")
    ] = None,
    pack: Annotated[int, typer.Option(min=1, help="Runs that share a device at once.")] = 1,
    threads: Threads = 1,
    device: Device = "auto",
    budget: Annotated[
        str | None, typer.Option(help="Stop in time, all checkpointed: 90s, 9m or 1.5h.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would run, and what it costs here.")
    ] = False,
    data: DataOption = None,
    results: ResultsOption = None,
    allow_unverified_data: UnverifiedOption = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress.")] = False,
    as_json: Json = False,
) -> None:
    """Run many: only what is missing, nothing twice, and one that fails stops no other.

    Asked again, it goes on. With --budget it ends in time with exit code 0 and says what is left.
    """
    requests = _requests(plan, _changes(methods, splits, subsets, seeds, protocol, settings))
    site = _site(results, data, device, allow_unverified_data, threads, budget)
    workers = _workers(engine, jobs, device)
    if dry_run:
        _forecast(requests, site, workers, as_json)
        return
    outcomes = _swept(requests, site, engine, pack, workers, quiet)
    _show(outcomes, as_json)
    if any(outcome.state == "failed" for outcome in outcomes):
        raise typer.Exit(1)


def plan(
    splits: Annotated[list[str], typer.Argument(metavar="SPLIT")],
    methods: Methods = None,
    protocol: Annotated[str, typer.Option(help="Rules; `dcbench protocols` lists them.")] = "v1",
    threads: Threads = 1,
    device: Device = "auto",
    data: DataOption = None,
    results: ResultsOption = None,
    allow_unverified_data: UnverifiedOption = False,
    as_json: Json = False,
) -> None:
    """Say what the runs that a protocol asks of some splits cost here, from measured steps."""
    from dcbench.config.protocol import load_protocol
    from dcbench.config.text import span
    from dcbench.data.splits import split_config
    from dcbench.methods import method_names
    from dcbench.sweep.grid import Block, requests_of

    rules = load_protocol(protocol)
    named = tuple(_split_list(methods) if methods else method_names())
    blocks = []
    for split in splits:
        asked = rules.entry(split_config(split).recipe).asked
        block = {"protocol": protocol, "methods": named, "splits": (split,)}
        block |= {"subsets": span(asked.subsets), "seeds": span(asked.seeds)}
        blocks.append(Block.model_validate(block))
    site = _site(results, data, device, allow_unverified_data, threads, None)
    _forecast(requests_of(blocks), site, 1, as_json)


def _site(
    results: Path | None,
    data: Path | None,
    device: str,
    allow_unverified: bool,
    threads: int,
    budget: str | None,
) -> Site:
    from dcbench.config.names import parse_duration
    from dcbench.config.paths import results_root
    from dcbench.data.source import open_source
    from dcbench.records.store import Store
    from dcbench.sweep.engines import Site

    return Site(
        store=Store(results_root(results)),
        source=open_source(data, allow_unverified=allow_unverified),
        device=device,
        threads=threads,
        deadline=time.time() + parse_duration(budget) if budget else None,
    )


def _changes(
    methods: str | None,
    splits: str | None,
    subsets: str | None,
    seeds: str | None,
    protocol: str | None,
    settings: list[str] | None,
) -> dict[str, Any]:
    """What the flags say of every block."""
    from dcbench.config.names import parse_settings

    said = {
        "methods": _split_list(methods) if methods else None,
        "splits": splits.split(",") if splits else None,
        "subsets": subsets,
        "seeds": seeds,
        "protocol": protocol,
        "settings": parse_settings(settings) if settings else None,
    }
    return {key: value for key, value in said.items() if value is not None}


def _split_list(methods: str) -> list[str]:
    """At the commas that stand in no bracket."""
    import re

    return re.split(r",(?![^\[]*\])", methods)


def _requests(plan: Path | None, changes: dict[str, Any]) -> list[Request]:
    from dcbench.config.base import validated
    from dcbench.errors import UsageError
    from dcbench.sweep.grid import Block, read_sweep, requests_of

    if plan is not None:
        return requests_of(read_sweep(plan, changes).blocks)
    if not {"methods", "splits"} <= changes.keys():
        raise UsageError("say what to run: a PLAN.yaml, or --methods and --splits")
    return requests_of([validated(Block, changes, "the flags")])


def _workers(engine: EngineName, jobs: int | None, device: str) -> int:
    if engine is EngineName.serial:
        return 1
    if jobs is not None:
        return jobs
    from dcbench.runs.machine import find_device

    if find_device(device).type == "cpu":
        return os.cpu_count() or 1
    import torch

    return torch.cuda.device_count() if device == "auto" else 1


def _swept(
    requests: list[Request], site: Site, engine: EngineName, pack: int, workers: int, quiet: bool
) -> list[Outcome]:
    from functools import partial

    from dcbench.cli.console import RunProgress, note
    from dcbench.sweep.engines import loky, serial
    from dcbench.sweep.scheduler import sweep

    def tell(text: str) -> None:
        if not quiet:
            note(text)

    with RunProgress(quiet, brief=True):
        chosen = partial(serial) if engine is EngineName.serial else partial(loky, workers=workers)
        return sweep(requests, site, chosen, pack=pack, workers=workers)


def _show(outcomes: list[Outcome], as_json: bool) -> None:
    from dcbench.cli.console import note, show_table
    from dcbench.sweep.grid import plan_of

    counts = {
        state: sum(outcome.state == state for outcome in outcomes)
        for state in ("done", "found", "failed", "left")
    }
    if as_json:
        rows = [
            {**outcome.request._asdict(), **outcome._asdict(), "request": None}
            for outcome in outcomes
        ]
        for row in rows:
            del row["request"]
            row["settings"] = json.loads(row["settings"])
        typer.echo(json.dumps({"counts": counts, "runs": rows}))
        return
    unfinished = [outcome for outcome in outcomes if outcome.state in ("failed", "left")]
    if unfinished:
        show_table(
            ("run", "state", "why"),
            [(plan_of(each.request).title, each.state, each.message) for each in unfinished],
        )
    note(", ".join(f"{count} {state}" for state, count in counts.items()))
    if counts["left"]:
        note("the same command goes on with what is left")


def _forecast(requests: list[Request], site: Site, workers: int, as_json: bool) -> None:
    import dataclasses

    import torch

    from dcbench.runs.machine import device_title, find_device
    from dcbench.runs.session import Session
    from dcbench.sweep.forecast import forecast

    device = find_device(site.device)
    if device.type == "cpu":
        torch.set_num_threads(site.threads)
    found = forecast(requests, site.store, Session(site.source, device))
    if as_json:
        rows = [dataclasses.asdict(each) | {"seconds": each.seconds} for each in found]
        report = {"device": device_title(device), "workers": workers, "runs": rows}
        typer.echo(json.dumps(report))
    else:
        _show_forecast(found, f"on {device_title(device)}", workers)


def _show_forecast(found: list[Forecast], where: str, workers: int) -> None:
    from dcbench.cli.console import note, show_table
    from dcbench.config.text import duration

    columns = ("protocol", "split", "method", "recorded", "half-done", "missing", "a run", "all")
    rows = [
        (
            *(each.protocol, each.split, each.method),
            *(each.recorded, each.half_done, each.missing),
            duration(each.seconds_each) if each.seconds_each else None,
            duration(each.seconds) if each.seconds else None,
        )
        for each in found
    ]
    show_table(columns, rows)
    runs = sum(each.half_done + each.missing for each in found)
    seconds = sum(each.seconds for each in found)
    text = f"{runs} runs to do: about {duration(seconds)} {where}"
    if workers > 1:
        text += f", or {duration(seconds / workers)} if {workers} workers are as fast together"
    note(text)
