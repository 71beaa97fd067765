"""The training of one run: epochs of steps, and states to go on from.

A step is a function of (weights, batch, draws) alone, so a run that was killed goes on from its
checkpoint to the same weights, bit for bit on one machine.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from dcbench.config.recipe import Recipe
from dcbench.draws import Draws, draw_epoch, weights_seed
from dcbench.errors import RunError
from dcbench.methods import Method
from dcbench.models import build_model
from dcbench.records.schema import EpochSummary
from dcbench.training.augment import DeviceImages
from dcbench.training.precision import configure_precision
from dcbench.training.step import TrainStep

DIVERGED = 1e3
"""Mean loss of an epoch beyond which a run is given up; chance is below 15 for any method here."""


@dataclass
class Progress:
    """How far a run is: what a checkpoint holds beside the weights."""

    epoch: int = 0
    step: int = 0
    loss_sum: float = 0.0
    seconds: float = 0.0
    epoch_seconds: float = 0.0
    history: list[EpochSummary] = field(default_factory=list)


class StepDone(NamedTuple):
    """An event of a training: a step was taken, which a GPU may still be at work on."""


class EpochDone(NamedTuple):
    """An event of a training: an epoch is over."""

    summary: EpochSummary


Event = StepDone | EpochDone


class StepCost(NamedTuple):
    """What a training step costs.

    Attributes
    ----------
    seconds : float
    images : int
        Number of training images in the step.
    passed : int
        How many images went through the network: more, where a method also learns mixed ones.
    """

    seconds: float
    images: int
    passed: int


class Trainer:
    """One training run.

    Parameters
    ----------
    images : DeviceImages
        The training images, on the device.
    labels : int64 [N]
    num_classes : int
    method, recipe, seed
        What to train with; the seed decides the initial weights and every draw.
    capture : bool
        Take the steps of a method that allows it as CUDA graphs, where the device is a GPU.
    """

    def __init__(
        self,
        images: DeviceImages,
        labels: NDArray[np.int64],
        num_classes: int,
        method: Method,
        recipe: Recipe,
        seed: int,
        *,
        capture: bool = True,
    ) -> None:
        device = images.device
        configure_precision(recipe, device)
        self.device, self.method, self.recipe, self.seed = device, method, recipe, seed
        self.num_images, self.num_classes = len(labels), num_classes
        network = initial_network(recipe.model, num_classes, seed)
        self.network = network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        counts = np.bincount(labels, minlength=num_classes).astype(np.float32)
        self.train_step = TrainStep(
            self.network,
            images,
            torch.from_numpy(labels).to(device),
            torch.from_numpy(counts).to(device),
            method,
            recipe,
            capture=capture and method.capturable and device.type == "cuda",
        )
        self.progress = Progress()
        self._mark = time.monotonic()

    def begin_again(self, seed: int) -> None:
        """Become the run of another seed: as a new trainer, with what this one has captured."""
        self.seed, self.progress = seed, Progress()
        initial = initial_network(self.recipe.model, self.num_classes, seed)
        self.network.load_state_dict(initial.state_dict())
        for buffer in (*self.train_step.momentum, self.train_step.loss_sum):
            buffer.zero_()

    @property
    def steps_per_epoch(self) -> int:
        """Number of batches in an epoch, the short last one included."""
        return math.ceil(self.num_images / self.recipe.batch_size)

    def draws(self, epoch: int) -> Draws:
        """All draws of an epoch."""
        return draw_epoch(
            self.seed,
            epoch,
            self.num_images,
            self.recipe.batch_size,
            padding=self.recipe.padding,
            flip=self.recipe.flip,
            rotation=self.recipe.rotation,
            mixing=self.method.mixing,
        )

    def load(self, epoch: int, step: int = 0, draws: Draws | None = None) -> None:
        """Get ready for step `step` of an epoch; the draws are made unless they are given."""
        first = epoch * self.steps_per_epoch
        rates = [self._rate(first + number) for number in range(self.steps_per_epoch)]
        self.train_step.load(draws or self.draws(epoch), np.array(rates), step)

    def _rate(self, step: int) -> float:
        return self.recipe.learning_rate_at(step, self.steps_per_epoch)

    def size_of(self, step: int) -> int:
        """Number of images in a batch of an epoch."""
        return min(self.recipe.batch_size, self.num_images - step * self.recipe.batch_size)

    def events(self) -> Iterator[Event]:
        """Train from wherever the progress stands to the last epoch, step by step.

        What is done between two events counts as time of the training, unless it is done within
        `paused`.

        Raises
        ------
        RunError
            The loss is not a number, or beyond `DIVERGED`.
        """
        self.network.train()
        progress = self.progress
        self._mark = time.monotonic()
        draws = self.draws(progress.epoch)
        while progress.epoch < self.recipe.epochs:
            self.load(progress.epoch, progress.step, draws)
            while progress.step < self.steps_per_epoch:
                self.train_step.advance(self.size_of(progress.step))
                progress.step += 1
                yield StepDone()
            draws = self.draws(progress.epoch + 1)  # while a GPU is at work on this epoch
            self._close_epoch()
            yield EpochDone(progress.history[-1])

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """What is done within does not count as time of the training."""
        self._account()
        yield
        self._mark = time.monotonic()

    def _account(self) -> None:
        """Bring the sums of the progress up to date; waits for the device."""
        progress = self.progress
        progress.loss_sum = self.train_step.loss_sum.item()
        now = time.monotonic()
        progress.seconds += now - self._mark
        progress.epoch_seconds += now - self._mark
        self._mark = now

    def _close_epoch(self) -> None:
        self._account()
        progress = self.progress
        loss = progress.loss_sum / self.num_images
        if not abs(loss) < DIVERGED:
            raise RunError(
                f"training has diverged: the loss is {loss:g} in epoch {progress.epoch} of "
                f"{self.recipe.epochs}; try a smaller learning_rate than "
                f"{self.recipe.learning_rate:g}"
            )
        rate = self._rate((progress.epoch + 1) * self.steps_per_epoch - 1)
        progress.history.append(EpochSummary(progress.epoch, loss, rate, progress.epoch_seconds))
        progress.epoch, progress.step = progress.epoch + 1, 0
        progress.loss_sum, progress.epoch_seconds = 0.0, 0.0
        self.train_step.loss_sum.zero_()

    def state(self) -> dict[str, Any]:
        """Everything that a run needs to go on from here, as tensors and plain values."""
        self._account()
        history = [tuple(row) for row in self.progress.history]
        return {
            "network": self.network.state_dict(),
            "momentum": self.train_step.momentum,
            "progress": {**vars(self.progress), "history": history},
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go back, or on, to a state."""
        self.network.load_state_dict(state["network"])
        for buffer, stored in zip(self.train_step.momentum, state["momentum"], strict=True):
            buffer.copy_(stored)
        history = [EpochSummary(*row) for row in state["progress"]["history"]]
        self.progress = Progress(**{**state["progress"], "history": history})
        self.train_step.loss_sum.fill_(self.progress.loss_sum)

    def measure_step(self, steps: int = 3) -> StepCost:
        """What a step costs on this device; the run is left as it was."""
        self.network.train()
        self.load(epoch=0)
        passed = 0

        def count(network: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            nonlocal passed
            passed += len(inputs[0])

        size, times = self.size_of(0), []
        with self.train_step.preserved():
            hook = self.network.register_forward_pre_hook(count)
            self.train_step.take(size)
            hook.remove()
            for _ in range(steps + 1):
                self.train_step.rewind()
                started = time.perf_counter()
                self.train_step.advance(size)
                self.train_step.loss_sum.item()
                times.append(time.perf_counter() - started)
        return StepCost(seconds=min(times[1:]), images=size, passed=passed)


def initial_network(model: str, num_classes: int, seed: int) -> nn.Module:
    """A network with the initial weights of a seed: the same on every device."""
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(weights_seed(seed))
        return build_model(model, num_classes)
