"""What a worker of an engine does for a search: one more trial, whichever is left or comes next."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

from dcbench.config.names import as_text
from dcbench.config.progress import NoProgress, Progress
from dcbench.config.text import duration
from dcbench.data.load import load_tuning_images
from dcbench.errors import OutOfTimeError, RunError
from dcbench.records.store import Store
from dcbench.runs.session import Session
from dcbench.sweep.engines.base import Job, Outcome, Work
from dcbench.tuning.plan import Search
from dcbench.tuning.study import DATABASE, Study, TrialFacts
from dcbench.tuning.trial import carry_out

LIVES = 2
"""Workers of one command that may die at a trial before it has failed."""


@dataclass(frozen=True)
class OneMoreTrial(Work):
    """A job is a place at the search; which trial it is, the study says when the job begins.

    Attributes
    ----------
    command : str
        What all workers of one command have in common; see `Study`.
    """

    search: Search
    command: str
    load = staticmethod(load_tuning_images)
    on_one_disk = True

    def perform(
        self,
        job: Job,
        store: Store,
        session: Session,
        *,
        progress: Progress | None = None,
        deadline: float | None = None,
    ) -> list[Outcome]:
        """Train a trial; see `Work`.

        Its outcome is `done` however the trial ended, and its message what is told of it; `busy`
        where others hold all that is left, and `found` where nothing is.
        """
        (request,) = job
        search = replace(self.search, method=request.method)
        folder = store.root / search.folder
        if not (folder / DATABASE).exists():
            raise RunError(
                f"{folder / DATABASE}: the worker sees no such study; the results folder has to "
                "lie on a disk that the workers share with the command"
            )
        study, began = Study(folder, search, self.command), time.monotonic()
        with study.held() as held:
            if held is None:
                return [Outcome(request, "busy" if study.standing().held else "found", 0.0)]
            try:
                if held.lost >= LIVES:
                    held.end("failed", problem=f"{held.lost} workers died at it")
                else:
                    carry_out(held, search, session, progress or NoProgress(), deadline)
            except OutOfTimeError as problem:
                return [Outcome(request, "left", time.monotonic() - began, message=str(problem))]
        trial, seconds = study.trials[held.number], time.monotonic() - began
        return [Outcome(request, "done", seconds, trial.score, _told(trial, search, seconds))]


def _told(trial: TrialFacts, search: Search, seconds: float) -> str:
    values = ", ".join(f"{key}={as_text(value)}" for key, value in trial.values.items())
    reached = "" if trial.score is None else f" at {100 * trial.score:.2f} %"
    problem = f": {trial.problem}" if trial.problem else ""
    return (
        f"[{trial.number + 1}/{search.trials}] {values}: {trial.state}{reached} after "
        f"{trial.epochs} epochs in {duration(seconds)}{problem}"
    )
