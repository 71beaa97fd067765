"""What is trained, and in which stages: the recipe's training, and those that a method adds."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn

from dcbench.config.base import validated
from dcbench.config.recipe import Recipe
from dcbench.draws import weights_seed
from dcbench.errors import RunError, UsageError
from dcbench.methods import Method
from dcbench.methods.base import Task
from dcbench.methods.failures import named
from dcbench.models import build_model

_BUILDING = threading.Lock()

_OF_ALL_STAGES = ("model", "padding", "border", "normalization", "precision", "fit")
"""Keys that every stage shares: of the network, the images on the device, and the process."""


def new_network(
    method: Method, recipe: Recipe, task: Task, seed: int, *, stage: int = 0
) -> nn.Module:
    """The network of a method with the initial weights of a seed: the same on every device.

    Parameters
    ----------
    stage : int
        Of the training: each draws other weights for what it resets.

    Raises
    ------
    RunError
        The method's code fails, or gives no network.
    """
    # torch's generator is the process's: two threads that build at once would share its numbers.
    with _BUILDING, torch.random.fork_rng(devices=()):
        torch.manual_seed(weights_seed(seed, stage))
        with named(method):
            network = method.network(lambda: build_model(recipe.model, task.num_classes), task)
    if not isinstance(network, nn.Module):
        raise RunError(
            f"method {method.name}: network(build, task) should give a torch.nn.Module, and gives "
            f"a {type(network).__name__}"
        )
    return network


@dataclass(frozen=True)
class TrainingStage:
    """Epochs `begin` to `end` of a training, and what is particular to them."""

    recipe: Recipe
    begin: int
    order: Literal["shuffled", "class-balanced"] = "shuffled"
    trainable: tuple[str, ...] = ()
    reset: tuple[str, ...] = ()

    @property
    def end(self) -> int:
        """The epoch after the last one."""
        return self.begin + self.recipe.epochs


def stages_of(method: Method, recipe: Recipe) -> tuple[TrainingStage, ...]:
    """The recipe's training, and the further ones that the method asks for.

    Raises
    ------
    UsageError
        A stage has a key that a recipe does not know or that a stage cannot change, or a value out
        of its range.
    """
    found = [TrainingStage(recipe, 0)]
    with named(method):
        further = tuple(method.stages)
    for stage in further:
        values = {**recipe.model_dump(), **stage.recipe}
        where = f"method {method.name}: a stage's recipe"
        own = validated(Recipe, values, where)
        for key in _OF_ALL_STAGES:
            if getattr(own, key) != getattr(recipe, key):
                free = ", ".join(each for each in Recipe.model_fields if each not in _OF_ALL_STAGES)
                raise UsageError(f"{where} cannot change {key}; it can change {free}")
        found.append(TrainingStage(own, found[-1].end, stage.order, stage.trainable, stage.reset))
    return tuple(found)


def check_modules(stages: tuple[TrainingStage, ...], network: nn.Module, method: Method) -> None:
    """Refuse stages that name modules which the network does not have.

    Raises
    ------
    UsageError
        A name of `trainable` or `reset` is none of the network's.
    """
    modules = dict(network.named_modules())
    for name in (each for stage in stages for each in (*stage.trainable, *stage.reset)):
        if name not in modules:
            there = ", ".join(each for each, _ in network.named_children())
            raise UsageError(
                f"method {method.name}: a stage names the module '{name}', which network "
                f"{type(network).__name__} does not have; there are: {there}"
            )
