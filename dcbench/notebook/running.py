"""Runs from Python: one, or as many as a sweep."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, overload

from dcbench.config.base import validated
from dcbench.config.keep import Weights
from dcbench.config.paths import results_root
from dcbench.config.progress import NoProgress, Progress
from dcbench.data.source import open_source
from dcbench.errors import RunError, UsageError
from dcbench.notebook import arguments
from dcbench.records.schema import Record
from dcbench.records.set_files import read_completed
from dcbench.records.store import Store
from dcbench.runs.execute import execute
from dcbench.runs.machine import find_device
from dcbench.runs.plan import plan_run
from dcbench.runs.session import Session
from dcbench.sweep.engines.base import Site
from dcbench.sweep.engines.registry import load_engine
from dcbench.sweep.grid import Block, plan_of, requests_of
from dcbench.sweep.scheduler import sweep


@overload
def run(
    method: str,
    split: str | Path,
    *,
    subset: int = 0,
    seed: int = 0,
    seeds: None = None,
    protocol: str = "v1",
    settings: Mapping[str, Any] | None = None,
    device: str = "auto",
    threads: int | None = None,
    data: str | Path | None = None,
    results: str | Path | None = None,
    restart: bool = False,
    weights: Weights | None = None,
    allow_unverified_data: bool = False,
    progress: bool = False,
    compiled: bool = False,
) -> Record: ...


@overload
def run(
    method: str,
    split: str | Path,
    *,
    subset: int = 0,
    seed: int = 0,
    seeds: str | int | Iterable[int],
    protocol: str = "v1",
    settings: Mapping[str, Any] | None = None,
    device: str = "auto",
    threads: int | None = None,
    data: str | Path | None = None,
    results: str | Path | None = None,
    restart: bool = False,
    weights: Weights | None = None,
    allow_unverified_data: bool = False,
    progress: bool = False,
    compiled: bool = False,
) -> list[Record]: ...


def run(
    method: str,
    split: str | Path,
    *,
    subset: int = 0,
    seed: int = 0,
    seeds: str | int | Iterable[int] | None = None,
    protocol: str = "v1",
    settings: Mapping[str, Any] | None = None,
    device: str = "auto",
    threads: int | None = None,
    data: str | Path | None = None,
    results: str | Path | None = None,
    restart: bool = False,
    weights: Weights | None = None,
    allow_unverified_data: bool = False,
    progress: bool = False,
    compiled: bool = False,
) -> Record | list[Record]:
    """Train, predict, measure and record; a finished run is found and not repeated.

    Parameters
    ----------
    method : str
        A name, `name[key=value,…]`, or `path/to/file.py:Class`.
    split : str or path
        Name of a split, or the path of its YAML file.
    seeds : str, int or iterable of int, optional
        Several runs: `"0-9"`, `range(10)`.
    settings : mapping, optional
        Settings of the method or of the recipe that differ from the protocol's.
    device : str
        `auto`, `cpu`, `cuda` or `cuda:<n>`.
    threads : int, optional
        Of a CPU; by default those of the protocol. Another number gives other last bits.
    data, results
        Folders; by default `DCBENCH_DATA` or the user's cache, `DCBENCH_RESULTS` or `./results`.
    restart
        Throw away what an earlier run left.
    weights : "keep" or "none", optional
        Whether the weights of a finished run are kept; by default as its protocol says.
    allow_unverified_data
        Take image files whose checksum is not the official one.
    progress
        Show bars.
    compiled
        Compile the passes, on a CPU; the last digits of results differ.

    Returns
    -------
    Record, or a list of them where `seeds` are given
        `record.metrics` are fractions.

    Raises
    ------
    UsageError, DataError, RunError
        See `dcbench.errors`.
    """
    seed = arguments.whole(seed, "seed")
    if seed and seeds is not None:
        raise UsageError(f"seed={seed} beside seeds={seeds!r}: give one of them")
    asked: dict[str, Any] = {
        "method": arguments.name(method, "method"),
        "split": arguments.name(split, "split"),
        "subset": arguments.whole(subset, "subset"),
        "protocol": arguments.name(protocol, "protocol"),
        "settings": arguments.settings(settings),
    }
    wanted = (seed,) if seeds is None else arguments.wholes(seeds, "seed")
    plans = [plan_run(seed=each, **asked) for each in wanted]
    threads, weights = arguments.threads(threads), arguments.weights(weights)
    source = open_source(arguments.path(data, "data"), allow_unverified=allow_unverified_data)
    session = Session(source, find_device(device), threads, compiled=compiled)
    store = Store(results_root(arguments.path(results, "results")), weights)
    with _shown(progress) as shown:
        records = [execute(plan, store, session, restart=restart, progress=shown) for plan in plans]
    return records[0] if seeds is None else records


def run_many(
    methods: str | Iterable[str],
    splits: str | Iterable[str | Path],
    *,
    seeds: str | int | Iterable[int] = 0,
    subsets: str | int | Iterable[int] = 0,
    protocol: str = "v1",
    settings: Mapping[str, Any] | None = None,
    device: str = "auto",
    threads: int | None = None,
    data: str | Path | None = None,
    results: str | Path | None = None,
    weights: Weights | None = None,
    allow_unverified_data: bool = False,
    engine: str = "serial",
    engine_options: Mapping[str, Any] | None = None,
    progress: bool = False,
    compiled: bool = False,
) -> list[Record]:
    """Methods times splits times subsets times seeds: only what is missing, nothing twice.

    Parameters are those of `run`. `engine` is a name, as for `dcbench sweep --engine`, and
    `engine_options` are its options by their keys.

    Returns
    -------
    list of Record
        In the order asked for: of one split, subset and seed after another, its methods.

    Raises
    ------
    RunError
        A run failed; the others are done and recorded, and asked again they are found.
    UsageError, DataError
        See `dcbench.errors`.
    """
    asked = {
        "methods": arguments.names(methods, "methods"),
        "splits": arguments.names(splits, "splits"),
        "seeds": ",".join(map(str, arguments.wholes(seeds, "seed"))),
        "subsets": ",".join(map(str, arguments.wholes(subsets, "subset"))),
        "protocol": protocol,
        "settings": arguments.settings(settings),
    }
    block = validated(Block, asked, "run_many")
    threads, weights = arguments.threads(threads), arguments.weights(weights)
    carrier = load_engine(arguments.name(engine, "engine"), engine_options)
    requests = requests_of([block])
    store = Store(results_root(arguments.path(results, "results")), weights)
    source = open_source(arguments.path(data, "data"), allow_unverified=allow_unverified_data)
    with _shown(progress) as shown:
        site = Site(store, source, device, threads, progress=shown, compiled=compiled)
        outcomes = sweep(requests, site, carrier)
    failed = [each for each in outcomes if each.state == "failed"]
    if failed:
        said = "; ".join(f"{plan_of(each.request).title}: {each.message}" for each in failed)
        raise RunError(f"{len(failed)} of {len(outcomes)} runs failed: {said}")
    return [read_completed(store.folder(plan_of(request).identity)) for request in requests]


@contextlib.contextmanager
def _shown(progress: bool) -> Iterator[Progress]:
    if not progress:
        yield NoProgress()
        return
    from dcbench.cli.console import ConsoleProgress

    with ConsoleProgress() as shown:
        yield shown
