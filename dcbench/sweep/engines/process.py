"""A worker process on this machine, which does one job at a time in its main thread.

In its main thread a job hears signals; in a process of its own nothing else draws from the
generators that it watches, and its death takes nothing with it.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import multiprocessing.resource_tracker
import os
import re
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool

from joblib.externals.loky import ProcessPoolExecutor
from joblib.externals.loky.backend import resource_tracker

from dcbench.sweep.engines.base import failed
from dcbench.sweep.engines.parcel import Delivery, Parcel
from dcbench.sweep.engines.work import carry_out_later

TO_CHECKPOINT = 10.0
"""Seconds that a run has to end its step and store its state."""


class WorkerProcess:
    """A process that starts with its first job; it leaves, checkpointed, when this one is gone.

    Parameters
    ----------
    cores : int, optional
        That it may use; by default all that this process may.
    """

    def __init__(self, cores: int | None = None) -> None:
        env = None if cores is None else {"OMP_NUM_THREADS": str(cores)}
        self._executor = ProcessPoolExecutor(
            1, initializer=_begin, initargs=(os.getpid(),), env=env
        )
        self._pid: Future[int] | None = None
        self._told = False

    def submit(self, parcel: Parcel) -> Future[Delivery]:
        """Begin a job; `concluded` says how it ended."""
        with _daemon_may_have_children(), _interrupts_wait():
            if self._pid is None:
                self._pid = self._executor.submit(os.getpid)
            future: Future[Delivery] = self._executor.submit(_carried_out, parcel, time.time())
        return future

    def interrupt(self) -> None:
        """Have the job stored and left, asked once: a second signal would not wait for the storing.

        A process that is only starting has no job yet, and is not told.
        """
        started = self._pid is not None and self._pid.done() and self._pid.exception() is None
        if self._pid is not None and started and not self._told:
            self._told = True
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._pid.result(), signal.SIGTERM)

    def end(self) -> None:
        """End the process, whatever it is at."""
        self._executor.shutdown(wait=True, kill_workers=True)


def _carried_out(parcel: Parcel, sent: float) -> Delivery:
    """Do a job in a process of the same machine, whose start is off the job's time."""
    return carry_out_later(parcel, time.time() - sent)


def concluded(parcel: Parcel, future: Future[Delivery]) -> Delivery:
    """What came of a job that is over: lost where its process died, failed where it broke."""
    try:
        return future.result()
    except BrokenProcessPool as problem:
        return Delivery(lost=_reason(problem))
    except Exception as problem:
        return Delivery(failed(parcel.job, f"{type(problem).__name__}: {problem}"))


def _reason(problem: BrokenProcessPool) -> str:
    """Why a process died; loky tells it as `{SIGKILL(-9)}` or `{EXIT(1)}`."""
    code = re.search(r"\{(\w+)\((-?\d+)\)", str(problem))
    if code is None:
        return "its worker died"
    if code[1] == "EXIT":
        return f"its worker ended with exit code {code[2]}"
    memory = ", as where memory runs out" if code[1] == "SIGKILL" else ""
    return f"its worker was killed by {code[1]}{memory}"


@contextlib.contextmanager
def _daemon_may_have_children() -> Iterator[None]:
    """Let a daemon, such as a worker of Dask, start a process.

    multiprocessing forbids it, for such children would stay behind; ours do not.
    """
    config = multiprocessing.current_process()._config  # type: ignore[attr-defined]
    daemon = config.pop("daemon", None)
    try:
        yield
    finally:
        if daemon is not None:
            config["daemon"] = daemon


@contextlib.contextmanager
def _interrupts_wait() -> Iterator[None]:
    """Block SIGINT here, and with it in a process that is started meanwhile.

    A terminal sends Ctrl-C to all processes of a sweep, also to one that is still importing.
    """
    for tracker in (multiprocessing.resource_tracker, resource_tracker):
        tracker.ensure_running()  # its start would unblock SIGINT again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _begin(parent: int) -> None:
    """Prepare a worker: its parent alone tells it to leave, and it does when that is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})

    def watch() -> None:
        while os.getppid() == parent:  # it becomes another when that process is gone
            time.sleep(1)
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(TO_CHECKPOINT)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
