"""Where runs are done: the images and the device, and what one run leaves for the next."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from dcbench.config.recipe import Recipe
from dcbench.data.load import SplitImages, load_images
from dcbench.data.splits import load_split
from dcbench.runs.cost import matmul_speed
from dcbench.runs.plan import Plan
from dcbench.training.augment import DeviceImages, normalization_statistics
from dcbench.training.trainer import Trainer


@dataclass(frozen=True)
class DeviceData:
    """The images of a plan, on the host and on the device.

    Attributes
    ----------
    mean, std : float32 [3]
        What the recipe normalizes by.
    """

    images: SplitImages
    on_device: DeviceImages
    mean: NDArray[np.float32]
    std: NDArray[np.float32]


class Session:
    """A device with images; runs that follow one another share what can be shared.

    Parameters
    ----------
    data : Path
        The data folder.
    allow_unverified : bool
        Take image files whose checksum is not the official one.
    """

    def __init__(self, data: Path, device: torch.device, *, allow_unverified: bool = False) -> None:
        self.device = device
        self._data, self._allow_unverified = data, allow_unverified
        self._material: tuple[Any, DeviceData] | None = None
        self._spare: tuple[Any, list[Trainer]] = (None, [])
        self._ceilings: dict[str, float] = {}

    def material(self, plan: Plan) -> DeviceData:
        """The images of a plan; those of the last plan are kept."""
        recipe, split = plan.choice.recipe, plan.split
        asked = (split.name, split.subset, recipe.fit)
        key = (*asked, recipe.normalization, recipe.padding, recipe.border)
        if self._material is None or self._material[0] != key:
            self._material = None
            images = _load(*asked, self._data, self._allow_unverified)
            mean, std = normalization_statistics(recipe.normalization, images.fit.images)
            on_device = DeviceImages(
                images.fit.images,
                mean=mean,
                std=std,
                device=self.device,
                padding=recipe.padding,
                border=recipe.border,
            )
            self._material = (key, DeviceData(images, on_device, mean, std))
        return self._material[1]

    def trainer(self, plan: Plan) -> Trainer:
        """A trainer for a plan: one that another seed has left, or a new one."""
        key, spare = self._spare
        if key == _work_of(plan) and spare:
            trainer = spare.pop()
            trainer.begin_again(plan.seed)
            return trainer
        material, choice = self.material(plan), plan.choice
        return Trainer(
            material.on_device,
            material.images.fit.labels,
            plan.split.num_classes,
            choice.method,
            choice.recipe,
            plan.seed,
        )

    def give_back(self, plan: Plan, trainer: Trainer) -> None:
        """Leave a trainer whose run is recorded for another seed of the same work."""
        if not plan.choice.method.capturable:
            return
        key = _work_of(plan)
        if self._spare[0] != key:
            self._spare = (key, [])
        self._spare[1].append(trainer)

    def ceiling(self, recipe: Recipe) -> float:
        """FLOP per second of a large matrix product here, in the recipe's precision."""
        if recipe.precision not in self._ceilings:
            self._ceilings[recipe.precision] = matmul_speed(recipe, self.device)
        return self._ceilings[recipe.precision]


def _work_of(plan: Plan) -> tuple[Any, ...]:
    """What two plans have in common that differ in the seed alone."""
    return plan.split.name, plan.split.subset, plan.choice.method, plan.choice.recipe


@functools.lru_cache(maxsize=1)
def _load(split: str, subset: int, fit: Any, data: Path, allow_unverified: bool) -> SplitImages:
    return load_images(load_split(split, subset), data, fit=fit, allow_unverified=allow_unverified)
