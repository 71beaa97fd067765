"""What one worker does with one job.

A process does one job at a time, and keeps what the next can use: images, captured steps, bundles.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import itertools
import logging
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

import torch

from dcbench.config.progress import Progress
from dcbench.data.parts import Source
from dcbench.errors import BusyError, DcbenchError, OutOfTimeError, RunError
from dcbench.records import schema
from dcbench.records.atomic import write_whole
from dcbench.records.files import CHECKPOINT
from dcbench.records.store import Finished, Store
from dcbench.runs.execute import execute_together
from dcbench.runs.machine import find_device
from dcbench.runs.plan import Plan
from dcbench.runs.session import Session
from dcbench.sweep.engines.base import Job, Outcome, failed
from dcbench.sweep.engines.devices import claim_device
from dcbench.sweep.engines.parcel import Delivery, Parcel, differing_version, method_path
from dcbench.sweep.grid import Request, plan_of
from dcbench.training.loop import LEAVING

_log = logging.getLogger(__name__)

_at_work = threading.Lock()
"""PyTorch's threads, generators and settings belong to the process: two jobs would share them."""


def carry_out(
    parcel: Parcel, bundle: bytes | None = None, interrupted: Callable[[], bool] | None = None
) -> Delivery:
    """Do the job of a parcel; whatever goes wrong with a run is its outcome.

    Parameters
    ----------
    bundle : bytes, optional
        The data, where the parcel names a bundle that is sent; kept for the next jobs.
    interrupted
        Asked after each step: whether the runs are to be stored and left. SIGTERM and SIGUSR2 say
        so too, where the job has the main thread.
    """
    with _at_work, _interruptible():
        problem = differing_version(parcel.versions)
        if problem is not None:
            return Delivery(failed(parcel.job, problem))
        with _results(parcel) as store:
            return _done(parcel, store, bundle, interrupted)


def _done(
    parcel: Parcel,
    store: Store,
    bundle: bytes | None,
    interrupted: Callable[[], bool] | None,
) -> Delivery:
    left, began, plans = parcel.seconds_left, time.monotonic(), []
    deadline = None if left is None else began + left
    try:
        device = claim_device(parcel.device) if parcel.claim else parcel.device
        session = session_of(_source(parcel, bundle), device, parcel.threads)
        plans = [plan_of(_here(request, parcel)) for request in parcel.job]
        _lay_out(parcel.checkpoints, plans, store)
        outcomes = perform(
            parcel.job, plans, store, session, deadline=deadline, interrupted=interrupted
        )
        return Delivery(outcomes, _files(parcel, plans, store))
    except DcbenchError as problem:
        return Delivery(failed(parcel.job, _first_line(problem)))
    except KeyboardInterrupt as interrupt:
        outcomes = _interrupted(parcel.job, plans, store)
        files, number = _files(parcel, plans, store), next(iter(interrupt.args), None)
        return Delivery(outcomes, files, interrupted=True, signal=number)


def perform(
    job: Job,
    plans: Sequence[Plan],
    store: Store,
    session: Session,
    *,
    progress: Progress | None = None,
    deadline: float | None = None,
    interrupted: Callable[[], bool] | None = None,
) -> list[Outcome]:
    """Do runs together; see `dcbench.runs.execute.execute_together` for the parameters.

    Raises
    ------
    KeyboardInterrupt
        Interrupted; all states have been stored.
    """
    began = time.monotonic()
    there = [isinstance(store.find(plan.identity), Finished) for plan in plans]
    try:
        ended = execute_together(
            plans,
            store,
            session,
            progress=progress,
            deadline=deadline,
            interrupted=interrupted,
            wait=False,
        )
    except DcbenchError as problem:
        ended = [problem] * len(job)
    except Exception as problem:
        ended = [DcbenchError(f"{type(problem).__name__}: {problem}")] * len(job)
    seconds = (time.monotonic() - began) / len(job)
    return [
        _outcome(request, each, found, seconds)
        for request, each, found in zip(job, ended, there, strict=True)
    ]


def session_of(source: Source, device: str, threads: int) -> Session:
    """The session of this process: start-up is paid once, however many jobs follow."""
    found = find_device(device)
    if found.type == "cpu":
        torch.set_num_threads(threads)
    return _session(source, found)


@functools.lru_cache(maxsize=1)
def _session(source: Source, device: torch.device) -> Session:
    return Session(source, device)


