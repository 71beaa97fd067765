"""What an engine is: it is given jobs and yields how each ended, as they end.

A job is a pack of runs that share a device. It names them, so that it can be sent elsewhere.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Generic, Literal, NamedTuple, TypeVar

from pydantic import Field

from dcbench.config.base import Config
from dcbench.config.progress import NoProgress, Progress
from dcbench.data.parts import Source
from dcbench.records.store import Store
from dcbench.sweep.grid import Request

Job = tuple[Request, ...]
State = Literal["done", "found", "failed", "left", "busy"]


@dataclass(frozen=True)
class Site:
    """Where and how the runs of a sweep are done.

    Attributes
    ----------
    device : str
        As `--device`; with several workers and `auto`, each GPU has one.
    threads : int, optional
        Of a process, on a CPU; where none are asked for, those of each run's protocol.
    compiled : bool
        Compile the networks' passes, on a CPU.
    deadline : float or None
        Seconds since 1970, on this machine's clock, at which every run is to have stopped,
        checkpointed.
    progress : Progress
        Where an engine that works in this process shows its epochs.
    """

    store: Store
    source: Source
    device: str
    threads: int | None
    deadline: float | None = None
    progress: Progress = field(default_factory=NoProgress)
    compiled: bool = False

    @property
    def seconds_left(self) -> float | None:
        """Until the deadline; None without one. A clock of another machine may differ."""
        return None if self.deadline is None else self.deadline - time.time()


class Outcome(NamedTuple):
    """How a run of a sweep ended.

    Attributes
    ----------
    state : str
        `done`; `found`: it was there; `failed`; `left`: there was no time, it goes on next time;
        `busy`: another process is at it. The last is for the scheduler alone, which asks again.
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


class Ended(NamedTuple):
    """How a job ended: with an outcome for each of its runs, or lost.

    Attributes
    ----------
    lost : str
        Why its worker died, and the job with it; empty where it did not.
    """

    job: Job
    outcomes: Sequence[Outcome] = ()
    lost: str = ""


Endings = Generator[Ended, None, None]


class Options(Config):
    """What an engine can be told; every engine has its own."""


class WorkerOptions(Options):
    """Of an engine that starts its own workers on this machine."""

    workers: int | None = Field(None, ge=1, description="by default one a GPU, or one a core")


class TransferOptions(Options):
    """Of an engine whose workers may be on other machines."""

    data: Literal["shared", "sent"] = Field(
        "shared", description="the workers see the data folder, or are sent a bundle of its images"
    )
    results: Literal["shared", "sent"] = Field(
        "shared", description="the workers see the results folder, or send their files back"
    )


AnyOptions = TypeVar("AnyOptions", bound=Options)


class Engine(ABC, Generic[AnyOptions]):
    """Carries jobs out. A class of the entry-point group `dcbench.engines` is found by its name.

    Parameters
    ----------
    options
        Of the class's `Options`; they never enter a run's identity.
    """

    Options: ClassVar[type[Options]] = Options

    def __init__(self, options: AnyOptions) -> None:
        self.options = options

    @abstractmethod
    def workers(self, device: str) -> int:
        """How many jobs are done at once, as far as that is known beforehand."""

    @abstractmethod
    def carry_out(self, jobs: Sequence[Job], site: Site) -> Endings:
        """Do the jobs, in any order, and yield each as it ends.

        Each job is yielded once. A worker that dies takes no job with it but its own, which is
        yielded as lost; the others go on. What cannot be begun before the deadline is yielded as
        `unbegun`. When the generator is closed early, its workers store their states and leave.
        """


def failed(job: Job, message: str) -> list[Outcome]:
    """The outcomes of a job whose runs have all failed for one reason."""
    return [Outcome(request, "failed", 0.0, message=message) for request in job]


def unbegun(job: Job) -> Ended:
    """A job for which there was no time."""
    return Ended(
        job, [Outcome(request, "left", 0.0, message="no time to begin") for request in job]
    )
