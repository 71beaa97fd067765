"""Who carries runs out: this process, or several workers of this machine.

An engine is a function from jobs to outcomes, which come as they are ready. A job is a pack of runs
that share a device; it names them, so that it can be sent to another process.
"""

from __future__ import annotations

import functools
import os
import signal
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple, Protocol

import filelock
import torch

from dcbench.config.progress import Progress
from dcbench.data.parts import Source
from dcbench.errors import DcbenchError, OutOfTimeError
from dcbench.records import schema
from dcbench.records.store import Finished, Store
from dcbench.runs.execute import execute_together
from dcbench.runs.machine import find_device
from dcbench.runs.session import Session
from dcbench.sweep.grid import Request, plan_of

_TO_CHECKPOINT = 10.0
"""Seconds that a run has to end its step and store its state."""

Job = tuple[Request, ...]
State = Literal["done", "found", "failed", "left"]


@dataclass(frozen=True)
class Site:
    """Where and how the runs of a sweep are done.

    Attributes
    ----------
    device : str
        As `--device`; with several workers and `auto`, each GPU has one.
    threads : int
        Of a process, on a CPU.
    deadline : float or None
        Seconds since 1970 at which every run is to have stopped, checkpointed.
    """

    store: Store
    source: Source
    device: str
    threads: int
    deadline: float | None


class Outcome(NamedTuple):
    """How a run of a sweep ended.

    Attributes
    ----------
    state : str
        `done`; `found`: it was there; `failed`; `left`: there was no time, it goes on next time.
    seconds : float
        What it took here, its share of a pack.
    accuracy : float or None
        In [0, 1].
    message : str
        Why it failed, or how far it has come.
    """

    request: Request
    state: State
    seconds: float
    accuracy: float | None = None
    message: str = ""


class Engine(Protocol):
    """Carries jobs out."""

    def __call__(self, jobs: Sequence[Job], site: Site) -> Iterator[list[Outcome]]:
        """The outcomes of each job, in the order in which they end."""


def serial(
    jobs: Sequence[Job], site: Site, progress: Progress | None = None
) -> Iterator[list[Outcome]]:
    """One job after the other in this process, where a debugger can step through them."""
    for job in jobs:
        yield carry_out(job, site, site.device, progress)


def loky(jobs: Sequence[Job], site: Site, workers: int) -> Iterator[list[Outcome]]:
    """Several worker processes, each with its own images, caches and GPU."""
    import joblib

    parallel = joblib.Parallel(workers, backend="loky", return_as="generator_unordered")
    yield from parallel(joblib.delayed(_in_a_worker)(job, site) for job in jobs)


def carry_out(job: Job, site: Site, device: str, progress: Progress | None = None) -> list[Outcome]:
    """Do the runs of a job; whatever goes wrong with one is its outcome."""
    began = time.monotonic()
    plans = [plan_of(request) for request in job]
    there = [isinstance(site.store.find(plan.identity), Finished) for plan in plans]
    deadline = None if site.deadline is None else began + site.deadline - time.time()
    session = _session(site.source, device, site.threads)
    try:
        ended = execute_together(plans, site.store, session, progress=progress, deadline=deadline)
    except DcbenchError as problem:
        ended = [problem] * len(job)
    except Exception as problem:
        ended = [DcbenchError(f"{type(problem).__name__}: {problem}")] * len(job)
    seconds = (time.monotonic() - began) / len(job)
    return [
        _outcome(request, each, found, seconds)
        for request, each, found in zip(job, ended, there, strict=True)
    ]


def _outcome(
    request: Request, ended: schema.Record | DcbenchError, found: bool, seconds: float
) -> Outcome:
    if isinstance(ended, OutOfTimeError):
        return Outcome(request, "left", seconds, message=str(ended))
    if isinstance(ended, DcbenchError):
        return Outcome(request, "failed", seconds, message=str(ended).splitlines()[0])
    accuracy = float(ended.metrics.accuracy)
    return Outcome(request, "found" if found else "done", seconds, accuracy)


@functools.lru_cache(maxsize=1)
def _session(source: Source, device: str, threads: int) -> Session:
    """The session of a process: start-up is paid once, however many jobs follow."""
    found = find_device(device)
    if found.type == "cpu":
        torch.set_num_threads(threads)
    return Session(source, found)


def _in_a_worker(job: Job, site: Site) -> list[Outcome]:
    _end_with_the_sweep()
    return carry_out(job, site, _device_of_this_worker(site.device))


@functools.lru_cache(maxsize=1)
def _end_with_the_sweep() -> None:
    """Let this worker stop, checkpointed, when the process of the sweep is gone, even if killed."""
    sweep = os.getppid()  # becomes another when that process is gone: a worker is not told of it

    def watch() -> None:
        while os.getppid() == sweep:
            time.sleep(1)
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(_TO_CHECKPOINT)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


_held: list[filelock.BaseFileLock] = []
"""Locks on devices that this worker holds for as long as it lives."""


@functools.lru_cache(maxsize=1)
def _device_of_this_worker(device: str) -> str:
    """With `auto` on a machine with GPUs: the first that no other worker of the sweep has."""
    if device != "auto" or not torch.cuda.is_available():
        return device
    folder = Path(tempfile.gettempdir(), f"dcbench-devices-{os.getppid()}")
    folder.mkdir(exist_ok=True)
    for number in range(torch.cuda.device_count()):
        lock = filelock.FileLock(folder / f"cuda-{number}")
        try:
            lock.acquire(timeout=0)
        except filelock.Timeout:
            continue
        _held.append(lock)
        return f"cuda:{number}"
    return device
