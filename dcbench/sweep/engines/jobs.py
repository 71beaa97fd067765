"""What an engine carries: jobs, what is done with them, and how they end."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Sequence
from typing import Any, ClassVar, Literal, NamedTuple

from dcbench.config.progress import Progress
from dcbench.errors import DcbenchError
from dcbench.records.store import Store
from dcbench.runs.session import Session
from dcbench.sweep.grid import Request

Job = tuple[Request, ...]
State = Literal["done", "found", "failed", "left", "busy"]


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


class Work(ABC):
    """What is done with a job, the same for all jobs of a site; any pickle can carry it.

    Attributes
    ----------
    load : callable
        How the images of a split are read; see `dcbench.runs.session.Session`.
    on_one_disk : bool
        Whether its jobs have to share a results folder, so that none can send its files back.
    """

    load: ClassVar[Callable[..., Any]]
    on_one_disk: ClassVar[bool] = False

    @abstractmethod
    def perform(
        self,
        job: Job,
        store: Store,
        session: Session,
        *,
        progress: Progress | None = None,
        deadline: float | None = None,
    ) -> list[Outcome]:
        """Do a job in this process, to an outcome for each of its requests, in their order.

        Parameters
        ----------
        job
            By the names that this process can look up.
        deadline
            On the clock of `time.monotonic`: whatever is not done by then is stored and left.

        Raises
        ------
        KeyboardInterrupt
            Interrupted; all states have been stored.
        DcbenchError
            The job could not be begun.
        """

    def left(self, request: Request, store: Store) -> Outcome:
        """What became of a request whose job was interrupted."""
        return told_to_leave(request)


def failed(job: Job, message: str) -> list[Outcome]:
    """The outcomes of a job whose runs have all failed for one reason."""
    return [Outcome(request, "failed", 0.0, message=message) for request in job]


def first_line(problem: DcbenchError) -> str:
    """What an outcome tells of an error."""
    return str(problem).splitlines()[0]


def told_to_leave(request: Request) -> Outcome:
    """What became of a request whose worker was to leave."""
    return Outcome(request, "left", 0.0, message="its worker was told to leave")


def unbegun(job: Job) -> Ended:
    """A job for which there was no time."""
    return Ended(
        job, [Outcome(request, "left", 0.0, message="no time to begin") for request in job]
    )
