"""What is trained, and in which stages: the recipe's training, and those that a method adds."""

from __future__ import annotations

import threading
from collections.abc import Iterable
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
from dcbench.training.generators import draws_noted

_BUILDING = threading.Lock()

_OF_ALL_STAGES = ("model", "padding", "border", "normalization", "precision", "fit")
"""Keys that every stage shares: of the network, the images on the device, and the process."""


def new_network(
    method: Method,
    recipe: Recipe,
    task: Task,
    seed: int,
    *,
    stage: int = 0,
    drawn: set[str] | None = None,
) -> nn.Module:
    """The network of a method with the initial weights of a seed: the same on every device.

    Parameters
    ----------
    stage : int
        Of the training: each draws other weights for what it resets.
    drawn : set of str, optional
        Gets the process's generators that the weights are drawn from beside the seed's.

    Raises
    ------
    RunError
        The method's code fails, or gives no network.
    """
    # torch's generator is the process's: two threads that build at once would share its numbers.
    # What is drawn from it is the seed's, and set back before the states are compared.
    noted = draws_noted(set() if drawn is None else drawn, torch.device("cpu"))
    with _BUILDING, noted, torch.random.fork_rng(devices=()):
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
    """Refuse stages that name modules which the network does not have, or in which nothing learns.

    Raises
    ------
    UsageError
        A name of `trainable` or `reset` is none of the network's, or all that `trainable` names is
        frozen by the network itself.
    """
    modules = dict(network.named_modules())
    for name in (each for stage in stages for each in (*stage.trainable, *stage.reset)):
        if name not in modules:
            there = ", ".join(each for each, _ in network.named_children())
            raise UsageError(
                f"method {method.name}: a stage names the module '{name}', which network "
                f"{type(network).__name__} does not have; there are: {there}"
            )
    for names in (stage.trainable for stage in stages if stage.trainable):
        weights = (each for name in names for each in modules[name].parameters())
        if not any(each.requires_grad for each in weights):
            raise UsageError(
                f"method {method.name}: a stage's trainable={', '.join(names)}: no weight learns "
                "there: those that network(build, task) freezes stay frozen"
            )


def set_modes(network: nn.Module, stage: TrainingStage, learning: Iterable[nn.Parameter]) -> None:
    """Training mode, but for what the stage freezes: its statistics stay as they are.

    Parameters
    ----------
    learning
        The parameters that may learn: those that the method or the network has not frozen itself.
    """
    parts = [network.get_submodule(name) for name in stage.trainable or ("",)]
    network.eval()
    for part in parts:
        part.train()
    reached = {each for part in parts for each in part.parameters()}
    for each in learning:
        each.requires_grad_(each in reached)
