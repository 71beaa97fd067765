"""The engine that hands jobs to Slurm through submitit: many short runs in one array job."""

from __future__ import annotations

import contextlib
import logging
import shutil
import tempfile
import time
from collections import deque
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

import submitit
from pydantic import Field, model_validator
from submitit.core.utils import FailedJobError, FailedSubmissionError

from dcbench.errors import RunError, UsageError
from dcbench.sweep.engines.base import (
    Ended,
    Endings,
    Engine,
    Job,
    Options,
    Outcome,
    Site,
    unbegun,
)
from dcbench.sweep.engines.dispatch import Dispatch
from dcbench.sweep.engines.parcel import Parcel
from dcbench.sweep.engines.process import TO_CHECKPOINT
from dcbench.sweep.engines.slurm_jobs import Ending, Item, Task, Watch, WatchHere, WatchSlurm
from dcbench.sweep.grid import Request

_log = logging.getLogger(__name__)

_LOOK_EVERY = 1.0
"""Seconds from one look for the files of ended jobs to the next."""

_GRACE = 60.0
"""Seconds past the deadline in which jobs that were cancelled store their states and end."""

_ARRAY_SIZE = 1000
"""Tasks of an array: Slurm takes no more unless its MaxArraySize was changed."""


class SlurmOptions(Options):
    """What a job of Slurm asks for, by the names that submitit has for it."""

    executor: Literal["slurm", "local", "debug"] = Field(
        "slurm", description="local: processes of this machine; debug: this process; to try it out"
    )
    folder: Path | None = Field(
        None, description="of scripts and logs, which all nodes see; by default .slurm in --results"
    )
    runs_per_job: int = Field(1, ge=1, description="done one after another by a task of the array")
    array_parallelism: int = Field(16, ge=1, description="tasks of the array at once")
    timeout_min: int = Field(60, ge=1, description="minutes until a task is stored and requeued")
    signal_delay_s: int = Field(90, ge=1, description="seconds before that which storing may take")
    max_num_timeout: int = Field(10, ge=0, description="how often a task is requeued")
    partition: str | None = None
    account: str | None = None
    qos: str | None = None
    constraint: str | None = None
    gpus_per_node: int | None = Field(None, ge=0)
    cpus_per_task: int | None = Field(None, ge=1, description="by default as many as --threads")
    mem_gb: float | None = Field(None, gt=0)
    setup: tuple[str, ...] = Field(
        (), description="of slurm: lines of shell before Python, as module load cuda"
    )
    additional_parameters: dict[str, Any] = Field(
        {}, description="of slurm: further flags of sbatch"
    )
    poll_s: float = Field(30.0, gt=0, description="seconds from one squeue to the next")

    @model_validator(mode="after")
    def _has_time_to_work(self) -> Self:
        if self.signal_delay_s >= 60 * self.timeout_min:
            raise ValueError(
                f"signal_delay_s={self.signal_delay_s}: leaves no time to work, should be below "
                f"timeout_min={self.timeout_min} minutes"
            )
        return self


class Slurm(Engine[SlurmOptions]):
    """Tasks of array jobs, each with some jobs one after another."""

    Options = SlurmOptions

    def workers(self, device: str) -> int:
        """Tasks at once, where Slurm has room for them."""
        return 1 if self.options.executor == "debug" else self.options.array_parallelism

    def carry_out(self, jobs: Sequence[Job], site: Site) -> Endings:
        """Submit all jobs, and look for what they leave; see `Engine`."""
        folder = self._folder(site)
        logs_matter = False
        try:
            queue = _Queue(self.options, folder, site)
            yield from queue.carry_out(jobs)
            logs_matter = queue.logs_matter
        except (GeneratorExit, KeyboardInterrupt):
            logs_matter = True  # or rather, jobs that were cancelled still write there
            raise
        finally:
            if not logs_matter:
                _remove(folder)

    def _folder(self, site: Site) -> Path:
        """A new folder for the scripts, parcels and logs of these jobs."""
        root = (self.options.folder or site.store.root / ".slurm").absolute()
        try:
            root.mkdir(parents=True, exist_ok=True)
            return Path(tempfile.mkdtemp(prefix=time.strftime("%Y-%m-%d-%H%M-"), dir=root))
        except OSError as problem:
            raise RunError(f"cannot write {root}: {problem.strerror}; set `folder`") from None


