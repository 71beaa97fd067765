"""The loop: draws, batches, the method's loss, a step; and checkpoints to go on from.

A step is a function of (weights, batch, draws) alone, so a run that was killed goes on from its
checkpoint to the same weights, bit for bit on one machine.
"""

from __future__ import annotations

import contextlib
import copy
import math
import os
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from dcbench.data.augment import DeviceImages
from dcbench.draws import Draws, draw_epoch, weights_seed
from dcbench.errors import RunError
from dcbench.methods import Batch, Method
from dcbench.models import build_model
from dcbench.recipe import Recipe

DIVERGED = 1e3
"""Mean loss of an epoch beyond which a run is given up; chance is below 15 for any method here."""


class EpochSummary(NamedTuple):
    """A row of a run's history."""

    epoch: int
    loss: float
    learning_rate: float
    seconds: float


@dataclass
class Progress:
    """How far a run is: what a checkpoint holds beside the weights."""

    epoch: int = 0
    step: int = 0
    loss_sum: float = 0.0
    seconds: float = 0.0
    epoch_seconds: float = 0.0
    history: list[EpochSummary] = field(default_factory=list)


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
    """

    def __init__(
        self,
        images: DeviceImages,
        labels: NDArray[np.int64],
        num_classes: int,
        method: Method,
        recipe: Recipe,
        seed: int,
    ) -> None:
        device = images.device
        configure_precision(recipe, device)
        self.images, self.method, self.recipe, self.seed = images, method, recipe, seed
        self.labels = torch.from_numpy(labels).to(device)
        counts = np.bincount(labels, minlength=num_classes).astype(np.float32)
        self.class_counts = torch.from_numpy(counts).to(device)
        network = initial_network(recipe.model, num_classes, seed)
        self.network = network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.optimiser = initial_optimiser(self.network, recipe)
        self.progress = Progress()
        self._loss_sum = torch.zeros((), dtype=torch.float64, device=device)
        self._mark = time.monotonic()

    @property
    def steps_per_epoch(self) -> int:
        """Number of batches in an epoch, the short last one included."""
        return math.ceil(len(self.labels) / self.recipe.batch_size)

    def draws(self, epoch: int) -> Draws:
        """All draws of an epoch."""
        return draw_epoch(
            self.seed,
            epoch,
            len(self.labels),
            self.recipe.batch_size,
            padding=self.recipe.padding,
            flip=self.recipe.flip,
            rotation=self.recipe.rotation,
            mixing=self.method.mixing,
        )

    def step(self, draws: Draws, learning_rate: float) -> Tensor:
        """Take one step and return its loss, detached, on the device."""
        device = self.images.device
        batch = Batch(
            images=self.images.batch(draws),
            labels=self.labels[torch.from_numpy(draws.order).to(device)],
            partners=torch.from_numpy(draws.partners).to(device),
            coefficients=torch.from_numpy(draws.coefficients).to(device),
            class_counts=self.class_counts,
        )
        for group in self.optimiser.param_groups:
            group["lr"] = learning_rate
        with autocast(self.recipe, device):
            loss = self._loss(batch)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimiser.step()
        return loss.detach()

    def _loss(self, batch: Batch) -> Tensor:
        """The method's loss; what a method of a stranger does wrong is told by its name."""
        try:
            loss = self.method.loss(self.network, batch)
        except Exception as problem:
            kind = type(problem).__name__
            raise RunError(f"method {self.method.name}: {kind}: {problem}") from problem
        if not isinstance(loss, Tensor) or loss.numel() != 1 or not loss.requires_grad:
            raise RunError(
                f"method {self.method.name}: loss(network, batch) should be a scalar tensor that "
                "depends on the weights"
            )
        return loss

    def train(
        self,
        *,
        save: Callable[[dict[str, Any]], None] | None = None,
        save_every: float = 30.0,
        report: Callable[[Progress], None] = lambda progress: None,
    ) -> None:
        """Train from wherever the progress stands to the last epoch.

        Parameters
        ----------
        save
            Called with `state()` after a step, at most every `save_every` seconds, when the run is
            interrupted by SIGINT or SIGTERM, and at the end.
        report
            Called at the start and after each epoch.

        Raises
        ------
        RunError
            The loss is not a number, or beyond `DIVERGED`.
        KeyboardInterrupt
            Interrupted; the state has been saved.
        """
        self.network.train()
        report(self.progress)
        self._mark = last_save = time.monotonic()
        with StopSignal() as stop:
            while self.progress.epoch < self.recipe.epochs:
                draws = self.draws(self.progress.epoch)
                for batch in draws.batches(self.recipe.batch_size, self.progress.step):
                    self._advance(batch)
                    due = stop.asked or time.monotonic() - last_save >= save_every
                    if save is not None and due:
                        save(self.state())
                        self._mark = last_save = time.monotonic()
                    if stop.asked:
                        raise KeyboardInterrupt
                self._close_epoch()
                report(self.progress)
        if save is not None:
            save(self.state())

    def _advance(self, draws: Draws) -> None:
        loss = self.step(draws, self._learning_rate())
        self._loss_sum += loss.double() * len(draws.order)
        self.progress.step += 1

    def _learning_rate(self, steps_back: int = 0) -> float:
        done = self.progress.epoch * self.steps_per_epoch + self.progress.step
        return self.recipe.learning_rate_at(done - steps_back, self.steps_per_epoch)

    def _account(self) -> None:
        """Bring the sums of the progress up to date; waits for the device."""
        progress = self.progress
        progress.loss_sum = self._loss_sum.item()
        now = time.monotonic()
        progress.seconds += now - self._mark
        progress.epoch_seconds += now - self._mark
        self._mark = now

    def _close_epoch(self) -> None:
        self._account()
        progress = self.progress
        loss = progress.loss_sum / len(self.labels)
        if not abs(loss) < DIVERGED:
            raise RunError(
                f"training has diverged: the loss is {loss:g} in epoch {progress.epoch} of "
                f"{self.recipe.epochs}; try a smaller learning_rate than "
                f"{self.recipe.learning_rate:g}"
            )
        rate = self._learning_rate(steps_back=1)
        progress.history.append(EpochSummary(progress.epoch, loss, rate, progress.epoch_seconds))
        progress.epoch, progress.step = progress.epoch + 1, 0
        progress.loss_sum, progress.epoch_seconds = 0.0, 0.0
        self._loss_sum.zero_()

    def state(self) -> dict[str, Any]:
        """Everything that a run needs to go on from here, as tensors and plain values."""
        self._account()
        history = [tuple(row) for row in self.progress.history]
        return {
            "network": self.network.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "progress": {**vars(self.progress), "history": history},
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go back, or on, to a state."""
        self.network.load_state_dict(state["network"])
        self.optimiser.load_state_dict(state["optimiser"])
        history = [EpochSummary(*row) for row in state["progress"]["history"]]
        self.progress = Progress(**{**state["progress"], "history": history})
        self._loss_sum.fill_(self.progress.loss_sum)

    def measure_step(self, steps: int = 3) -> float:
        """Seconds that a step takes on this device; the run is left as it was."""
        self._mark = time.monotonic()
        before = copy.deepcopy(self.state())
        self.network.train()
        batch = next(self.draws(self.progress.epoch).batches(self.recipe.batch_size))
        times = []
        for _ in range(steps + 1):
            started = time.perf_counter()
            self.step(batch, 0.0).item()
            times.append(time.perf_counter() - started)
        self.restore(before)
        return min(times[1:])


def initial_network(model: str, num_classes: int, seed: int) -> nn.Module:
    """A network with the initial weights of a seed: the same on every device."""
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(weights_seed(seed))
        return build_model(model, num_classes)


def initial_optimiser(network: nn.Module, recipe: Recipe) -> torch.optim.SGD:
    """The recipe's SGD over every parameter of a network."""
    return torch.optim.SGD(
        network.parameters(),
        lr=recipe.learning_rate,
        momentum=recipe.momentum,
        nesterov=recipe.nesterov,
        weight_decay=recipe.weight_decay,
    )


def configure_precision(recipe: Recipe, device: torch.device) -> None:
    """Set the process up for the recipe's arithmetic, and for the same result every time."""
    if device.type != "cuda":
        return
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.backends.cudnn.benchmark = False
    torch.backends.cuda.matmul.allow_tf32 = recipe.precision == "tf32"
    torch.backends.cudnn.allow_tf32 = recipe.precision == "tf32"


def autocast(recipe: Recipe, device: torch.device) -> contextlib.AbstractContextManager[Any]:
    """The context that forward passes run in under the recipe's precision."""
    return torch.autocast(device.type, torch.bfloat16, enabled=recipe.precision == "bf16")


class StopSignal:
    """Turns the first SIGINT or SIGTERM into a wish that the loop grants between two steps.

    A second one ends the process as it would without this. Outside the main thread, where Python
    takes no signals, nothing is changed.
    """

    def __init__(self) -> None:
        self.asked = False
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._previous[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *exception: object) -> None:
        self._give_back()

    def _note(self, number: int, frame: object) -> None:
        self.asked = True
        self._give_back()

    def _give_back(self) -> None:
        while self._previous:
            signal.signal(*self._previous.popitem())
