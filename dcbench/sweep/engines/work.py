"""What one worker does with one job.

A process does one job at a time, and keeps what the next can use: images, captured steps, bundles.
"""

from __future__ import annotations

import contextlib
import functools
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from dcbench.config.interrupts import interruptible
from dcbench.data.parts import Source
from dcbench.errors import DcbenchError
from dcbench.runs.machine import find_device
from dcbench.runs.session import Session
from dcbench.sweep.engines import unpack
from dcbench.sweep.engines.devices import claim_device
from dcbench.sweep.engines.jobs import Outcome, Work, failed, first_line, told_to_leave, unbegun
from dcbench.sweep.engines.parcel import Delivery, Parcel, check_versions
from dcbench.sweep.grid import forget_code, plan_of

_at_work = threading.Lock()
"""PyTorch's threads, generators and settings belong to the process: two jobs would share them."""


def carry_out(parcel: Parcel, bundle: bytes | None = None) -> Delivery:
    """Do the job of a parcel; whatever goes wrong with a run is its outcome.

    In the main thread, a signal that interrupts means that the runs are to be stored and left.

    Parameters
    ----------
    bundle : bytes, optional
        The data, where the parcel names a bundle that is sent; kept for the next jobs.
    """
    left, began = parcel.seconds_left, time.monotonic()
    deadline = None if left is None else began + left
    try:
        with _at_work, interruptible(), _printing_aside(), unpack.results(parcel) as store:
            check_versions(parcel.versions)
            forget_code()  # another sweep may have had a method of the same name
            job = tuple(unpack.request_here(each, parcel) for each in parcel.job)
            plans = [plan_of(each) for each in job]
            unpack.lay_out_checkpoints(parcel, plans, store)
            device = claim_device(parcel.device) if parcel.claim else parcel.device
            source = unpack.with_data(parcel, bundle).source
            session = session_of(
                *(parcel.work, source, device, parcel.threads), compiled=parcel.compiled
            )
            try:
                outcomes = parcel.work.perform(job, store, session, deadline=deadline)
            except KeyboardInterrupt as problem:
                outcomes = _as_sent(parcel, [parcel.work.left(each, store) for each in job])
                files, number = unpack.files(parcel, plans, store), next(iter(problem.args), None)
                return Delivery(outcomes, files, interrupted=True, signal=number)
            return Delivery(_as_sent(parcel, outcomes), unpack.files(parcel, plans, store))
    except DcbenchError as problem:
        return Delivery(failed(parcel.job, first_line(problem)))
    except KeyboardInterrupt as problem:  # before there was anything to store, or after all was
        number = next(iter(problem.args), None)
        return Delivery([*map(told_to_leave, parcel.job)], interrupted=True, signal=number)


def carry_out_later(parcel: Parcel, elapsed: float) -> Delivery:
    """Do the job of a parcel that was made `elapsed` seconds ago, which are off its time."""
    if parcel.seconds_left is None:
        return carry_out(parcel)
    left = parcel.seconds_left - elapsed
    if left <= 0:
        return Delivery(unbegun(parcel.job).outcomes)
    return carry_out(replace(parcel, seconds_left=left))


def _as_sent(parcel: Parcel, outcomes: Sequence[Outcome]) -> list[Outcome]:
    """Outcomes by the names that the sender has for their requests."""
    pairs = zip(parcel.job, outcomes, strict=True)
    return [outcome._replace(request=request) for request, outcome in pairs]


def session_of(
    work: Work, source: Source, device: str, threads: int | None, *, compiled: bool = False
) -> Session:
    """The session of this process: start-up is paid once, however many jobs follow."""
    return _session(source, device, threads, compiled, work.load)


@functools.lru_cache(maxsize=1)
def _session(
    source: Source, device: str, threads: int | None, compiled: bool, load: Callable[..., Any]
) -> Session:
    return Session(source, find_device(device), threads, compiled=compiled, load=load)


def _printing_aside() -> contextlib.AbstractContextManager[object]:
    """What a method's code prints goes to standard error: a worker shares its sweep's output."""
    return contextlib.redirect_stdout(sys.stderr)
