"""A step as a GPU takes it, on a CPU: recorded once and replayed.

A CUDA graph runs the kernels of one step again on the same addresses, with every value that came
from the host as it was. `Recording` does the same with a CPU's operators, and so shows without a
GPU whether a method's step may be captured.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from dcbench.training.sgd import SGD
from dcbench.training.trainer import Trainer

READS_BACK = {"aten._local_scalar_dense.default", "aten.item.default", "aten.nonzero.default"}
"""Operators that bring a value from the device to the host."""


class Recording(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """The operators of one step, to be run again on the tensors that they were recorded with."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.calls: list[tuple[Any, Any, Any, Any]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run an operator and keep it."""
        result = func(*args, **(kwargs or {}))
        self.calls.append((func, args, kwargs or {}, result))
        return result

    def replay(self) -> None:
        """Run all operators again; what they gave is overwritten in place."""
        with torch.no_grad():
            for func, args, kwargs, result in self.calls:
                again = func(*args, **kwargs)
                for old, new in zip(tree_leaves(result), tree_leaves(again), strict=True):
                    if isinstance(old, torch.Tensor) and old.data_ptr() != new.data_ptr():
                        old.detach().copy_(new)

    @property
    def names(self) -> set[str]:
        """Each operator that was called, as `aten.add.Tensor`."""
        return {str(func) for func, *_ in self.calls}


def as_on_a_gpu(trainer: Trainer) -> Trainer:
    """With the optimizer that a captured step needs: fused, its learning rate a tensor."""
    train_step = trainer.train_step
    train_step.rate = torch.zeros(())
    train_step.optimizer = SGD(trainer.network, trainer.recipe, train_step.rate, fused=True)
    return trainer


def train_by_recordings(trainer: Trainer) -> None:
    """A whole training of one stage, each size of batch taken once and then only replayed."""
    recordings: dict[int, Recording] = {}
    for size in _sizes(trainer):
        if size in recordings:
            recordings[size].replay()
            continue
        trainer.train_step.optimizer.zero_grad()
        recordings[size] = Recording()
        with recordings[size]:
            trainer.train_step.take(size)


def train_by_steps(trainer: Trainer) -> None:
    """The same training with every step taken."""
    for size in _sizes(trainer):
        trainer.train_step.take(size)


def _sizes(trainer: Trainer) -> Iterator[int]:
    """The size of each batch of the recipe's epochs, whose draws are put on the device."""
    trainer.network.train()
    for epoch in range(trainer.recipe.epochs):
        trainer.load(epoch)
        yield from map(trainer.size_of, range(trainer.steps_per_epoch))