@dataclass(eq=False)
class _Submitted:
    """A job of submitit, and those of its items that are not yet seen to have ended."""

    job: submitit.Job[str]
    items: list[Item]


class _Queue:
    """The jobs of one sweep: those that wait, and those that were submitted."""

    def __init__(self, options: SlurmOptions, folder: Path, site: Site) -> None:
        self._options, self._folder, self._site = options, folder, site
        self._dispatch = Dispatch(site, claim=True)
        self._executor = _executor(options, folder, site.threads or 1)
        self._watch: Watch = WatchHere()
        if options.executor == "slurm":
            self._watch = WatchSlurm(options.poll_s)
        self._waiting: deque[Job] = deque()
        self._submitted: list[_Submitted] = []
        self._items = 0
        self._cancelled = False
        self.logs_matter = False

    def carry_out(self, jobs: Sequence[Job]) -> Endings:
        self._waiting.extend(jobs)
        try:
            while self._waiting or self._submitted:
                left = self._site.seconds_left
                if left is not None and left <= 0:
                    yield from self._late(-left)
                else:
                    yield from self._submit()
                yield from self._look()
                if self._submitted:
                    time.sleep(_LOOK_EVERY)
        finally:
            self._end()

    def _submit(self) -> Endings:
        """Submit what waits: to Slurm all of it, which keeps its own queue."""
        places = {"slurm": _ARRAY_SIZE, "local": self._options.array_parallelism, "debug": 1}
        places_left = places[self._options.executor]
        if self._options.executor != "slurm":
            places_left -= len(self._submitted)
        tasks: list[Task] = []
        items: list[list[Item]] = []
        while self._waiting and len(tasks) < places_left:
            work = yield from self._next_work()
            if work:
                tasks.append(Task(work))
                items.append([item for item, _ in work])
        if not tasks:
            return
        try:
            jobs = self._executor.submit_array(tasks)
        except (FailedJobError, FailedSubmissionError) as problem:
            raise RunError(f"Slurm takes no job: {str(problem).strip().splitlines()[-1]}") from None
        self._submitted += [_Submitted(*pair) for pair in zip(jobs, items, strict=True)]

    def _next_work(self) -> Generator[Ended, None, list[tuple[Item, Parcel]]]:
        """The next jobs that one job of Slurm does one after another."""
        work: list[tuple[Item, Parcel]] = []
        runs = 0
        most = self._options.runs_per_job
        while self._waiting and (not runs or runs + len(self._waiting[0]) <= most):
            job = self._waiting.popleft()
            sent = self._dispatch.sent(job)
            if isinstance(sent, Ended):
                yield sent
                continue
            self._items += 1
            work.append((Item(job, self._folder / f"{self._items}.delivery"), sent.parcel))
            runs += len(job)
        return work

    def _look(self) -> Endings:
        """What has ended since the last look."""
        self._folder.chmod(0o700)  # a change, for NFS to look at what other machines have written
        self._watch.look([each.job for each in self._submitted])
        for submitted in list(self._submitted):
            ending = self._watch.ending(submitted.job)
            for item in list(submitted.items):
                if item.delivery.exists():
                    submitted.items.remove(item)
                    yield self._dispatch.received(item.job, item.delivered())
            if ending is not None:
                self._submitted.remove(submitted)
                yield from self._unfinished(submitted.items, ending)

    def _unfinished(self, items: Sequence[Item], ending: Ending) -> Endings:
        """What becomes of the items that a job has left.

        The one that was at work is lost, those behind it are submitted again. Where none had begun,
        all are lost: their job has never come as far as dcbench.
        """
        state, reason = ("left", "no time left") if self._cancelled else ending
        begun = any(item.begun.exists() for item in items)
        for item in items:
            if state == "left":
                yield Ended(item.job, [_left(request, reason) for request in item.job])
            elif state == "lost" and (item.begun.exists() or not begun):
                self.logs_matter = True
                yield Ended(item.job, lost=reason)
            else:
                self._waiting.append(item.job)

    def _late(self, seconds: float) -> Endings:
        """Past the deadline: nothing more begins, and what is at work is to end."""
        while self._waiting:
            yield unbegun(self._waiting.popleft())
        patience = 0.0 if self._options.executor == "slurm" else TO_CHECKPOINT
        if seconds >= patience and not self._cancelled:
            self._cancelled = True
            self._watch.cancel([each.job for each in self._submitted])
        if seconds >= _GRACE:
            for submitted in self._submitted:
                yield from self._unfinished(submitted.items, Ending("left"))
            self._submitted.clear()

    def _end(self) -> None:
        """Cancel what is still submitted: an interrupt, or an error, has come first."""
        jobs = [each.job for each in self._submitted]
        if not jobs or self._options.executor == "debug":
            return
        self._watch.cancel(jobs)
        _log.warning("jobs cancelled: %d; they store their states", len(jobs))
        until = time.monotonic() + TO_CHECKPOINT
        while self._options.executor == "local" and time.monotonic() < until:
            if all(job.done() for job in jobs):
                return
            time.sleep(0.1)


