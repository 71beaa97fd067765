"""`dcbench tune`."""

from __future__ import annotations

from dataclasses import replace
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
    ResultsOption,
    ThreadsOption,
    UnverifiedOption,
)
from dcbench.cli.report import Report, Table
from dcbench.cli.site import as_workers, site_of
from dcbench.config.text import duration

if TYPE_CHECKING:
    from dcbench.sweep.engines.base import Engine, Site
    from dcbench.tuning.plan import Search
    from dcbench.tuning.study import TrialFacts
    from dcbench.tuning.tune import Found

EXAMPLE = (
    "Example:  dcbench tune --method ic-mixup --split digits --protocol v1-lite --trials 20 "
    "--engine loky"
)

_SHOWN = 10
"""Trials of the table, the best first."""


def tune(
    method: Annotated[
        str, typer.Option(help="A name, settings in brackets are not searched; or FILE.py:Class.")
    ],
    split: Annotated[str, typer.Option(help="Name of a split; `dcbench splits` lists them.")],
    trials: Annotated[
        int | None, typer.Option(min=1, help="Settings to try.", show_default="the preset's")
    ] = None,
    preset: Annotated[str, typer.Option(help="What is searched: default, or gem.")] = "default",
    ranges: Annotated[
        list[str] | None,
        typer.Option("--range", help="key=low..high, key=[one,another], key=value; repeatable."),
    ] = None,
    epochs: Annotated[
        int | None, typer.Option(min=1, help="Of a trial.", show_default="the protocol's")
    ] = None,
    first_rung: Annotated[
        int | None,
        typer.Option(min=1, help="Epochs before trials compete.", show_default="the preset's"),
    ] = None,
    reduction: Annotated[
        int | None,
        typer.Option(min=2, help="One in so many goes on.", show_default="the preset's"),
    ] = None,
    sampler: Annotated[str, typer.Option(help="random, or tpe.")] = "random",
    subset: Annotated[int, typer.Option(help="Which draw of the training images.")] = 0,
    seed: Annotated[int, typer.Option(min=0, help="Of what is tried, and of each training.")] = 0,
    protocol: Annotated[str, typer.Option(help="Rules; `dcbench protocols` lists them.")] = "v1",
    engine: EngineOption = "serial",
    engine_options: EngineOptionsOption = None,
    jobs: JobsOption = None,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="The recipe; else recipe.yaml beside the study."),
    ] = None,
    budget: Annotated[
        str | None, typer.Option(help="Stop in time, checkpointed: 90s, 9m or 1.5h.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what is searched, and what it costs here.")
    ] = False,
    restart: Annotated[
        bool, typer.Option("--restart", help="Throw away what an earlier search left.")
    ] = False,
    device: DeviceOption = "auto",
    threads: ThreadsOption = None,
    compiled: CompileOption = False,
    data: DataOption = None,
    results: ResultsOption = None,
    allow_unverified_data: UnverifiedOption = False,
) -> Report:
    """Search a method's settings on held-out training images; the test set is never opened.

    Asked again, a search goes on. Its trials are shared by the workers of an engine, and by the
    same command in several terminals.
    """
    from dcbench.sweep.engines.registry import load_engine
    from dcbench.tuning.plan import plan_search
    from dcbench.tuning.tune import check_shares_results

    search = plan_search(
        method,
        split,
        subset=subset,
        protocol=protocol,
        seed=seed,
        preset=preset,
        trials=trials,
        epochs=epochs,
        first_rung=first_rung,
        reduction=reduction,
        sampler=sampler,
        ranges=ranges or [],
    )
    chosen = load_engine(engine, engine_options, workers=jobs)
    check_shares_results(engine, chosen)
    site = site_of(results, data, device, allow_unverified_data, threads, budget, compiled=compiled)
    if dry_run:
        return _planned(search, site, chosen.workers(device), restart=restart)
    return _report(search, _searched(search, site, chosen, output, restart=restart))


