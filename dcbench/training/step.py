"""A training step as a pure function of tensors that stay where they are.

The draws of an epoch are uploaded at once, and a step finds its own rows by a counter on the
device, so that it needs nothing from the host. On a GPU the whole step (augment, mix, forward,
loss, backward, update) is captured once as a CUDA graph and replayed; elsewhere the same function
is called.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from dcbench.config.recipe import Recipe
from dcbench.draws import Draws
from dcbench.errors import RunError
from dcbench.methods import Batch, Method
from dcbench.methods.failures import named
from dcbench.training.augment import DeviceImages
from dcbench.training.compiled import CompiledPasses
from dcbench.training.generators import draws_noted
from dcbench.training.precision import autocast
from dcbench.training.sgd import SGD

_WARM_UP_STEPS = 3
"""Steps before a capture, in which the libraries choose and allocate what they need."""


class TrainStep:
    """Takes the steps of one training.

    Parameters
    ----------
    network : nn.Module
        On the device, in training mode while steps are taken.
    images : DeviceImages
        The training images.
    labels : int64 [N]
        On the device.
    class_counts : float32 [classes]
        On the device.
    capture : bool
        Capture steps as CUDA graphs; for a CUDA device only.
    compiled : bool
        Compile the network's passes over full batches.

    Attributes
    ----------
    loss_sum : float64 []
        Sum over images of the losses since it was last set to zero.
    rate : float []
        The learning rate of the last step.
    global_draws : set of str
        The process's generators (torch, numpy, random) that a step has drawn from.
    """

    def __init__(
        self,
        network: nn.Module,
        images: DeviceImages,
        labels: Tensor,
        class_counts: Tensor,
        method: Method,
        recipe: Recipe,
        *,
        capture: bool,
        compiled: bool = False,
    ) -> None:
        self._network, self._images, self._method, self._recipe = network, images, method, recipe
        self._labels, self._class_counts = labels, class_counts
        self._device = images.device
        self._on_gpu = self._device.type == "cuda"
        self.rate = self._zero(torch.float32 if self._on_gpu else torch.float64)
        self.optimizer = SGD(network, recipe, self.rate, fused=self._on_gpu)
        self.loss_sum = self._zero(torch.float64)
        self._step = self._zero(torch.int64)
        self._places = torch.arange(recipe.batch_size, device=self._device)
        self._epoch: dict[str, Tensor] = {}
        self._epoch_number = self._zero(torch.int64)
        self._per_sample: tuple[str, ...] = ()
        self._per_batch: tuple[str, ...] = ()
        self.global_draws: set[str] = set()
        self._watching, self._in_first_epoch = True, True
        self._capture = capture
        self._compiled = (
            CompiledPasses(network, recipe.batch_size, method.name) if compiled else None
        )
        self._graphs: dict[int, torch.cuda.CUDAGraph] = {}

    def _zero(self, dtype: torch.dtype) -> Tensor:
        return torch.zeros((), dtype=dtype, device=self._device)

    @property
    def momentum(self) -> list[Tensor]:
        """The optimizer's momentum of each parameter; empty where the recipe has none."""
        return self.optimizer.momentum

    def load(
        self,
        draws: Draws,
        rates: NDArray[np.float64],
        step: int = 0,
        *,
        epoch: int = 0,
        progress: NDArray[np.float32] | None = None,
    ) -> None:
        """Put the draws of an epoch, and what changes from step to step, on the device.

        The next step taken is number `step` of the epoch.

        Parameters
        ----------
        rates : float64 [steps]
            The learning rate of each step.
        progress : float32 [steps]
            The share of the training that was done before each step.
        """
        self._upload("addresses", self._images.addresses(draws))
        self._upload("partners", draws.partners)
        self._upload("coefficients", draws.coefficients)
        self._upload("rates", rates.astype(np.float32) if self._on_gpu else rates)
        self._upload("progress", np.zeros_like(rates, np.float32) if progress is None else progress)
        for name, values in draws.per_sample.items():
            self._upload(f"sample/{name}", values)
        for name, values in draws.per_batch.items():
            self._upload(f"batch/{name}", values)
        self._per_sample, self._per_batch = tuple(draws.per_sample), tuple(draws.per_batch)
        self._epoch_number.fill_(epoch)
        # Every step of the first epoch is watched, and the first of each other one: it takes time.
        self._watching, self._in_first_epoch = True, epoch == 0
        self._step.fill_(step)

    def _upload(self, name: str, values: NDArray[np.generic]) -> None:
        """Copy values into the tensor of this name, which keeps its address."""
        source = torch.from_numpy(values)
        if self._on_gpu:
            source = source.pin_memory()
        if name not in self._epoch:
            self._epoch[name] = torch.empty_like(source, device=self._device)
        self._epoch[name].copy_(source, non_blocking=True)

    def advance(self, size: int) -> None:
        """Take the next step of the epoch, on `size` images."""
        if not self._capture:
            self.take(size)
            return
        if size not in self._graphs:
            self._graphs[size] = self._captured(size)
        self._graphs[size].replay()

    def rewind(self) -> None:
        """Make the next step the first of the epoch."""
        self._step.zero_()

    def take(self, size: int) -> None:
        """As `advance`, and never by a graph."""
        rows = self._step * self._recipe.batch_size + self._places[:size]
        epoch = self._epoch
        addresses = epoch["addresses"][rows]
        batch = Batch(
            images=self._images.crops(addresses),
            labels=self._labels[addresses[:, 1]],
            partners=epoch["partners"][rows],
            coefficients=epoch["coefficients"][rows],
            class_counts=self._class_counts,
            draws=self._own_draws(rows),
            progress=torch.take(epoch["progress"], self._step),
            epoch=self._epoch_number,
            autocast=lambda: autocast(self._recipe, self._device),
        )
        self.rate.copy_(torch.take(epoch["rates"], self._step))
        self.optimizer.zero_grad()
        shared = {"class_counts": self._class_counts, "epoch": self._epoch_number}
        versions = {name: each._version for name, each in shared.items()}
        with named(self._method), self._watched(), self._passes(size):
            loss = self._method.backward(self._network, batch)
            if not isinstance(loss, Tensor) or loss.numel() != 1:
                raise RunError(
                    f"method {self._method.name}: backward(network, batch) should give the loss, "
                    "a scalar tensor"
                )
            self.optimizer.step()
            self._method.after_step(self._network, batch)
        for name, version in versions.items():
            if shared[name]._version != version:
                raise RunError(
                    f"method {self._method.name}: changes batch.{name} in place, which every step "
                    "shares"
                )
        self.loss_sum += loss.detach().double().view(()) * size
        self._step += 1

    def _passes(self, size: int) -> contextlib.AbstractContextManager[None]:
        """What a method's passes of a batch of this size are done within."""
        if self._compiled is None or size < self._recipe.batch_size:
            return contextlib.nullcontext()
        return self._compiled.within()

    def _own_draws(self, rows: Tensor) -> dict[str, Tensor]:
        """What the method's laws drew for this batch."""
        found = {name: self._epoch[f"sample/{name}"][rows] for name in self._per_sample}
        for name in self._per_batch:
            found[name] = self._epoch[f"batch/{name}"].index_select(0, self._step.view(1))[0]
        return found

    def _watched(self) -> contextlib.AbstractContextManager[None]:
        """What a step is taken within, so that its draws from the process are noted."""
        if not self._watching:
            return contextlib.nullcontext()
        self._watching = self._in_first_epoch
        return draws_noted(self.global_draws, self._device)

    def _captured(self, size: int) -> torch.cuda.CUDAGraph:
        """The next step as a graph; nothing of the training is changed."""
        stream = torch.cuda.Stream(self._device)  # type: ignore[no-untyped-call]
        stream.wait_stream(torch.cuda.current_stream(self._device))
        with torch.cuda.stream(stream), self.preserved():
            for _ in range(_WARM_UP_STEPS):
                self.take(size)
                self._step -= 1  # a counter past the epoch's end would read beyond its draws
        torch.cuda.current_stream(self._device).wait_stream(stream)
        # Gradients of the warm-up live in ordinary memory; None makes the capture allocate its own.
        self.optimizer.zero_grad()
        graph = torch.cuda.CUDAGraph()
        try:
            with torch.cuda.graph(graph):
                self.take(size)
        except (RuntimeError, RunError) as problem:
            raise RunError(
                f"method {self._method.name}: its step cannot be captured as a CUDA graph: "
                f"{problem}; a method whose loss reads values back to the host says "
                "`capturable = False`"
            ) from problem
        return graph

    @contextlib.contextmanager
    def preserved(self) -> Iterator[None]:
        """Bring weights, momentum, counter and loss back to what they are now, in place."""
        tensors = [*self._network.state_dict().values(), *self.momentum, self.loss_sum, self._step]
        kept = [tensor.clone() for tensor in tensors]
        yield
        for tensor, before in zip(tensors, kept, strict=True):
            tensor.copy_(before)
