"""What an engine is: it is given jobs and yields how each ended, as they end.

A job is a pack of requests that share a device. It names them, so that it can be sent elsewhere.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Generic, Literal, TypeVar

from pydantic import Field

from dcbench.config.base import Config
from dcbench.config.progress import NoProgress, Progress
from dcbench.data.parts import Source
from dcbench.records.store import Store
from dcbench.sweep.engines.jobs import (
    Ended,
    Endings,
    Job,
    Outcome,
    Work,
    failed,
    unbegun,
)
from dcbench.sweep.engines.runs import Runs

__all__ = [
    "Ended",
    "Endings",
    "Engine",
    "Job",
    "Options",
    "Outcome",
    "Site",
    "TransferOptions",
    "Work",
    "WorkerOptions",
    "at_once",
    "failed",
    "unbegun",
]


@dataclass(frozen=True)
class Site:
    """Where and how jobs are done.

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
    work : Work
        What is done with each job: its requests are runs, unless it is said otherwise.
    """

    store: Store
    source: Source
    device: str
    threads: int | None
    deadline: float | None = None
    progress: Progress = field(default_factory=NoProgress)
    compiled: bool = False
    work: Work = field(default_factory=Runs)

    @property
    def seconds_left(self) -> float | None:
        """Until the deadline; None without one. A clock of another machine may differ."""
        return None if self.deadline is None else self.deadline - time.time()


def at_once(workers: int, jobs: int) -> int:
    """How many of the workers have a job; 1 where there is none, for times are divided by it."""
    return max(1, min(workers, jobs))


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
