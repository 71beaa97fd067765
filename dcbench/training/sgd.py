"""Stochastic gradient descent with momentum: PyTorch's arithmetic, over all parameters at once.

`torch.optim.SGD` imports the compiler of PyTorch with it, which takes a second of every process.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dcbench.config.recipe import Recipe


class SGD:
    """The recipe's SGD over every parameter of a network that learns.

    The momentum is there from the start, as zeros: the same arithmetic as momentum that begins with
    the first gradient, and every step is alike.

    Parameters
    ----------
    rate : float []
        The learning rate, read in every step.
    fused : bool
        In one kernel, which reads the rate on the device; without it the host reads it.

    Attributes
    ----------
    momentum : list of tensors
        Of each parameter; empty where the recipe has none.
    """

    def __init__(self, network: nn.Module, recipe: Recipe, rate: Tensor, *, fused: bool) -> None:
        self.rate, self._recipe, self._fused = rate, recipe, fused
        self._parameters = [each for each in network.parameters() if each.requires_grad]
        buffers = self._parameters if recipe.momentum else []
        self.momentum = [torch.zeros_like(each, requires_grad=False) for each in buffers]

    def zero_grad(self) -> None:
        """Forget the gradients: a backward pass then writes them where it would else add."""
        for each in self._parameters:
            each.grad = None

    @torch.no_grad()
    def step(self) -> None:
        """Update the parameters that have a gradient; each has one, or none has in any step."""
        with_grad = [number for number, each in enumerate(self._parameters) if _has_grad(each)]
        parameters: list[Tensor] = [self._parameters[number] for number in with_grad]
        gradients = [each.grad for each in parameters if each.grad is not None]
        momentum = [self.momentum[number] for number in with_grad] if self.momentum else []
        if self._fused:
            torch._fused_sgd_(
                parameters,
                gradients,
                momentum,
                weight_decay=self._recipe.weight_decay,
                momentum=self._recipe.momentum,
                lr=self.rate,
                dampening=0.0,
                nesterov=self._recipe.nesterov,
                maximize=False,
                is_first_step=False,
            )
        else:
            self._step(parameters, gradients, momentum)

    def _step(
        self, parameters: list[Tensor], gradients: list[Tensor], momentum: list[Tensor]
    ) -> None:
        recipe = self._recipe
        steps = tuple(gradients)
        if recipe.weight_decay:
            steps = torch._foreach_add(steps, parameters, alpha=recipe.weight_decay)
        if momentum:
            torch._foreach_mul_(momentum, recipe.momentum)
            torch._foreach_add_(momentum, steps)
            ahead = recipe.nesterov
            steps = (
                torch._foreach_add(steps, momentum, alpha=recipe.momentum)
                if ahead
                else tuple(momentum)
            )
        torch._foreach_add_(parameters, steps, alpha=-self.rate.item())


def _has_grad(parameter: nn.Parameter) -> bool:
    return parameter.grad is not None
