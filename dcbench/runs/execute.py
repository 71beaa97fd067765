"""Runs, start to finish: found, or done and recorded; one, or several that share a device."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from dcbench.config.paths import data_root, results_root
from dcbench.errors import DcbenchError, OutOfTimeError, RunError
from dcbench.records import store
from dcbench.records.schema import CONFIGURATION, Record
from dcbench.runs.machine import find_device
from dcbench.runs.plan import Plan, plan_run
from dcbench.runs.session import Session
from dcbench.runs.work import Estimate, Reporter, Silence, Work
from dcbench.training.loop import run_error, train_together

SHORTEST_SLICE = 60.0
"""Seconds below which a run that cannot be finished in time is not begun."""


def run(
    method: str,
    split: str,
    *,
    subset: int = 0,
    seed: int = 0,
    protocol: str = "v1",
    settings: Mapping[str, Any] | None = None,
    device: str = "auto",
    data: str | Path | None = None,
    results: str | Path | None = None,
    restart: bool = False,
    allow_unverified_data: bool = False,
) -> Record:
    """Train, predict, measure and record; a finished run is found and not repeated.

    Parameters
    ----------
    method : str
        A name, `name[key=value,…]`, or `path/to/file.py:Class`.
    split : str
        Name of a split.
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
    Record
        Its `metrics` are fractions.

    Raises
    ------
    UsageError, DataError, RunError
        See `dcbench.errors`.
    """
    plan = plan_run(method, split, subset=subset, seed=seed, protocol=protocol, settings=settings)
    place = Session(data_root(data), find_device(device), allow_unverified=allow_unverified_data)
    return execute(plan, results_root(results), place, restart=restart)


def execute(
    plan: Plan,
    results: Path,
    place: Session,
    *,
    restart: bool = False,
    reporter: Reporter | None = None,
) -> Record:
    """Carry a plan out, or find its record; see `run`."""
    outcome = execute_together([plan], results, place, restart=restart, reporter=reporter)[0]
    if isinstance(outcome, DcbenchError):
        raise outcome
    return outcome


def execute_together(
    plans: Sequence[Plan],
    results: Path,
    place: Session,
    *,
    restart: bool = False,
    reporter: Reporter | None = None,
    deadline: float | None = None,
) -> list[Record | DcbenchError]:
    """Carry several plans out, training them at once on one device.

    Each ends with the same weights as on its own.

    Parameters
    ----------
    deadline
        On the clock of `time.monotonic`: what does not fit before is checkpointed and left, and its
        outcome is `OutOfTimeError`.

    Returns
    -------
    list
        For each plan its record, or why it failed; the others go on.
    """
    reporter = reporter or Silence()
    with contextlib.ExitStack() as stack:
        # In the order of their names, so that two processes never wait for one another.
        for folder in sorted({results / plan.folder for plan in plans}):
            stack.enter_context(store.locked(folder, reporter.note))
        for plan in plans:
            stack.callback(reporter.ended, plan)
        works: dict[int, Work] = {}
        outcomes: dict[int, Record | DcbenchError] = {}
        for number, plan in enumerate(plans):
            folder = results / plan.folder
            begun = _begun(plan, folder, place, reporter, restart, len(plans))
            if not isinstance(begun, Work):
                outcomes[number] = begun
            elif _fits(min(begun.forecast.seconds, SHORTEST_SLICE), deadline):
                works[number] = begun
            else:
                outcomes[number] = OutOfTimeError("no time to begin")
        trainings = {number: work.training for number, work in works.items()}
        failed = train_together(trainings, deadline)
        for number, work in works.items():
            outcomes[number] = failed.get(number) or _recorded(work, deadline)
        return [outcomes[number] for number in range(len(plans))]


def _begun(
    plan: Plan, folder: Path, place: Session, reporter: Reporter, restart: bool, together: int
) -> Work | Record | DcbenchError:
    """A run that is ready to train, or the record that is there already, or what is wrong."""
    try:
        if restart:
            store.clear(folder)
        if (folder / store.RECORD).exists():
            reporter.note(f"found {folder / store.RECORD}; not run again")
            return _found(plan, folder)
        work = Work(plan, folder, place, reporter, together=together)
        work.resume()
        return work
    except (DcbenchError, torch.OutOfMemoryError) as problem:
        return run_error(problem)


def _fits(seconds: float, deadline: float | None) -> bool:
    return deadline is None or time.monotonic() + seconds <= deadline


def _recorded(work: Work, deadline: float | None) -> Record | DcbenchError:
    if not _fits(work.forecast.evaluate_seconds, deadline):
        return OutOfTimeError("trained; no time to predict")
    try:
        return work.record()
    except (DcbenchError, torch.OutOfMemoryError) as problem:
        return run_error(problem)


def estimate(plan: Plan, place: Session, reporter: Reporter | None = None) -> Estimate:
    """How long a plan would take, from a measured step; nothing is written."""
    return Work(plan, Path(), place, reporter or Silence()).forecast


def _found(plan: Plan, folder: Path) -> Record:
    record, asked = store.read_record(folder), plan.configuration
    for key in CONFIGURATION:
        if getattr(record, key) != asked[key]:
            raise RunError(
                f"{folder / store.RECORD}: was made with another {key}: "
                f"{_difference(getattr(record, key), asked[key])}; run it again with "
                "--restart, or choose another folder with --results"
            )
    return record


def _difference(recorded: Any, asked: Any) -> str:
    if isinstance(recorded, dict) and isinstance(asked, dict):
        keys = [key for key in {**recorded, **asked} if recorded.get(key) != asked.get(key)]
        return ", ".join(f"{key}={recorded.get(key)} and not {asked.get(key)}" for key in keys)
    return f"{recorded} and not {asked}"
