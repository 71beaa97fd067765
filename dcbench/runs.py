"""One run, start to finish: load, train, predict, measure, record."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save as safetensors_bytes

from dcbench import records
from dcbench.data.augment import DeviceImages, normalisation_statistics
from dcbench.data.datasets import ImageSet, data_root
from dcbench.data.images import SplitImages, load_images
from dcbench.data.splits import load_split
from dcbench.environment import (
    describe_environment,
    device_title,
    find_device,
    peak_memory_bytes,
)
from dcbench.errors import RunError
from dcbench.evaluation import Predictions, measure, predict, predict_split
from dcbench.plans import Plan, plan_run, results_root
from dcbench.records import CONFIGURATION, Cost, ImagesUsed, Record, StoredFile
from dcbench.training import Progress, Trainer, autocast
from dcbench.units import duration


class Reporter(Protocol):
    """What a run tells while it is at work."""

    def note(self, text: str) -> None:
        """A sentence for the user."""

    def epoch(self, plan: Plan, progress: Progress) -> None:
        """Training begins, or an epoch is done."""

    def evaluated(self, done: int, total: int) -> None:
        """So many images are predicted."""


class Silence:
    """Tells nothing."""

    def note(self, text: str) -> None:
        """Keep it."""

    def epoch(self, plan: Plan, progress: Progress) -> None:
        """Keep it."""

    def evaluated(self, done: int, total: int) -> None:
        """Keep it."""


def run(
    method: str,
    split: str,
    *,
    subset: int = 0,
    seed: int = 0,
    protocol: str = "v1",
    settings: Mapping[str, Any] | None = None,
    device: str = "auto",
    data: str | Path | None = None,
    results: str | Path | None = None,
    restart: bool = False,
    allow_unverified_data: bool = False,
) -> Record:
    """Train, predict, measure and record; a finished run is found and not repeated.

    Parameters
    ----------
    method : str
        A name, `name[key=value,…]`, or `path/to/file.py:Class`.
    split : str
        Name of a split.
    settings : mapping, optional
        Settings of the method or of the recipe that differ from the protocol's.
    device : str
        `auto`, `cpu`, `cuda` or `cuda:<n>`.
    data, results
        Folders; by default `DCBENCH_DATA` or the user's cache, `DCBENCH_RESULTS` or `./results`.
    restart
        Throw away what an earlier run left.
    allow_unverified_data
        Take image files whose checksum is not the official one.

    Returns
    -------
    Record
        Its `metrics` are fractions.

    Raises
    ------
    UsageError, DataError, RunError
        See `dcbench.errors`.
    """
    plan = plan_run(method, split, subset=subset, seed=seed, protocol=protocol, settings=settings)
    return execute(
        plan,
        results_root(results),
        data_root(data),
        find_device(device),
        restart=restart,
        allow_unverified=allow_unverified_data,
    )


def execute(
    plan: Plan,
    results: Path,
    data: Path,
    device: torch.device,
    *,
    restart: bool = False,
    allow_unverified: bool = False,
    reporter: Reporter | None = None,
) -> Record:
    """Carry a plan out, or find its record; see `run`."""
    reporter = reporter or Silence()
    folder = results / plan.folder
    with records.locked(folder, reporter.note):
        if restart:
            records.clear(folder)
        if (folder / records.RECORD).exists():
            reporter.note(f"found {folder / records.RECORD}; not run again")
            return _found(plan, folder)
        images = images_of(plan, data, allow_unverified)
        _note_missing(plan, images, reporter)
        return _Work(plan, folder, images, device, reporter).record()


def estimate(
    plan: Plan,
    data: Path,
    device: torch.device,
    *,
    allow_unverified: bool = False,
    reporter: Reporter | None = None,
) -> str:
    """How long a plan would take on a device, from a measured step; nothing is written."""
    images = images_of(plan, data, allow_unverified)
    _note_missing(plan, images, reporter or Silence())
    return _Work(plan, Path(), images, device, Silence()).estimate()


def _note_missing(plan: Plan, images: SplitImages, reporter: Reporter) -> None:
    for name, reason in images.missing_ood.items():
        optional = name in plan.protocol.optional_ood
        so = "is optional and left out" if optional else "is left out, so the run is custom"
        reporter.note(f"OOD set {name} {so}: {reason}")


def _found(plan: Plan, folder: Path) -> Record:
    record, asked = records.read_record(folder), plan.configuration
    for key in CONFIGURATION:
        if getattr(record, key) != asked[key]:
            raise RunError(
                f"{folder / records.RECORD}: was made with another {key}: "
                f"{_difference(getattr(record, key), asked[key])}; run it again with "
                "--restart, or choose another folder with --results"
            )
    return record


def _difference(recorded: Any, asked: Any) -> str:
    if isinstance(recorded, dict) and isinstance(asked, dict):
        keys = [key for key in {**recorded, **asked} if recorded.get(key) != asked.get(key)]
        return ", ".join(f"{key}={recorded.get(key)} and not {asked.get(key)}" for key in keys)
    return f"{recorded} and not {asked}"


def images_of(plan: Plan, data: Path, allow_unverified: bool) -> SplitImages:
    """The images of a plan; those of the last plan are kept in memory."""
    fit = plan.choice.recipe.fit
    return _images(plan.split.name, plan.split.subset, fit, data, allow_unverified)


@functools.lru_cache(maxsize=1)
def _images(split: str, subset: int, fit: Any, data: Path, allow_unverified: bool) -> SplitImages:
    return load_images(load_split(split, subset), data, fit=fit, allow_unverified=allow_unverified)


class _Work:
    """A run between its images and its record."""

    def __init__(
        self,
        plan: Plan,
        folder: Path,
        images: SplitImages,
        device: torch.device,
        reporter: Reporter,
    ) -> None:
        self.plan, self.folder, self.images = plan, folder, images
        self.device, self.reporter = device, reporter
        self.started = _now()
        recipe = plan.choice.recipe
        self.mean, self.std = normalisation_statistics(recipe.normalisation, images.fit.images)
        self.trainer = Trainer(
            DeviceImages(
                images.fit.images,
                mean=self.mean,
                std=self.std,
                device=device,
                padding=recipe.padding,
                border=recipe.border,
            ),
            images.fit.labels,
            plan.split.num_classes,
            plan.choice.method,
            recipe,
            plan.seed,
        )

    def record(self) -> Record:
        """Train, predict, measure, and write it all down."""
        self._train()
        began = time.monotonic()
        predictions = predict_split(self._predictor(), self.images)
        metrics = measure(
            predictions,
            long_tailed=self.plan.split.facts.long_tailed,
            ood_sets=self.plan.split.facts.ood,
        )
        evaluate_seconds = time.monotonic() - began
        record = self._record(predictions, metrics, evaluate_seconds)
        records.write_record(self.folder, record)
        return record

    def _train(self) -> None:
        configuration = self.plan.configuration
        state = records.read_checkpoint(self.folder, configuration)
        if state is not None:
            self.trainer.restore(state)
            progress = self.trainer.progress
            self.reporter.note(f"going on from epoch {progress.epoch}, step {progress.step}")
        self.reporter.note(self.estimate())
        self.trainer.train(
            save=lambda state: records.write_checkpoint(self.folder, configuration, state),
            report=lambda progress: self.reporter.epoch(self.plan, progress),
        )

    def estimate(self) -> str:
        """How long the rest of the run will take, from a measured step."""
        trainer = self.trainer
        done = trainer.progress.epoch * trainer.steps_per_epoch + trainer.progress.step
        steps = trainer.recipe.epochs * trainer.steps_per_epoch - done
        seconds = trainer.measure_step()
        began = time.monotonic()
        sample = self.images.fit.images[:200]
        self._predictor(silent=True)(sample)
        evaluation = (time.monotonic() - began) / len(sample) * self._num_predicted()
        return (
            f"about {duration(steps * seconds + evaluation)} on {device_title(self.device)}: "
            f"{steps} steps of {1000 * seconds:.0f} ms, and {duration(evaluation)} to predict "
            f"{self._num_predicted()} images"
        )

    def _num_predicted(self) -> int:
        return sum(len(each.labels) for each in (self.images.test, *self.images.ood.values()))

    def _predictor(
        self, silent: bool = False
    ) -> Callable[[NDArray[np.uint8]], NDArray[np.float32]]:
        done, total = 0, self._num_predicted()

        def advance(count: int) -> None:
            nonlocal done
            done += count
            if not silent:
                self.reporter.evaluated(done, total)

        def predict_images(images: NDArray[np.uint8]) -> NDArray[np.float32]:
            network = self.trainer.network
            with autocast(self.plan.choice.recipe, self.device):
                return predict(network, images, self.mean, self.std, self.device, advance)

        return predict_images

    def _record(
        self, predictions: Predictions, metrics: dict[str, Any], evaluate_seconds: float
    ) -> Record:
        progress, plan = self.trainer.progress, self.plan
        records.write_history(self.folder, progress.history)
        weights = {
            name: tensor.cpu().contiguous()
            for name, tensor in self.trainer.network.state_dict().items()
        }
        content = safetensors_bytes(weights)
        digest = records.write_whole(
            self.folder / records.WEIGHTS, lambda file: file.write(content)
        )
        trained = plan.num_images * plan.choice.recipe.epochs
        departures = (*plan.departures, *self._missing_and_needed())
        return Record(
            **plan.configuration,
            status="custom" if departures else "protocol",
            departures=departures,
            label=plan.choice.label,
            data=self._data(),
            missing=self.images.missing_ood,
            metrics=metrics,
            predictions=records.write_predictions(self.folder, predictions),
            model=StoredFile(file=records.WEIGHTS, sha256=digest),
            cost=Cost(
                train_seconds=round(progress.seconds, 3),
                evaluate_seconds=round(evaluate_seconds, 3),
                images_per_second=round(trained / progress.seconds, 1),
                peak_memory_bytes=peak_memory_bytes(self.device),
                device=device_title(self.device),
            ),
            environment=describe_environment(self.device),
            started=self.started,
            finished=_now(),
        )

    def _missing_and_needed(self) -> list[str]:
        optional = self.plan.protocol.optional_ood
        needed = [name for name in self.images.missing_ood if name not in optional]
        return [f"OOD set {name} is missing" for name in needed]

    def _data(self) -> dict[str, ImagesUsed | None]:
        sets: dict[str, ImageSet | None] = {"fit": self.images.fit, "test": self.images.test}
        for name in self.plan.split.facts.ood:
            sets[f"ood.{name}"] = self.images.ood.get(name)
        return {name: _used(each) if each else None for name, each in sets.items()}


def _used(images: ImageSet) -> ImagesUsed:
    return ImagesUsed(images=len(images.labels), sha256=images.sha256(), official=images.official)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
