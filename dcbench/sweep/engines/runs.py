"""The work of a sweep: a job is a pack of runs, done together on one device."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass

from dcbench.config.progress import Progress
from dcbench.data.load import load_images
from dcbench.errors import BusyError, DcbenchError, OutOfTimeError
from dcbench.records.store import Finished, Store
from dcbench.runs.execute import Result, execute_together
from dcbench.runs.session import Session
from dcbench.sweep.engines.jobs import Job, Outcome, Work, first_line, told_to_leave
from dcbench.sweep.grid import Request, plan_of

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Runs(Work):
    """Each request is a run, to be stored where it belongs."""

    load = staticmethod(load_images)

    def perform(
        self,
        job: Job,
        store: Store,
        session: Session,
        *,
        progress: Progress | None = None,
        deadline: float | None = None,
    ) -> list[Outcome]:
        """Do runs together; see `dcbench.runs.execute.execute_together`."""
        plans, began = [plan_of(request) for request in job], time.monotonic()
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

    def left(self, request: Request, store: Store) -> Outcome:
        """What became of a run whose job was interrupted: it may be done."""
        found = store.find(plan_of(request).identity)
        if isinstance(found, Finished):
            return Outcome(request, "done", 0.0, float(found.record.metrics.accuracy))
        return told_to_leave(request)


def _outcome(request: Request, result: Result, seconds: float) -> Outcome:
    ended, found = result
    if isinstance(ended, BusyError):
        return Outcome(request, "busy", 0.0, message=str(ended))
    if isinstance(ended, OutOfTimeError):
        return Outcome(request, "left", seconds, message=str(ended))
    if isinstance(ended, DcbenchError):
        _log.debug("traceback, as --debug asks:", exc_info=ended)
        return Outcome(request, "failed", seconds, message=first_line(ended))
    accuracy = float(ended.metrics.accuracy)
    return Outcome(request, "found" if found else "done", seconds, accuracy)
