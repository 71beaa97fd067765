"""Runs from Python: one, or as many as a sweep."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, overload

from dcbench.config.names import parse_seeds
from dcbench.config.paths import results_root
from dcbench.data.source import open_source
from dcbench.records.schema import Record
from dcbench.records.store import Store
from dcbench.runs.execute import execute
from dcbench.runs.machine import find_device
from dcbench.runs.plan import plan_run
from dcbench.runs.session import Session


@overload
def run(
    method: str,
    split: str,
    *,
    subset: int = 0,
    seed: int = 0,
    seeds: None = None,
    protocol: str = "v1",
    settings: Mapping[str, Any] | None = None,
    device: str = "auto",
    data: str | Path | None = None,
    results: str | Path | None = None,
    restart: bool = False,
    allow_unverified_data: bool = False,
) -> Record: ...


@overload
def run(
    method: str,
    split: str,
    *,
    subset: int = 0,
    seed: int = 0,
    seeds: str | Iterable[int],
    protocol: str = "v1",
    settings: Mapping[str, Any] | None = None,
    device: str = "auto",
    data: str | Path | None = None,
    results: str | Path | None = None,
    restart: bool = False,
    allow_unverified_data: bool = False,
) -> list[Record]: ...


def run(
    method: str,
    split: str,
    *,
    subset: int = 0,
    seed: int = 0,
    seeds: str | Iterable[int] | None = None,
    protocol: str = "v1",
    settings: Mapping[str, Any] | None = None,
    device: str = "auto",
    data: str | Path | None = None,
    results: str | Path | None = None,
    restart: bool = False,
    allow_unverified_data: bool = False,
) -> Record | list[Record]:
    """Train, predict, measure and record; a finished run is found and not repeated.

    Parameters
    ----------
    method : str
        A name, `name[key=value,…]`, or `path/to/file.py:Class`.
    split : str
        Name of a split.
    seeds : str or iterable of int, optional
        Several runs: `"0-9"`, `range(10)`.
    settings : mapping, optional
        Settings of the method or of the recipe that differ from the protocol's.
    device : str
        `auto`, `cpu`, `cuda` or `cuda:<n>`.
    data, results
        Folders; by default `DCBENCH_DATA` or the user's cache, `DCBENCH_RESULTS` or `./results`.
    restart
        Throw away what an earlier run left.
    allow_unverified_data
        Take image files whose checksum is not the official one.

    Returns
    -------
    Record, or a list of them where `seeds` are given
        `record.metrics` are fractions.

    Raises
    ------
    UsageError, DataError, RunError
        See `dcbench.errors`.
    """
    if seeds is None:
        wanted: Iterable[int] = (seed,)
    else:
        wanted = parse_seeds(seeds) if isinstance(seeds, str) else tuple(seeds)
    plans = [
        plan_run(method, split, subset=subset, seed=each, protocol=protocol, settings=settings)
        for each in wanted
    ]
    source = open_source(data, allow_unverified=allow_unverified_data)
    session, store = Session(source, find_device(device)), Store(results_root(results))
    records = [execute(plan, store, session, restart=restart) for plan in plans]
    return records[0] if seeds is None else records
