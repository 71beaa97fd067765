"""A run between its plan and its record: train, predict, measure, write down."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from safetensors.torch import save as safetensors_bytes

from dcbench.config.text import duration
from dcbench.data.parts import ImageSet
from dcbench.metrics.measure import Predictions, measure
from dcbench.records import checkpoint, store
from dcbench.records.schema import Cost, ImagesUsed, Record
from dcbench.runs.cost import BACKWARD_AND_FORWARD, forward_flops
from dcbench.runs.machine import describe_environment, device_title, peak_memory_bytes
from dcbench.runs.plan import Plan
from dcbench.runs.session import Session
from dcbench.training.loop import Training
from dcbench.training.precision import autocast
from dcbench.training.predict import predict, predict_split
from dcbench.training.trainer import Progress, StepCost


class Reporter(Protocol):
    """What a run tells while it is at work."""

    def note(self, text: str) -> None:
        """A sentence for the user."""

    def epoch(self, plan: Plan, progress: Progress) -> None:
        """Training begins, or an epoch is done."""

    def evaluated(self, done: int, total: int) -> None:
        """So many images are predicted."""

    def ended(self, plan: Plan) -> None:
        """The run is over, whether it is recorded, has failed or is left; may be told twice."""


class Silence:
    """Tells nothing."""

    def note(self, text: str) -> None:
        """Keep it."""

    def epoch(self, plan: Plan, progress: Progress) -> None:
        """Keep it."""

    def evaluated(self, done: int, total: int) -> None:
        """Keep it."""

    def ended(self, plan: Plan) -> None:
        """Keep it."""


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


class Work:
    """A run at a workplace.

    Parameters
    ----------
    folder : Path
        Where the run is recorded.
    together : int
        How many runs share the device.
    """

    def __init__(
        self,
        plan: Plan,
        folder: Path,
        place: Session,
        reporter: Reporter,
        *,
        together: int = 1,
    ) -> None:
        self.plan, self.folder, self.reporter = plan, folder, reporter
        self._place, self._together = place, together
        self._started = _now()
        self._material = place.material(plan)
        self._trainer = place.trainer(plan)
        self._note_missing()

    def _note_missing(self) -> None:
        optional = self.plan.protocol.optional_ood
        for name, reason in self._material.images.missing_ood.items():
            so = "is optional and left out"
            if name not in optional:
                so = "is left out, so the run is custom"
            self.reporter.note(f"OOD set {name} {so}: {reason}")

    def resume(self) -> None:
        """Go on from where an earlier training was cut off, and say how long the rest takes."""
        state = checkpoint.read_checkpoint(self.folder, self.plan.configuration)
        if state is not None:
            self._trainer.restore(state)
            progress = self._trainer.progress
            self.reporter.note(f"going on from epoch {progress.epoch}, step {progress.step}")
        self.reporter.note(str(self.forecast))

    @property
    def training(self) -> Training:
        """What is to be trained, and where its states are kept."""
        configuration = self.plan.configuration
        return Training(
            self._trainer,
            save=lambda state: checkpoint.write_checkpoint(self.folder, configuration, state),
            report=lambda progress: self.reporter.epoch(self.plan, progress),
            give_up=lambda: self.reporter.ended(self.plan),
        )

    @functools.cached_property
    def _step(self) -> StepCost:
        return self._trainer.measure_step()

    @functools.cached_property
    def forecast(self) -> Estimate:
        """How long the rest of the run takes from here, if nothing else is at work."""
        trainer = self._trainer
        sample = self._material.images.fit.images[:200]
        self._predict(sample[:1])
        began = time.perf_counter()
        self._predict(sample)
        seconds = (time.perf_counter() - began) / len(sample)
        done = trainer.progress.epoch * trainer.steps_per_epoch + trainer.progress.step
        return Estimate(
            steps=trainer.recipe.epochs * trainer.steps_per_epoch - done,
            step_seconds=self._step.seconds,
            images=self._num_predicted,
            evaluate_seconds=seconds * self._num_predicted,
            device=device_title(self._place.device),
        )

    @property
    def _num_predicted(self) -> int:
        images = self._material.images
        return sum(len(each.labels) for each in (images.test, *images.ood.values()))

    def _predict(
        self, images: NDArray[np.uint8], advance: Callable[[int], None] = lambda count: None
    ) -> NDArray[np.float32]:
        material, device = self._material, self._place.device
        with autocast(self.plan.choice.recipe, device):
            return predict(
                self._trainer.network, images, material.mean, material.std, device, advance
            )

    def record(self) -> Record:
        """Predict, measure, and write it all down, when the training is at its end."""
        config, began, done = self.plan.split.config, time.monotonic(), 0

        def advance(count: int) -> None:
            nonlocal done
            done += count
            self.reporter.evaluated(done, self._num_predicted)

        images = self._material.images
        predictions = predict_split(lambda pixels: self._predict(pixels, advance), images)
        metrics = measure(predictions, long_tailed=config.long_tailed, ood_sets=config.ood)
        cost = self._cost(time.monotonic() - began)
        record = self._written(predictions, metrics, cost)
        store.write_record(self.folder, record)
        self._place.give_back(self.plan, self._trainer)
        return record

    def _cost(self, evaluate_seconds: float) -> Cost:
        plan, device = self.plan, self._place.device
        recipe, seconds = plan.choice.recipe, self._trainer.progress.seconds
        trained = plan.num_images * recipe.epochs
        size = self._material.images.fit.images.shape[1]
        image = forward_flops(recipe.model, plan.split.num_classes, size).all_taps
        flops = round(
            BACKWARD_AND_FORWARD * image * trained * self._step.passed / self._step.images
        )
        return Cost(
            train_seconds=round(seconds, 3),
            evaluate_seconds=round(evaluate_seconds, 3),
            images_per_second=round(trained / seconds, 1),
            peak_memory_bytes=peak_memory_bytes(device),
            device=device_title(device),
            model_flops=flops,
            ceiling_share=round(flops / seconds / self._place.ceiling(recipe), 4),
            runs_together=self._together,
        )

    def _written(self, predictions: Predictions, metrics: dict[str, Any], cost: Cost) -> Record:
        """The record, when every other file of the run lies in its folder."""
        plan, images = self.plan, self._material.images
        store.write_history(self.folder, self._trainer.progress.history)
        departures = (*plan.departures, *self._missing_and_needed())
        return Record(
            **plan.configuration,
            status="custom" if departures else "protocol",
            departures=departures,
            label=plan.choice.label,
            data=self._data(),
            missing=images.missing_ood,
            metrics=metrics,
            predictions=store.write_predictions(self.folder, predictions),
            model=store.write_weights(self.folder, self._weights()),
            cost=cost,
            environment=describe_environment(self._place.device),
            started=self._started,
            finished=_now(),
        )

    def _weights(self) -> bytes:
        state = self._trainer.network.state_dict()
        return safetensors_bytes({name: each.cpu().contiguous() for name, each in state.items()})

    def _missing_and_needed(self) -> list[str]:
        optional = self.plan.protocol.optional_ood
        missing = self._material.images.missing_ood
        return [f"OOD set {name} is missing" for name in missing if name not in optional]

    def _data(self) -> dict[str, ImagesUsed | None]:
        images = self._material.images
        sets: dict[str, ImageSet | None] = {"fit": images.fit, "test": images.test}
        for name in self.plan.split.config.ood:
            sets[f"ood.{name}"] = images.ood.get(name)
        return {name: _used(each) if each else None for name, each in sets.items()}


def _used(images: ImageSet) -> ImagesUsed:
    return ImagesUsed(images=len(images.labels), sha256=images.sha256(), official=images.official)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
