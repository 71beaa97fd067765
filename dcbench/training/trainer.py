"""The training of one run: epochs of steps, and states to go on from.

A step is a function of (weights, batch, draws) alone, so a run that was killed goes on from its
checkpoint to the same weights, bit for bit on one machine.
"""

from __future__ import annotations

import bisect
import contextlib
import math
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from dcbench.config.recipe import Recipe
from dcbench.draws import Draws, draw_epoch
from dcbench.errors import RunError
from dcbench.methods import Method
from dcbench.methods.base import Task
from dcbench.methods.failures import named
from dcbench.records.schema import EpochSummary
from dcbench.training.augment import DeviceImages
from dcbench.training.generators import draws_noted
from dcbench.training.initial import initial_weights
from dcbench.training.position import Position
from dcbench.training.precision import configure_precision
from dcbench.training.stages import check_modules, new_network, set_modes, stages_of
from dcbench.training.step import TrainStep

HIGHEST_LOSS = 1e3
"""Mean loss of an epoch beyond which a run is given up; chance is below 15 for any method here."""


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
    compiled : bool
        Compile the network's passes, where the method allows it.
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
        compiled: bool = False,
    ) -> None:
        self.device, self.method, self.recipe, self.seed = images.device, method, recipe, seed
        self.num_images, self.num_classes = len(labels), num_classes
        counts = np.bincount(labels, minlength=num_classes)
        self._task = Task(images.image_size, tuple(map(int, counts)))
        self._images, self._labels = images, labels
        self._capture = capture and method.capturable and self.device.type == "cuda"
        self.compiled = compiled and method.compilable
        self.progress = Position()
        with draws_noted(self.progress.global_draws, self.device):
            self.stages = stages_of(method, recipe)
        network = self._new_network()
        check_modules(self.stages, network, method)
        self.network = network.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._learning = [each for each in self.network.parameters() if each.requires_grad]
        self.train_step = self._new_step()
        self._mark = time.monotonic()

    def _new_network(self) -> nn.Module:
        """A network with the initial weights, which are noted, in a process set up for it."""
        configure_precision(self.recipe, self.device)
        network = self._drawn_network()
        with named(self.method):
            self.initial = initial_weights(network)
        return network

    def _drawn_network(self, stage: int = 0) -> nn.Module:
        """A network with the weights that the seed gives it in a stage."""
        recipe, drawn = self.stages[stage].recipe, self.progress.global_draws
        return new_network(self.method, recipe, self._task, self.seed, stage=stage, drawn=drawn)

    def _new_step(self) -> TrainStep:
        """The step of the stage that the progress names, over the parameters that learn in it."""
        counts = np.array(self._task.class_counts, dtype=np.float32)
        return TrainStep(
            self.network,
            self._images,
            torch.from_numpy(self._labels).to(self.device),
            torch.from_numpy(counts).to(self.device),
            self.method,
            self.stages[self.progress.stage].recipe,
            capture=self._capture,
            compiled=self.compiled,
        )

    def begin_again(self, seed: int) -> None:
        """Become the run of another seed: as a new trainer, with what this one has captured.

        For a network whose state is all in its `state_dict`.
        """
        self.seed, self.progress = seed, Position()
        self.network.load_state_dict(self._new_network().state_dict())
        for buffer in (*self.train_step.momentum, self.train_step.loss_sum):
            buffer.zero_()

    @property
    def epochs(self) -> int:
        """Number of epochs of all stages."""
        return self.stages[-1].end

    @property
    def steps_per_epoch(self) -> int:
        """Number of batches in an epoch, the short last one included."""
        batch_size = self.stages[self.progress.stage].recipe.batch_size
        return math.ceil(self.num_images / batch_size)

    def _stage_at(self, epoch: int) -> int:
        """The number of the stage that an epoch belongs to; the last one for what comes after."""
        ends = [stage.end for stage in self.stages]
        return min(bisect.bisect_right(ends, epoch), len(ends) - 1)

    def draws(self, epoch: int) -> Draws:
        """All draws of an epoch."""
        stage = self.stages[self._stage_at(epoch)]
        recipe, method = stage.recipe, self.method
        with named(method), draws_noted(self.progress.global_draws, self.device):
            return draw_epoch(
                self.seed,
                epoch,
                self.num_images,
                recipe.batch_size,
                padding=recipe.padding,
                flip=recipe.flip,
                rotation=recipe.rotation,
                mixing=method.mixing,
                laws=method.draws,
                owner=method.family or method.name,
                balanced=self._labels if stage.order == "class-balanced" else None,
            )

    def load(self, epoch: int, step: int = 0, draws: Draws | None = None) -> None:
        """Get ready for step `step` of an epoch; the draws are made unless they are given."""
        stage, steps = self.stages[self.progress.stage], self.steps_per_epoch
        first = (epoch - stage.begin) * steps
        self.train_step.load(
            draws or self.draws(epoch),
            np.array([stage.recipe.learning_rate_at(first + each, steps) for each in range(steps)]),
            step,
            epoch=epoch,
            progress=(np.arange(first, first + steps) / (stage.recipe.epochs * steps)).astype("f4"),
        )

    def _enter(self, number: int) -> None:
        """Begin another stage: what it freezes is frozen, what it resets has new weights."""
        stage = self.stages[number]
        self.progress.stage = number
        if stage.reset:
            # Built whole: what is reset then has the initial law that its network gives it.
            fresh = self._drawn_network(number)
            for name in stage.reset:
                weights = fresh.get_submodule(name).state_dict()
                self.network.get_submodule(name).load_state_dict(weights)
        # Else they would count in what a method makes of all gradients, but not in a resumed run.
        self.train_step.optimizer.zero_grad()
        self._set_modes()
        self.train_step = self._new_step()

    def _set_modes(self) -> None:
        set_modes(self.network, self.stages[self.progress.stage], self._learning)

    def size_of(self, step: int) -> int:
        """Number of images in a batch of an epoch."""
        batch_size = self.stages[self.progress.stage].recipe.batch_size
        return min(batch_size, self.num_images - step * batch_size)

    def events(self, until: int | None = None) -> Iterator[Event]:
        """Train from wherever the progress stands to the last epoch, step by step.

        With `until`, to that epoch; another call goes on from there.

        What is done between two events counts as time of the training, unless it is done within
        `paused`.

        Raises
        ------
        RunError
            The loss is not a number, or beyond `HIGHEST_LOSS`.
        """
        progress = self.progress
        self._mark = time.monotonic()
        self._set_modes()
        draws = self.draws(progress.epoch)
        last = self.epochs if until is None else min(until, self.epochs)
        while progress.epoch < last:
            if self._stage_at(progress.epoch) != progress.stage:
                self._enter(self._stage_at(progress.epoch))
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
        progress.global_draws |= self.train_step.global_draws
        now = time.monotonic()
        progress.seconds += now - self._mark
        progress.epoch_seconds += now - self._mark
        self._mark = now

    def _close_epoch(self) -> None:
        self._account()
        progress = self.progress
        loss = progress.loss_sum / self.num_images
        if not abs(loss) < HIGHEST_LOSS:
            raise RunError(self._why_given_up(loss))
        stage, steps = self.stages[progress.stage], self.steps_per_epoch
        rate = stage.recipe.learning_rate_at((progress.epoch + 1 - stage.begin) * steps - 1, steps)
        progress.history.append(EpochSummary(progress.epoch, loss, rate, progress.epoch_seconds))
        progress.epoch, progress.step = progress.epoch + 1, 0
        progress.loss_sum, progress.epoch_seconds = 0.0, 0.0
        self.train_step.loss_sum.zero_()

    def _why_given_up(self, loss: float) -> str:
        where = f"in epoch {self.progress.epoch} of {self.epochs}"
        advice = f"try a smaller learning_rate than {self.recipe.learning_rate:g}"
        if math.isfinite(loss):
            return (
                f"the loss is high: {loss:g} {where}, and a run is given up beyond "
                f"{HIGHEST_LOSS:g}; {advice}, or a loss that is a mean over the images"
            )
        return f"training has diverged: the loss is {loss:g} {where}; {advice}"

    def state(self) -> dict[str, Any]:
        """Everything that a run needs to go on from here, as tensors and plain values."""
        self._account()
        return {
            "network": self.network.state_dict(),
            "momentum": self.train_step.momentum,
            "progress": self.progress.plain(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go back, or on, to a state."""
        self.progress.stage = state["progress"].get("stage", 0)
        if self.progress.stage:
            self._set_modes()
            self.train_step = self._new_step()
        self.network.load_state_dict(state["network"])
        for buffer, stored in zip(self.train_step.momentum, state["momentum"], strict=True):
            buffer.copy_(stored)
        drawn, self.progress = self.progress.global_draws, Position.from_plain(state["progress"])
        self.progress.global_draws |= drawn  # by this network, where an earlier version noted none
        self.train_step.loss_sum.fill_(self.progress.loss_sum)

    def measure_step(self, steps: int = 3) -> StepCost:
        """What a step costs on this device; the run is left as it was."""
        self._set_modes()
        self.load(epoch=self.stages[self.progress.stage].begin)
        passed = 0

        def count(network: nn.Module, args: Any, kwargs: dict[str, Any]) -> None:
            nonlocal passed
            passed += len([*args, *kwargs.values()][0])

        size, times = self.size_of(0), []
        with self.train_step.preserved():
            hook = self.network.register_forward_pre_hook(count, with_kwargs=True)
            self.train_step.take(size)
            hook.remove()
            for _ in range(steps + 1):
                self.train_step.rewind()
                started = time.perf_counter()
                self.train_step.advance(size)
                self.train_step.loss_sum.item()
                times.append(time.perf_counter() - started)
        return StepCost(seconds=min(times[1:]), images=size, passed=passed)
