"""What one worker does with one job.

A process does one job at a time, and keeps what the next can use: images, captured steps, bundles.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import signal
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from typing import NoReturn

from dcbench.config.progress import Progress
from dcbench.data.parts import Source
from dcbench.errors import BusyError, DcbenchError, OutOfTimeError
from dcbench.records.store import Finished, Store
from dcbench.runs.execute import Result, execute_together
from dcbench.runs.machine import find_device
from dcbench.runs.plan import Plan
from dcbench.runs.session import Session
from dcbench.sweep.engines import unpack
from dcbench.sweep.engines.base import Job, Outcome, failed
from dcbench.sweep.engines.devices import claim_device
from dcbench.sweep.engines.parcel import Delivery, Parcel, check_versions
from dcbench.sweep.grid import Request, forget_code, plan_of
from dcbench.training.loop import LEAVING

_log = logging.getLogger(__name__)

_at_work = threading.Lock()
"""PyTorch's threads, generators and settings belong to the process: two jobs would share them."""


def carry_out(parcel: Parcel, bundle: bytes | None = None) -> Delivery:
    """Do the job of a parcel; whatever goes wrong with a run is its outcome.

    In the main thread, SIGTERM and SIGUSR2 mean that the runs are to be stored and left.

    Parameters
    ----------
    bundle : bytes, optional
        The data, where the parcel names a bundle that is sent; kept for the next jobs.
    """
    left, began = parcel.seconds_left, time.monotonic()
    deadline = None if left is None else began + left
    try:
        with _at_work, _interruptible(), _printing_aside(), unpack.results(parcel) as store:
            check_versions(parcel.versions)
            forget_code()  # another sweep may have had a method of the same name
            plans = [plan_of(unpack.request_here(each, parcel)) for each in parcel.job]
            unpack.lay_out_checkpoints(parcel, plans, store)
            device = claim_device(parcel.device) if parcel.claim else parcel.device
            source = unpack.with_data(parcel, bundle).source
            session = session_of(source, device, parcel.threads, compiled=parcel.compiled)
            try:
                outcomes = perform(parcel.job, plans, store, session, deadline=deadline)
            except KeyboardInterrupt as problem:
                outcomes = [_left(*each, store) for each in zip(parcel.job, plans, strict=True)]
                files, number = unpack.files(parcel, plans, store), next(iter(problem.args), None)
                return Delivery(outcomes, files, interrupted=True, signal=number)
            return Delivery(outcomes, unpack.files(parcel, plans, store))
    except DcbenchError as problem:
        return Delivery(failed(parcel.job, _first_line(problem)))
    except KeyboardInterrupt as problem:  # before there was anything to store, or after all was
        number = next(iter(problem.args), None)
        return Delivery([*map(_told_to_leave, parcel.job)], interrupted=True, signal=number)


def perform(
    job: Job,
    plans: Sequence[Plan],
    store: Store,
    session: Session,
    *,
    progress: Progress | None = None,
    deadline: float | None = None,
) -> list[Outcome]:
    """Do runs together; see `dcbench.runs.execute.execute_together` for the parameters.

    Raises
    ------
    KeyboardInterrupt
        Interrupted; all states have been stored.
    """
    began = time.monotonic()
    try:
        results = execute_together(
            *(plans, store, session),
            progress=progress,
            deadline=deadline,
            wait=False,
            looked_up=True,  # by the scheduler
        )
    except DcbenchError as problem:
        results = [Result(problem, found=False)] * len(job)
    except Exception as problem:
        wrapped = DcbenchError(f"{type(problem).__name__}: {problem}")
        results = [Result(wrapped, found=False)] * len(job)
    seconds = (time.monotonic() - began) / len(job)
    return [_outcome(*each, seconds) for each in zip(job, results, strict=True)]


@functools.lru_cache(maxsize=1)
def session_of(
    source: Source, device: str, threads: int | None, *, compiled: bool = False
) -> Session:
    """The session of this process: start-up is paid once, however many jobs follow."""
    return Session(source, find_device(device), threads, compiled=compiled)


def _outcome(request: Request, result: Result, seconds: float) -> Outcome:
    ended, found = result
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


def _left(request: Request, plan: Plan, store: Store) -> Outcome:
    """What became of a run whose job was interrupted: it may be done."""
    found = store.find(plan.identity)
    if isinstance(found, Finished):
        return Outcome(request, "done", 0.0, float(found.record.metrics.accuracy))
    return _told_to_leave(request)


def _told_to_leave(request: Request) -> Outcome:
    return Outcome(request, "left", 0.0, message="its worker was told to leave")


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
    heard = [number for number in LEAVING if signal.getsignal(number) is not signal.SIG_IGN]
    before = {number: signal.signal(number, interrupt) for number in heard}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
