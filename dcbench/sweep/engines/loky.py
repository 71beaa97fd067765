"""The engine that has several worker processes on this machine.

Each worker is an executor of its own, so that one which dies breaks no other.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool

from joblib.externals.loky import ProcessPoolExecutor

from dcbench.errors import DcbenchError
from dcbench.runs.machine import count_devices
from dcbench.sweep.engines.base import (
    Ended,
    Endings,
    Engine,
    Job,
    Site,
    WorkerOptions,
    failed,
    unbegun,
)
from dcbench.sweep.engines.dispatch import Dispatch
from dcbench.sweep.engines.parcel import Delivery, Parcel
from dcbench.sweep.engines.work import carry_out

_TO_CHECKPOINT = 10.0
"""Seconds that a run has to end its step and store its state."""


class Loky(Engine[WorkerOptions]):
    """Several worker processes, each with its own images, caches and GPU."""

    Options = WorkerOptions

    def workers(self, device: str) -> int:
        """As many as asked for; else one a GPU, or one a core."""
        return self.options.workers or count_devices(device)

    def carry_out(self, jobs: Sequence[Job], site: Site) -> Endings:
        """Keep every worker at one job; see `Engine`."""
        dispatch, waiting = Dispatch(site, claim=True), deque(jobs)
        idle = [_Worker() for _ in range(min(self.workers(site.device), len(jobs)))]
        at_work: dict[Future[Delivery], tuple[_Worker, Job]] = {}
        try:
            while waiting or at_work:
                while waiting and idle:
                    job = waiting.popleft()
                    left = site.seconds_left
                    if left is not None and left <= 0:
                        yield unbegun(job)
                        continue
                    try:
                        parcel = dispatch.sent(job).parcel
                    except DcbenchError as problem:
                        yield Ended(job, failed(job, str(problem)))
                        continue
                    worker = idle.pop()
                    at_work[worker.submit(parcel)] = worker, job
                for future in wait(at_work, return_when=FIRST_COMPLETED).done:
                    worker, job = at_work.pop(future)
                    ended, whole = _ended(job, future, dispatch)
                    idle.append(worker if whole else worker.replaced())
                    yield ended
        finally:
            _end(at_work, idle)


class _Worker:
    """A worker process; it starts with its first job."""

    def __init__(self) -> None:
        self._executor = ProcessPoolExecutor(1, initializer=_begin, initargs=(os.getpid(),))
        self._pid: Future[int] | None = None

    def submit(self, parcel: Parcel) -> Future[Delivery]:
        """Begin a job."""
        if self._pid is None:
            self._pid = self._executor.submit(os.getpid)
        future: Future[Delivery] = self._executor.submit(carry_out, parcel)
        return future

    def replaced(self) -> _Worker:
        """Another worker for this one, which has died or is to go."""
        self.kill()
        return _Worker()

    def interrupt(self) -> None:
        """Let the worker store what it is at."""
        if self._pid is not None and self._pid.done() and self._pid.exception() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._pid.result(), signal.SIGTERM)

    def kill(self) -> None:
        """End the worker."""
        self._executor.shutdown(wait=True, kill_workers=True)


def _ended(job: Job, future: Future[Delivery], dispatch: Dispatch) -> tuple[Ended, bool]:
    """How a job ended, and whether its worker can take another."""
    try:
        delivery = future.result()
    except BrokenProcessPool as problem:
        return Ended(job, lost=_reason(problem)), False
    except Exception as problem:
        return Ended(job, failed(job, f"{type(problem).__name__}: {problem}")), True
    return dispatch.received(job, delivery), not delivery.interrupted


def _reason(problem: BrokenProcessPool) -> str:
    """Why a worker died; loky tells it as `{SIGKILL(-9)}` or `{EXIT(1)}`."""
    code = re.search(r"\{(\w+)\((-?\d+)\)", str(problem))
    if code is None:
        return "its worker died"
    if code[1] == "EXIT":
        return f"its worker ended with exit code {code[2]}"
    memory = ", as where memory runs out" if code[1] == "SIGKILL" else ""
    return f"its worker was killed by {code[1]}{memory}"


def _end(at_work: Mapping[Future[Delivery], tuple[_Worker, Job]], idle: Sequence[_Worker]) -> None:
    """End all workers; those that are at a job have time to store its state."""
    busy = [worker for worker, _ in at_work.values()]
    for worker in busy:
        worker.interrupt()
    wait(at_work, timeout=_TO_CHECKPOINT)
    for worker in [*busy, *idle]:
        worker.kill()


def _begin(sweep: int) -> None:
    """Prepare a worker: the sweep alone tells it to stop, and it goes when the sweep is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def watch() -> None:
        while os.getppid() == sweep:  # it becomes another when that process is gone
            time.sleep(1)
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(_TO_CHECKPOINT)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
