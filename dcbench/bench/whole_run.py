"""A whole run of a case's recipe: what its time goes to, from parts that were measured."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from dcbench.bench.cases import Content, Origin
from dcbench.config.base import Config
from dcbench.draws import stream
from dcbench.metrics.measure import Predictions, measure
from dcbench.records.checkpoint import Checkpoint
from dcbench.records.identity import Configuration, Identity
from dcbench.training.loop import save_interval

if TYPE_CHECKING:
    from dcbench.bench.fast import FastLoop

OOD_IMAGES = {"one": 26_000, "other": 10_000}
"""Predictions that the metrics are timed with, beside those of the test set."""


class Extras(Config):
    """Seconds of what a run does beside its steps and its predictions.

    Attributes
    ----------
    metrics : float
        All metrics of 10,000 test and 36,000 OOD predictions, once.
    checkpoint : float
        One checkpoint.
    """

    metrics: float
    checkpoint: float


def measure_extras(content: Content, source: Origin, loop: FastLoop) -> Extras:
    """Time the metrics and a checkpoint."""
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        Checkpoint(Path(folder), _identity(content)).write(loop.trainer.state())
        checkpoint = time.perf_counter() - began
    began = time.perf_counter()
    _metrics(content.num_classes, source.test_images, OOD_IMAGES)
    return Extras(metrics=time.perf_counter() - began, checkpoint=checkpoint)


def _identity(content: Content) -> Identity:
    """A name for the checkpoint, which takes as much room as that of a run."""
    configuration = Configuration(
        protocol="v1",
        split="bench",
        subset=0,
        index_sha256="",
        method=content.method.name,
        settings=content.method.settings,
        method_sha256=content.method.source_sha256,
        seed=0,
        recipe=content.recipe,
    )
    return Identity(configuration, content.label)


def _metrics(num_classes: int, test: int, ood: dict[str, int]) -> None:
    generator = stream(0, "bench-logits")

    def logits(count: int) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
        drawn: np.ndarray[tuple[int, int], np.dtype[np.float32]] = generator.normal(
            scale=3, size=(count, num_classes)
        ).astype(np.float32)
        return drawn

    predictions = Predictions(
        logits=logits(test),
        labels=np.arange(test) % num_classes,
        class_counts=np.full(num_classes, 50),
        ood={name: logits(count) for name, count in ood.items()},
    )
    measure(predictions, long_tailed=True, ood_sets=tuple(ood))


def run_shares(
    content: Content,
    source: Origin,
    step_seconds: float,
    step_shares: dict[str, float],
    evaluation_speed: float,
    extras: Extras,
) -> dict[str, float]:
    """The share of a run's time that goes to each thing but forward and backward passes.

    Parameters
    ----------
    step_shares
        Of a step.
    evaluation_speed
        Images per second.
    """
    recipe = content.recipe
    steps = recipe.epochs * -(-source.train_images // recipe.batch_size)
    training = steps * step_seconds
    predicted = source.test_images + source.ood_images
    seconds = {name: share * training for name, share in step_shares.items()}
    checkpoints = training // save_interval(extras.checkpoint) + 1
    seconds["checkpoints"] = checkpoints * extras.checkpoint
    seconds["evaluation"] = predicted / evaluation_speed
    seconds["metrics"] = extras.metrics
    whole = training + sum(seconds[name] for name in ("checkpoints", "evaluation", "metrics"))
    return {name: each / whole for name, each in seconds.items()}
