"""A run before it trains: its trainer, where an earlier one was cut off, and what is left."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dcbench.config.progress import NoProgress, ProgressTask
from dcbench.config.text import duration, in_brief
from dcbench.errors import CheckpointError, RunError
from dcbench.records.checkpoint import Checkpoint
from dcbench.runs.machine import device_title, forget_peak_memory, warn_of_slow_arithmetic
from dcbench.runs.plan import Plan
from dcbench.runs.session import DeviceData, Session
from dcbench.training.ending import predict_by_method
from dcbench.training.trainer import StepCost, Trainer

_log = logging.getLogger(__name__)

_LONG = 600.0
"""Seconds of a run on a CPU from which on a protocol that is made for one is offered."""

_SAMPLE = 200
"""Images that are predicted to measure how long one takes."""


@dataclass(frozen=True)
class Estimate:
    """How long the rest of a run will take, from a measured step.

    Attributes
    ----------
    steps : int
        Training steps that are left.
    images : int
        Number of images to predict.
    """

    steps: int
    step_seconds: float
    images: int
    evaluate_seconds: float
    device: str

    @property
    def seconds(self) -> float:
        """Training and evaluation together."""
        return self.steps * self.step_seconds + self.evaluate_seconds

    def __str__(self) -> str:
        return (
            f"about {duration(self.seconds)} on {self.device}: {self.steps} steps of "
            f"{1000 * self.step_seconds:.0f} ms, and {duration(self.evaluate_seconds)} to predict "
            f"{self.images} images"
        )


@dataclass(eq=False)
class ReadyRun:
    """A run that is ready to train.

    Attributes
    ----------
    folder : Path
        Where it is recorded.
    together : int
        How many runs share the device.
    step : StepCost
        Of a training step, as measured.
    estimate : Estimate
        Of all that is left, if nothing else is at work.
    """

    plan: Plan
    folder: Path
    session: Session
    data: DeviceData
    trainer: Trainer
    step: StepCost
    estimate: Estimate
    started: str
    together: int = 1

    @property
    def checkpoint(self) -> Checkpoint:
        """Where the states of its training are kept."""
        return Checkpoint(self.folder, self.plan.identity)

    def predict(
        self, images: NDArray[np.uint8], shown: ProgressTask | None = None
    ) -> NDArray[np.float32]:
        """Logits [N, classes] of images [N, H, W, 3] by the network as it is."""
        shown, data = shown or NoProgress().task("predict", len(images)), self.data
        return predict_by_method(self.trainer, images, data.mean, data.std, shown.advance)


def prepare(
    plan: Plan, folder: Path, session: Session, *, resume: bool = True, together: int = 1
) -> ReadyRun:
    """Build the trainer of a run, go on from its checkpoint, and measure what is left.

    Raises
    ------
    DataError
        Images are missing or damaged.
    CheckpointError
        The checkpoint is damaged or of another run.
    """
    started = now()
    warn_of_slow_arithmetic(plan.choice.recipe.precision, session.device)
    data, trainer = session.data(plan), session.trainer(plan)
    forget_peak_memory(session.device)
    _note_missing(plan, session, data)
    state = Checkpoint(folder, plan.identity).read() if resume else None
    if state is not None:
        _restore(trainer, state, Checkpoint(folder, plan.identity).path)
        progress = trainer.progress
        _log.info("going on from epoch %d, step %d", progress.epoch, progress.step)
    step, estimate = _measured(plan, session, data, trainer)
    _note_slow(plan, session, estimate)
    return ReadyRun(plan, folder, session, data, trainer, step, estimate, started, together)


def _restore(trainer: Trainer, state: dict[str, Any], path: Path) -> None:
    """Go on from a state, which may be anything that a file with a right hash can hold."""
    try:
        trainer.restore(state)
        progress = trainer.progress
        if not (0 <= progress.epoch <= trainer.epochs and progress.step >= 0):
            raise ValueError(f"epoch {progress.epoch}, step {progress.step}")
        if progress.step > trainer.steps_per_epoch or len(progress.history) != progress.epoch:
            raise ValueError(f"step {progress.step} after {len(progress.history)} epochs")
    except Exception as problem:  # a key that lacks, a shape that differs, a text for a number
        raise CheckpointError(f"{path}: does not fit the run: {in_brief(problem)}") from None


def _note_missing(plan: Plan, session: Session, data: DeviceData) -> None:
    for name, reason in data.images.missing_ood.items():
        optional = name in plan.protocol.optional_ood
        so = "is optional and left out" if optional else "is left out, so the run is custom"
        session.say_once(f"OOD set {name} {so}: {reason}")


def _note_slow(plan: Plan, session: Session, estimate: Estimate) -> None:
    """Offer another protocol where this one is made for a GPU, there is none, and it shows."""
    offered = plan.protocol.for_cpu
    if offered and session.device.type == "cpu" and estimate.seconds > _LONG:
        _log.warning(
            "protocol %s is made for a GPU: on this CPU the run takes about %s; --protocol %s is "
            "made for a CPU, and its results stand on leaderboards of their own",
            *(plan.protocol.name, duration(estimate.seconds), offered),
        )


def _measured(
    plan: Plan, session: Session, data: DeviceData, trainer: Trainer
) -> tuple[StepCost, Estimate]:
    def measure() -> tuple[StepCost, float]:
        sample = data.images.fit.images[:_SAMPLE]
        # The first call chooses kernels.
        _check_logits(plan, predict_by_method(trainer, sample[:1], data.mean, data.std))
        began = time.perf_counter()
        predict_by_method(trainer, sample, data.mean, data.std)
        seconds = (time.perf_counter() - began) / len(sample)
        return trainer.measure_step(), seconds

    progress, images = trainer.progress, data.num_predicted
    # On a GPU every trainer is measured: it captures its steps then, before its time is taken.
    step, seconds = (
        measure()
        if session.device.type == "cuda"
        else session.known(plan, f"cost in stage {progress.stage}", measure)
    )
    done = progress.epoch * trainer.steps_per_epoch + progress.step
    estimate = Estimate(
        steps=trainer.epochs * trainer.steps_per_epoch - done,
        step_seconds=step.seconds,
        images=images,
        evaluate_seconds=seconds * images,
        device=device_title(session.device),
    )
    return step, estimate


def _check_logits(plan: Plan, logits: NDArray[np.float32]) -> None:
    """Before anything is trained: a method's logits of one image are [1, classes]."""
    wanted = (1, plan.split.num_classes)
    if logits.shape != wanted:
        raise RunError(
            f"method {plan.choice.method.name}: logits(network, images) should be {list(wanted)} "
            f"of one image, and are {list(logits.shape)}"
        )


def now() -> str:
    """The time, as a record writes it."""
    return datetime.now(UTC).isoformat(timespec="seconds")
