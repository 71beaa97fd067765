"""One trial: trained on the training part, scored on what is held out of it at every rung."""

from __future__ import annotations

import logging

import numpy as np
import torch

from dcbench.config.interrupts import interruptible
from dcbench.config.progress import Progress
from dcbench.config.text import in_brief
from dcbench.errors import CheckpointError, DcbenchError, OutOfTimeError, RunError, UsageError
from dcbench.metrics import balanced_accuracy, negative_log_likelihood
from dcbench.records import files
from dcbench.runs.finish import finish_training
from dcbench.runs.plan import Plan
from dcbench.runs.prepare import ReadyRun, prepare
from dcbench.runs.session import Session
from dcbench.training.loop import Training, run_error, train_together
from dcbench.tuning.halving import goes_on
from dcbench.tuning.plan import Search
from dcbench.tuning.study import HeldTrial

_log = logging.getLogger(__name__)


def carry_out(
    held: HeldTrial,
    search: Search,
    session: Session,
    progress: Progress,
    deadline: float | None = None,
) -> None:
    """Train a trial to its end, or until others have left it behind; how it ends is stored.

    A trial that cannot be trained has failed, and the search goes on.

    Parameters
    ----------
    deadline
        On the clock of `time.monotonic`.

    Raises
    ------
    OutOfTimeError
        It is past; the trial goes on from its checkpoint.
    KeyboardInterrupt
        Interrupted; as above.
    """
    try:
        with interruptible():
            _train(held, search, session, progress, deadline)
    except OutOfTimeError:
        raise
    except (RunError, torch.OutOfMemoryError) as problem:
        held.end("failed", problem=in_brief(run_error(problem)))


def _train(
    held: HeldTrial,
    search: Search,
    session: Session,
    progress: Progress,
    deadline: float | None,
) -> None:
    plan = _planned(held, search)
    with session.threads_of(plan):
        run = _prepared(plan, held, session)
        for end in (*search.rungs, run.trainer.epochs):
            position = run.trainer.progress
            if (position.epoch, position.step) > (end, 0):
                continue  # it was taken up beyond this rung, which it had passed
            _train_until(end, run, held, progress, deadline)
            if end == run.trainer.epochs:
                finish_training(run)
            score, others = held.report(end, *_score(run))
            if end == run.trainer.epochs:
                held.end("complete", score)
            elif not goes_on(score, others, search.reduction):
                held.end("stopped")
                return


def _planned(held: HeldTrial, search: Search) -> Plan:
    """The run of a trial.

    Raises
    ------
    RunError
        Its settings, each within its range, do not go together.
    """
    try:
        return search.plan(held.values)
    except UsageError as problem:
        raise RunError(str(problem)) from None


def _prepared(plan: Plan, held: HeldTrial, session: Session) -> ReadyRun:
    """A trial's training where its checkpoint is, or at its start if there is no going on there."""
    try:
        return prepare(plan, held.folder, session)
    except CheckpointError as problem:
        _log.warning("%s; trial %d begins again", problem.why, held.number)
        files.clear(held.folder)
        return prepare(plan, held.folder, session, resume=False)


def _train_until(
    end: int, run: ReadyRun, held: HeldTrial, progress: Progress, deadline: float | None
) -> None:
    done = run.trainer.progress.epoch
    shown = progress.task(f"trial {held.number} to epoch {end}", end, done, "epochs")
    training = Training(run.trainer, run.checkpoint, shown, until=end)
    failed: dict[int, DcbenchError] = train_together({0: training}, deadline)
    if failed:
        held.spent(run.trainer.progress.epoch)
        raise failed[0]


def _score(run: ReadyRun) -> tuple[float, float]:
    """Balanced accuracy and negative log-likelihood on the held-out images."""
    held_out = run.data.images.test
    logits = run.predict(held_out.images)
    if not np.isfinite(logits).all():
        raise RunError("the network gives logits that are not finite on the held-out images")
    return (
        balanced_accuracy(logits, held_out.labels),
        negative_log_likelihood(logits, held_out.labels),
    )