def _remove(folder: Path) -> None:
    """Remove the folder of a submission, and the one that holds them if it was the last."""
    shutil.rmtree(folder, ignore_errors=True)
    with contextlib.suppress(OSError):
        folder.parent.rmdir()


def _left(request: Request, reason: str) -> Outcome:
    return Outcome(request, "left", 0.0, message=reason)


def _executor(options: SlurmOptions, folder: Path, threads: int) -> submitit.Executor:
    """The executor of submitit, told what the options say in its words."""
    logging.getLogger("submitit").handlers.clear()  # of which one writes to standard output
    if options.executor == "debug":
        return submitit.DebugExecutor(folder)
    parameters: dict[str, Any] = {"signal_delay_s": options.signal_delay_s}
    if options.executor == "local":
        executor = submitit.LocalExecutor(folder, max_num_timeout=options.max_num_timeout)
        parameters |= {"timeout_min": options.timeout_min}
        parameters |= {"gpus_per_node": options.gpus_per_node or 0}
    else:
        executor = _slurm_executor(folder, options.max_num_timeout)
        parameters |= {"job_name": "dcbench", "time": options.timeout_min}
        parameters |= _asked(options, threads)
    executor.update_parameters(**parameters)
    return executor


def _slurm_executor(folder: Path, max_num_timeout: int) -> submitit.SlurmExecutor:
    try:
        return submitit.SlurmExecutor(folder, max_num_timeout=max_num_timeout)
    except RuntimeError:
        raise UsageError(
            "engine slurm: there is no srun on this machine; `executor: local` does without Slurm"
        ) from None


def _asked(options: SlurmOptions, threads: int) -> dict[str, Any]:
    """What a job asks of Slurm, by the names of sbatch."""
    asked = {
        "partition": options.partition,
        "account": options.account,
        "qos": options.qos,
        "constraint": options.constraint,
        "gpus_per_node": options.gpus_per_node,
        "cpus_per_task": options.cpus_per_task or threads,
        "mem": None if options.mem_gb is None else f"{round(1024 * options.mem_gb)}MB",
        "setup": list(options.setup) or None,
        "additional_parameters": options.additional_parameters or None,
    }
    found = {key: value for key, value in asked.items() if value is not None}
    return found | {"array_parallelism": options.array_parallelism}
