"""Runs, start to finish: found, or done and recorded; one, or several that share a device."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch

from dcbench.config.interrupts import interruptible
from dcbench.config.progress import NoProgress, Progress
from dcbench.errors import BusyError, DcbenchError, OutOfTimeError
from dcbench.records import files
from dcbench.records.schema import Record
from dcbench.records.store import Differs, Finished, Store, locked
from dcbench.runs.finish import finish
from dcbench.runs.plan import Plan
from dcbench.runs.prepare import Estimate, ReadyRun, prepare
from dcbench.runs.session import Session
from dcbench.training.loop import Training, run_error, train_together

SHORTEST_SLICE = 60.0
"""Seconds below which a run that cannot be finished in time is not begun."""

_log = logging.getLogger(__name__)


def execute(
    plan: Plan,
    store: Store,
    session: Session,
    *,
    restart: bool = False,
    progress: Progress | None = None,
) -> Record:
    """Carry a plan out, or find its record; see `dcbench.run`."""
    ended = execute_together([plan], store, session, restart=restart, progress=progress)[0].ended
    if isinstance(ended, DcbenchError):
        raise ended
    return ended


class Result(NamedTuple):
    """What came of a run: its record, or why there is none.

    Attributes
    ----------
    found : bool
        Whether the record was there; else it was made here.
    """

    ended: Record | DcbenchError
    found: bool


def execute_together(
    plans: Sequence[Plan],
    store: Store,
    session: Session,
    *,
    restart: bool = False,
    progress: Progress | None = None,
    deadline: float | None = None,
    wait: bool = True,
    looked_up: bool = False,
) -> list[Result]:
    """Carry several plans out, training them at once on one device, with the threads of the first.

    Their recipes have one precision, which a GPU's process is set up for as a whole. Each ends with
    the same weights as on its own.

    Parameters
    ----------
    restart
        Throw away what an earlier run left.
    deadline
        On the clock of `time.monotonic`: what does not fit before is checkpointed and left, and its
        outcome is `OutOfTimeError`.
    wait
        For another process that is at one of the runs; else its outcome is `BusyError`.
    looked_up
        The caller has just seen that none of the runs is there.

    Returns
    -------
    list of Result
        For each plan; where one fails, the others go on.

    Raises
    ------
    KeyboardInterrupt
        Interrupted; all states have been saved.
    """
    progress = progress or NoProgress()
    outcomes: dict[int, Record | DcbenchError] = {}
    if not (restart or looked_up):
        outcomes = {number: each for number, each in enumerate(_found(plans, store)) if each}
    missing = [number for number in range(len(plans)) if number not in outcomes]
    with interruptible(), session.threads_of(plans[0]), contextlib.ExitStack() as stack:
        # In the order of their names, so that two processes never wait for one another.
        for number in sorted(missing, key=lambda each: store.folder(plans[each].identity)):
            try:
                folder = store.folder(plans[number].identity)
                stack.enter_context(locked(folder, busy=None if wait else "ask again later"))
            except BusyError as problem:
                outcomes[number] = problem
        ready: dict[int, ReadyRun] = {}
        for number in (each for each in missing if each not in outcomes):
            begun = _begun(plans[number], store, session, restart, len(plans))
            if not isinstance(begun, ReadyRun):
                outcomes[number] = begun
            elif _fits(min(begun.estimate.seconds, SHORTEST_SLICE), deadline):
                ready[number] = begun
            else:
                outcomes[number] = OutOfTimeError("no time to begin")
        trainings = {number: _training(run, progress) for number, run in ready.items()}
        failed = train_together(trainings, deadline)
        for number, run in ready.items():
            outcomes[number] = failed.get(number) or _recorded(run, store, progress, deadline)
    return [
        Result(outcomes[number], found=number not in ready and isinstance(outcomes[number], Record))
        for number in range(len(plans))
    ]


def _found(plans: Sequence[Plan], store: Store) -> list[Record | DcbenchError | None]:
    """For each plan its record or what stands in its place; None where it is to be done."""
    outcomes: list[Record | DcbenchError | None] = []
    for plan in plans:
        found = store.find(plan.identity)
        if isinstance(found, Finished):
            _log.info("found %s; not run again", store.folder(plan.identity) / files.RECORD)
            if store.weights == "keep" and not found.record.model.kept:
                _log.warning("its weights were not kept; --restart trains it again")
            outcomes.append(found.record)
        else:
            outcomes.append(found.error if isinstance(found, Differs) else None)
    return outcomes


def _begun(
    plan: Plan, store: Store, session: Session, restart: bool, together: int
) -> ReadyRun | Record | DcbenchError:
    """A run that is ready to train, or what another process has left meanwhile, or what is wrong.

    The lock of the run's folder is held.
    """
    folder = store.folder(plan.identity)
    try:
        if restart:
            files.clear(folder)
        there = _found([plan], store)[0]
        if there is not None:
            return there
        run = prepare(plan, folder, session, together=together)
        _log.info("%s", run.estimate)
        return run
    except (DcbenchError, torch.OutOfMemoryError) as problem:
        return run_error(problem)


def _training(run: ReadyRun, progress: Progress) -> Training:
    done, epochs = run.trainer.progress.epoch, run.trainer.epochs
    shown = progress.task(f"train {run.plan.title}", epochs, done, "epochs")
    return Training(run.trainer, run.checkpoint, shown)


def _fits(seconds: float, deadline: float | None) -> bool:
    return deadline is None or time.monotonic() + seconds <= deadline


def _recorded(
    run: ReadyRun, store: Store, progress: Progress, deadline: float | None
) -> Record | DcbenchError:
    if not _fits(run.estimate.evaluate_seconds, deadline):
        return OutOfTimeError("trained; no time to predict")
    try:
        return finish(run, progress, weights=store.weights)
    except (DcbenchError, torch.OutOfMemoryError) as problem:
        return run_error(problem)


def estimate(plan: Plan, session: Session, half_done: Path | None = None) -> Estimate:
    """How long a plan would take, from a measured step; nothing is written.

    Of what is left, if the run may lie half-done in a folder.
    """
    with session.threads_of(plan):
        resume = half_done is not None
        return prepare(plan, half_done or Path(), session, resume=resume).estimate