def _searched(
    search: Search, site: Site, engine: Engine[Any], output: Path | None, *, restart: bool
) -> Found:
    from dcbench.cli.console import ConsoleProgress, hushed
    from dcbench.runs.machine import find_device, warn_of_slow_arithmetic
    from dcbench.tuning.tune import tune as search_all

    # Here and not by the workers alone, of whose warnings not every engine shows all.
    warn_of_slow_arithmetic(search.plan({}).choice.recipe.precision, find_device(site.device))
    with hushed("dcbench.runs"), ConsoleProgress() as progress:
        return search_all(
            search, replace(site, progress=progress), engine, output=output, restart=restart
        )


def _planned(search: Search, site: Site, workers: int, *, restart: bool) -> Report:
    from dcbench.data.load import load_tuning_images
    from dcbench.runs.machine import find_device
    from dcbench.runs.session import Session
    from dcbench.sweep.engines.base import at_once
    from dcbench.tuning.tune import counted, forecast, left_of, trials_before

    trials = [] if restart else trials_before(search, site.store.root)
    left, device = left_of(search, trials), find_device(site.device)
    session = Session(
        site.source, device, site.threads, compiled=site.compiled, load=load_tuning_images
    )
    found, workers = forecast(search, session, left), at_once(workers, left)
    rungs = ", ".join(map(str, search.rungs))
    halving = f"one in {search.reduction} goes on after {rungs}" if rungs else "none is stopped"
    return Report(
        data={
            "space": {key: each.model_dump(mode="json") for key, each in search.space.items()},
            "trials": search.trials,
            "left": left,
            "epochs": search.epochs,
            "rungs": search.rungs,
            "reduction": search.reduction,
            "device": found.device,
            "workers": workers,
            "seconds": found.seconds,
            "seconds_most": found.seconds_most,
        },
        tables=[Table("", ("setting", "searched"), [(k, str(r)) for k, r in search.space.items()])],
        notes=[
            f"{search.trials} trials{counted(trials)} of {search.epochs} epochs; {halving}",
            f"about {duration(found.seconds)} on {found.device}"
            f"{as_workers(found.seconds, workers)}; {duration(found.seconds_most)} if no trial "
            "were stopped",
        ],
    )


def _report(search: Search, found: Found) -> Report:
    from dcbench.config.tuned import recipe_text
    from dcbench.tuning.tune import left_of

    data: dict[str, Any] = {
        "study": str(found.folder),
        "recipe": None if found.path is None else str(found.path),
        "trials": [each._asdict() for each in found.trials],
    }
    if found.recipe is None or found.path is None:
        left = left_of(search, found.trials)
        return Report(
            data=data,
            notes=[f"{left} of {search.trials} trials are left; the same command goes on"],
        )
    data |= {"content": found.recipe.model_dump(mode="json")}
    return Report(
        data=data,
        tables=[_table(search, found.trials)],
        lines=[recipe_text(found.recipe).rstrip(), "", str(found.path)],
        notes=[
            f"`dcbench run --method {search.method} --split {search.split} --protocol "
            f"{search.protocol} --recipe {found.path}` trains by it"
        ],
    )


def _table(search: Search, trials: list[TrialFacts]) -> Table:
    order = sorted(trials, key=lambda each: (each.state != "complete", -(each.score or 0)))
    rows: list[tuple[Any, ...]] = [
        (
            each.number,
            *(_short(each.values.get(key)) for key in search.space),
            each.state,
            each.epochs,
            None if each.score is None else f"{100 * each.score:.2f}",
        )
        for each in order[:_SHOWN]
    ]
    title = "Trials, the best first" if len(trials) <= _SHOWN else f"The best {_SHOWN} trials"
    columns = ("trial", *search.space, "state", "epochs", "balanced accuracy %")
    return Table(title, columns, rows)


def _short(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
