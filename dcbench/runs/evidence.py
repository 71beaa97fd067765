"""What stored weights say of a run: whether they give its logits, and the seed their beginning."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dcbench.data.catalogue import get_dataset
from dcbench.data.load import SplitImages, load_images
from dcbench.data.parts import Source
from dcbench.data.splits import load_split
from dcbench.errors import DataError, DcbenchError
from dcbench.methods import build_method
from dcbench.methods.base import Task
from dcbench.records.files import read_predictions
from dcbench.records.schema import Record
from dcbench.runs.trained import load_network
from dcbench.training.initial import agree, initial_weights
from dcbench.training.stages import new_network

SAMPLE = 100
"""Images of each set that are predicted again."""

TOLERANCE = 0.05
"""Largest difference of a logit, beside the root mean square of the set's; TF32 gives 0.01."""


class WeightsCheck:
    """Predicts some images of runs again; runs of one split that follow one another share them.

    Parameters
    ----------
    images : int
        Of each set; which ones is drawn anew for each run, so that nobody can know.
    """

    def __init__(self, source: Source, images: int = SAMPLE) -> None:
        self.source, self.images = source.taking_unverified(), images
        self._generator = np.random.default_rng()
        self._loaded: tuple[tuple[str, int, str], SplitImages] | None = None

    def __call__(self, folder: Path, record: Record) -> list[str]:
        """What the weights in a run's folder say against its record, one line each.

        Raises
        ------
        DataError
            The test images are not there.
        """
        if ".py:" in record.method or ".py:" in record.recipe.model:
            return ["its weights are of a network in a file, and files that are sent are not run"]
        images = self._images_of(record)
        try:
            return [*_initial_problems(record), *self._logit_problems(folder, record, images)]
        except DcbenchError as problem:
            return [str(problem)]

    def _images_of(self, record: Record) -> SplitImages:
        key = (record.split, record.subset, record.recipe.fit)
        if self._loaded is None or self._loaded[0] != key:
            split = load_split(record.split, record.subset)
            self._loaded = (key, load_images(split, self.source, fit=record.recipe.fit))
        return self._loaded[1]

    def _logit_problems(self, folder: Path, record: Record, images: SplitImages) -> list[str]:
        predictions = read_predictions(folder, record)
        network = load_network(folder, "cpu")
        sets = {"test": (images.test.images, predictions.logits)}
        for name, found in images.ood.items():
            if name in predictions.ood:
                sets[name] = (found.images, predictions.ood[name])
        problems = []
        for name, (pixels, stored) in sets.items():
            if len(pixels) != len(stored):
                raise DataError(f"{name}: {len(stored)} predictions of {len(pixels)} images")
            count = min(self.images, len(pixels))
            rows = np.sort(self._generator.choice(len(pixels), count, replace=False))
            apart = _most_apart(network.predict(pixels[rows]), stored, rows)
            if apart > TOLERANCE:
                problems.append(
                    f"{name} images: the weights give other logits: of {count} images, one is "
                    f"{apart:.2g} of their usual size away; at most {TOLERANCE:g} is rounding"
                )
        return problems


def _most_apart(
    again: NDArray[np.float32], stored: NDArray[np.float32], rows: NDArray[np.int64]
) -> float:
    """Largest difference of a logit, beside the root mean square of all that are stored."""
    scale = float(np.sqrt(np.mean(np.square(stored, dtype=np.float64))))
    return float(np.abs(again - stored[rows]).max()) / max(scale, 1e-12)


def _initial_problems(record: Record) -> list[str]:
    if record.initial_weights is None:
        return []
    method = build_method(record.method, record.settings)
    split = load_split(record.split, record.subset)
    counts = tuple(split.counts_of(record.recipe.fit))
    task = Task(get_dataset(split.config.dataset).image_size, counts)
    drawn = initial_weights(new_network(method, record.recipe, task, record.seed))
    if agree(drawn, record.initial_weights):
        return []
    return [f"its initial weights are not those that seed {record.seed} gives"]
