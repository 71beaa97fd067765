"""A device with images; runs that follow one another share what can be shared."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from dcbench.config.recipe import Recipe
from dcbench.data.load import SplitImages, load_images
from dcbench.data.parts import Source
from dcbench.methods import is_own as is_own_method
from dcbench.models.registry import is_own as is_own_network
from dcbench.runs.ceiling import matmul_speed
from dcbench.runs.machine import threads_set
from dcbench.runs.plan import Plan
from dcbench.training.augment import DeviceImages, normalization_statistics
from dcbench.training.compiled import prepare_compilation
from dcbench.training.trainer import Trainer

Found = TypeVar("Found")

_log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
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

    @property
    def num_predicted(self) -> int:
        """Number of test and OOD images."""
        images = self.images
        return sum(len(each.labels) for each in (images.test, *images.ood.values()))


class Session:
    """Keeps what one run leaves for the next: images, captured steps, measured ceilings.

    Parameters
    ----------
    threads : int, optional
        Of a CPU; where none are asked for, each run has those of its protocol.
    compiled : bool
        Compile the networks' passes, on a CPU.
    load : callable
        How the images of a split are read: all of them, or those to tune on alone.

    Raises
    ------
    UsageError
        Nothing can be compiled here.
    """

    def __init__(
        self,
        source: Source,
        device: torch.device,
        threads: int | None = None,
        *,
        compiled: bool = False,
        load: Callable[..., SplitImages] = load_images,
    ) -> None:
        if compiled:
            prepare_compilation(device)
        self.source, self.device, self.compiled = source, device, compiled
        self._load = load
        self._threads = threads
        self._images: tuple[Any, SplitImages] | None = None
        self._data: tuple[Any, DeviceData] | None = None
        self._spare: tuple[Any, list[Trainer]] = (None, [])
        self._ceilings: dict[str, float] = {}
        self._known: dict[tuple[str, str], Any] = {}
        self._said: set[str] = set()

    def say_once(self, text: str) -> None:
        """Log what would be said of each of its runs."""
        if text not in self._said:
            self._said.add(text)
            _log.info("%s", text)

    def threads_of(self, plan: Plan) -> contextlib.AbstractContextManager[None]:
        """A context in which PyTorch has the threads of a plan's run."""
        return threads_set(self.device, self._threads or plan.threads)

    def data(self, plan: Plan) -> DeviceData:
        """The images of a plan; those of the last plan are kept."""
        recipe, split = plan.choice.recipe, plan.split
        chosen = (*_of_split(plan), recipe.fit)
        key = (*chosen, recipe.normalization, recipe.padding, recipe.border)
        if self._data is None or self._data[0] != key:
            self._data = None  # before the next ones are read: both may not fit
            if self._images is None or self._images[0] != chosen:
                self._images = None
                self._images = (chosen, self._load(split, self.source, fit=recipe.fit))
            images = self._images[1]
            mean, std = normalization_statistics(recipe.normalization, images.fit.images)
            on_device = DeviceImages(
                images.fit.images,
                mean=mean,
                std=std,
                device=self.device,
                padding=recipe.padding,
                border=recipe.border,
            )
            self._data = (key, DeviceData(images, on_device, mean, std))
        return self._data[1]

    def trainer(self, plan: Plan) -> Trainer:
        """A trainer for a plan: one that another seed has left, or a new one."""
        key, spare = self._spare
        if key == _all_but_seed(plan) and spare:
            trainer = spare.pop()
            trainer.begin_again(plan.seed)
            return trainer
        data, choice = self.data(plan), plan.choice
        if self.compiled and not choice.method.compilable:
            _log.info("%s cannot be compiled, and is trained without", choice.label)
        return Trainer(
            data.on_device,
            data.images.fit.labels,
            plan.split.num_classes,
            choice.method,
            choice.recipe,
            plan.seed,
            compiled=self.compiled,
        )

    def give_back(self, plan: Plan, trainer: Trainer) -> None:
        """Leave a trainer whose run is recorded for another seed of the same plan.

        None of third-party code, which may keep state that no seed sets back.
        """
        method = plan.choice.method
        if not method.capturable or method.stages:
            return
        if not (is_own_method(method.name) and is_own_network(plan.choice.recipe.model)):
            return
        key = _all_but_seed(plan)
        if self._spare[0] != key:
            self._spare = (key, [])
        self._spare[1].append(trainer)

    def known(self, plan: Plan, what: str, find: Callable[[], Found]) -> Found:
        """What is the same for all runs of a kind: found for the first of them."""
        key = (plan.kind, what)
        if key not in self._known:
            self._known[key] = find()
        found: Found = self._known[key]
        return found

    def ceiling(self, recipe: Recipe) -> float:
        """FLOP per second of a large matrix product here, in the recipe's precision."""
        if recipe.precision not in self._ceilings:
            self._ceilings[recipe.precision] = matmul_speed(recipe, self.device)
        return self._ceilings[recipe.precision]


def _all_but_seed(plan: Plan) -> tuple[Any, ...]:
    choice = plan.choice
    return (*_of_split(plan), choice.method, choice.recipe, choice.network)


def _of_split(plan: Plan) -> tuple[Any, ...]:
    """What decides the images of a plan: splits of one's own may share a name."""
    return plan.split.path, plan.split.subset, plan.split.hashes
