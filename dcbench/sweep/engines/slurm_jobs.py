"""Jobs of submitit, on either side: what one does on its node, and how the driver sees it end."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

import submitit
from submitit.core.utils import pickle_load

from dcbench.records.atomic import write_whole
from dcbench.sweep.engines.base import Job
from dcbench.sweep.engines.parcel import Delivery, Parcel
from dcbench.sweep.engines.work import carry_out_later

_GONE = "gone from the queue"
_ENDED = {
    _GONE,
    *("CANCELLED", "COMPLETED", "FAILED", "OUT_OF_MEMORY", "PREEMPTED", "TIMEOUT"),
    *("BOOT_FAIL", "DEADLINE", "NODE_FAIL"),
}
"""States of a job that does not go on; one that is requeued is PENDING."""

_TO_APPEAR = 15.0
"""Seconds in which the last files of a job get from its node to here."""


@dataclass(frozen=True)
class Item:
    """One of the jobs of a sweep that a job of submitit does one after another.

    Attributes
    ----------
    delivery : Path
        The file for what is delivered; that it is there says that the job has ended.
    """

    job: Job
    delivery: Path

    @property
    def begun(self) -> Path:
        """The file that is there once the job has begun."""
        return self.delivery.with_suffix(".begun")

    def deliver(self, delivery: Delivery) -> None:
        """Leave what is delivered in the file."""
        write_whole(self.delivery, lambda file: pickle.dump(delivery, file))

    def delivered(self) -> Delivery:
        """What a worker has left in the file."""
        delivery: Delivery = pickle_load(self.delivery)
        return delivery


class Task:
    """What a job of submitit does: some items, of which those that have ended are not repeated.

    Told to leave by SIGUSR2, which comes before its time is over, the run at work is stored and the
    job requeued; by SIGTERM, which comes when it is cancelled, it is stored and the job ends.
    """

    def __init__(self, work: Sequence[tuple[Item, Parcel]]) -> None:
        self._work = list(work)

    def __call__(self) -> str:
        """Do the items; return why some are left, or nothing."""
        began = time.monotonic()
        for item, parcel in self._work:
            if not item.delivery.exists():
                item.begun.touch()
                delivery = carry_out_later(parcel, time.monotonic() - began)
                if delivery.interrupted:
                    return _left(delivery.signal)
                item.deliver(delivery)
        return ""

    def checkpoint(self) -> submitit.helpers.DelayedSubmission:
        """What the job does once it is requeued; submitit asks for it."""
        return submitit.helpers.DelayedSubmission(self)


def _left(number: int | None) -> str:
    if number == signal.SIGTERM:
        return "its job was cancelled"
    if number != signal.SIGUSR2:
        raise KeyboardInterrupt
    try:
        signal.raise_signal(signal.SIGUSR2)  # for submitit, which requeues the job and ends here
    except submitit.core.utils.UncompletedJobError:
        return "its job was requeued as often as max_num_timeout allows"
    raise AssertionError("unreachable")


class Ending(NamedTuple):
    """How a job of submitit has ended.

    Attributes
    ----------
    state : str
        `lost`: its worker died; `left`: it was told to leave; `again`: it made room for others.
    """

    state: Literal["lost", "left", "again"]
    reason: str = ""


class Watch(ABC):
    """What the driver sees of its jobs."""

    @abstractmethod
    def look(self, jobs: Sequence[submitit.Job[str]]) -> None:
        """Learn what can be learned of all jobs at once."""

    def ending(self, job: submitit.Job[str]) -> Ending | None:
        """How a job has ended, as far as its items have not; None while it goes on."""
        if job.paths.result_pickle.exists():
            outcome, value = pickle_load(job.paths.result_pickle)
            if outcome == "success":
                return Ending("left", value or "what its job has left cannot be seen here")
            return Ending("lost", f"its job failed: {value.strip().splitlines()[-1]}")
        return self._died(job)

    @abstractmethod
    def _died(self, job: submitit.Job[str]) -> Ending | None:
        """How a job has ended that tells nothing itself."""

    @abstractmethod
    def cancel(self, jobs: Sequence[submitit.Job[str]]) -> None:
        """Let jobs store their states and end."""


class WatchHere(Watch):
    """Jobs of the executors `local` and `debug`."""

    def look(self, jobs: Sequence[submitit.Job[str]]) -> None:
        """Nothing: each is asked for itself."""

    def _died(self, job: submitit.Job[str]) -> Ending | None:
        if job.done() and not job.paths.result_pickle.exists():
            return Ending("lost", f"its process died; see {job.paths.stderr}")
        return None

    def cancel(self, jobs: Sequence[submitit.Job[str]]) -> None:
        """See `Watch`; submitit itself would kill a process after a second."""
        for job in jobs:
            if not job.done():
                os.kill(int(job.job_id), signal.SIGTERM)


class WatchSlurm(Watch):
    """Jobs in Slurm, whose states `squeue` tells; it needs no accounting, as `sacct` does.

    Parameters
    ----------
    every
        Seconds from one question to the next; it is for all jobs at once.
    """

    def __init__(self, every: float) -> None:
        self._every = every
        self._asked = self._answered = float("-inf")
        self._states: dict[str, tuple[str, str]] = {}
        self._ended_since: dict[str, float] = {}

    def look(self, jobs: Sequence[submitit.Job[str]]) -> None:
        """Ask Slurm for the states of jobs, if it is time to."""
        now = time.monotonic()
        if not jobs or now < self._asked + self._every:
            return
        self._asked = now
        arrays = sorted({job.job_id.partition("_")[0] for job in jobs})
        command = ["squeue", "--noheader", "--array", "--states=all", f"--jobs={','.join(arrays)}"]
        command.append("--Format=JobArrayID:40,State:20,exit_code:10")
        answer = subprocess.run(command, capture_output=True, text=True, check=False)
        if answer.returncode == 0 or "Invalid job id" in answer.stderr:
            lines = (line.split() for line in answer.stdout.splitlines())
            listed = {number: (state, code) for number, state, code in lines}
            self._states = {job.job_id: listed.get(job.job_id, (_GONE, "0")) for job in jobs}
            self._answered = now

    def _died(self, job: submitit.Job[str]) -> Ending | None:
        """See `Watch`; a job of which Slurm was not asked yet is no concern."""
        state, code = self._states.get(job.job_id, ("", "0"))
        if state not in _ENDED:
            self._ended_since.pop(job.job_id, None)
            return None
        since = self._ended_since.setdefault(job.job_id, self._answered)
        if state in ("COMPLETED", _GONE) and self._answered < since + _TO_APPEAR:
            return None
        if state == "CANCELLED":
            return Ending("left", "its job was cancelled")
        how = f"{state}{exit_words(int(code))}; see {job.paths.stderr}"
        reason = f"Slurm ended its job {job.job_id}: {how}"
        return Ending("again" if state == "PREEMPTED" else "lost", reason)

    def cancel(self, jobs: Sequence[submitit.Job[str]]) -> None:
        """See `Watch`."""
        subprocess.run(["scancel", *(job.job_id for job in jobs)], capture_output=True, check=False)


def exit_words(status: int) -> str:
    """A wait status of a job's script: 35072 is exit code 137, as which a shell tells SIGKILL.

    Slurm also has numbers that are no signal, such as 125 where memory ran out.
    """
    code, number = status >> 8, status & 0x7F
    if code > 128:
        number = code - 128
    if number in {*signal.Signals}:
        return f", killed by {signal.Signals(number).name}"
    return f", exit code {code}" if code else ""