def _outcome(
    request: Request, ended: schema.Record | DcbenchError, found: bool, seconds: float
) -> Outcome:
    if isinstance(ended, BusyError):
        return Outcome(request, "busy", 0.0, message=str(ended))
    if isinstance(ended, OutOfTimeError):
        return Outcome(request, "left", seconds, message=str(ended))
    if isinstance(ended, DcbenchError):
        _log.debug("traceback, as --debug asks:", exc_info=ended)
        return Outcome(request, "failed", seconds, message=_first_line(ended))
    accuracy = float(ended.metrics.accuracy)
    return Outcome(request, "found" if found else "done", seconds, accuracy)


def _first_line(problem: DcbenchError) -> str:
    return str(problem).splitlines()[0]


def _interrupted(job: Job, plans: Sequence[Plan], store: Store) -> list[Outcome]:
    """What became of the runs of a job that was interrupted: some may be done."""
    outcomes = []
    for request, plan in itertools.zip_longest(job, plans):
        found = store.find(plan.identity) if plan else None
        outcomes.append(
            Outcome(request, "done", 0.0, float(found.record.metrics.accuracy))
            if isinstance(found, Finished)
            else Outcome(request, "left", 0.0, message="its worker was told to leave")
        )
    return outcomes


def _printing_aside() -> contextlib.AbstractContextManager[object]:
    """What a method's code prints goes to standard error: a worker shares its sweep's output."""
    return contextlib.redirect_stdout(sys.stderr)


@contextlib.contextmanager
def _interruptible() -> Iterator[None]:
    """Let the signals that mean to leave interrupt a job wherever it is.

    While it trains, the training loop takes them.
    """

    def interrupt(number: int, frame: object) -> NoReturn:
        raise KeyboardInterrupt(number)

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, interrupt) for number in LEAVING}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@functools.cache
def _scratch() -> Path:
    """A folder of this process, which goes with it."""
    folder = tempfile.TemporaryDirectory(prefix="dcbench-worker-")
    _kept.append(folder)
    return Path(folder.name)


_kept: list[tempfile.TemporaryDirectory[str]] = []


def _here(request: Request, parcel: Parcel) -> Request:
    """The request as this process can look it up: a method's file lies elsewhere.

    A path is the same for one path of the sender, so that a newer file takes the place of an older.
    """
    path = method_path(request)
    if path is None or path not in parcel.methods:
        return request
    file = parcel.methods[path]
    folder = _scratch() / "methods" / hashlib.sha256(path.encode()).hexdigest()[:16]
    local = folder / file.name
    if not local.exists() or local.read_bytes() != file.source:
        _write(local, file.source)
    return request._replace(method=request.method.strip().replace(path, str(local), 1))


def _source(parcel: Parcel, bundle: bytes | None) -> Source:
    """The data that the worker sees, or the bundle that it was sent, which it keeps."""
    if parcel.bundle_sha256 is None:
        return parcel.source
    path = _scratch() / f"{parcel.bundle_sha256}.zip"
    if not path.exists():
        found = hashlib.sha256(bundle or b"").hexdigest()
        if found != parcel.bundle_sha256:
            raise RunError(f"the bundle that came has SHA-256 {found}, not {parcel.bundle_sha256}")
        _write(path, bundle or b"")
    return replace(parcel.source, path=path)


@contextlib.contextmanager
def _results(parcel: Parcel) -> Iterator[Store]:
    """The results folder; where its files are sent back, one for this job alone."""
    if parcel.results is not None:
        yield Store(parcel.results)
        return
    with tempfile.TemporaryDirectory(dir=_scratch()) as folder:
        yield Store(Path(folder))


def _lay_out(checkpoints: Sequence[bytes | None], plans: Sequence[Plan], store: Store) -> None:
    for plan, checkpoint in zip(plans, checkpoints, strict=False):
        if checkpoint is not None:
            _write(store.folder(plan.identity) / CHECKPOINT, checkpoint)


def _files(parcel: Parcel, plans: Sequence[Plan], store: Store) -> list[Mapping[str, bytes]]:
    """All files of each run, where they are sent back."""
    if parcel.results is not None:
        return []
    return [
        {path.name: path.read_bytes() for path in _visible(store.folder(plan.identity))}
        for plan in plans
    ]


def _visible(folder: Path) -> list[Path]:
    """The files of a run, without its lock or what was being written."""
    return [path for path in folder.glob("*") if not path.name.startswith(".")]


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, lambda file: file.write(content))
