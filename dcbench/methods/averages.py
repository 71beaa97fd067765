"""An average of the weights predicts: EMA, SWA."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, ClassVar, cast

from pydantic import Field

from dcbench.methods.base import Batch, Task
from dcbench.methods.lazy import torch
from dcbench.methods.mixup import ERM
from dcbench.methods.registry import register

if TYPE_CHECKING:
    from torch import Tensor, nn

    from dcbench.models.averaged import AveragedNetwork


class Averaging(ERM):
    """ERM whose averaged weights predict.

    The arithmetic is that of `torch.optim.swa_utils`, the running statistics are taken anew after
    training. They are those of the training images as they are, where other code augments them.
    """

    def network(self, build: Callable[[], nn.Module], task: Task) -> nn.Module:
        """The recipe's network, and an average beside it."""
        from dcbench.models.averaged import AveragedNetwork

        return AveragedNetwork(build())

    def finish(self, network: nn.Module, images: Iterable[Tensor]) -> None:
        """The batch statistics of the averaged weights."""
        from dcbench.models.averaged import update_batch_statistics

        update_batch_statistics(_averaged(network).average, images)

    def logits(self, network: nn.Module, images: Tensor) -> Tensor:
        """Logits by the averaged weights."""
        logits: Tensor = _averaged(network).average(images)
        return logits


def _averaged(network: nn.Module) -> AveragedNetwork:
    return cast("AveragedNetwork", network)


@register("ema")
class EMA(Averaging):
    """EMA: an exponential moving average of the weights predicts.

    Polyak and Juditsky, 1992; for networks as in Tarvainen and Valpola, NeurIPS 2017, without its
    consistency loss. The average begins with the weights after the first step. With decay 0 it is
    ERM's weights.
    """

    paper: ClassVar[str] = (
        "Tarvainen and Valpola, Mean teachers are better role models, NeurIPS 2017 "
        "(arXiv 1703.01780)"
    )
    twin: ClassVar[str] = "erm"
    ranges: ClassVar = {"decay": [0.9, 0.98, 0.99, 0.995, 0.999]}

    decay: float = Field(0.99, ge=0, lt=1, description="what a step leaves of the average")

    def after_step(self, network: nn.Module, batch: Batch) -> None:
        """Move the average to the weights."""
        averaged = _averaged(network)
        averaged.join(torch.where(averaged.joined == 0, 1.0, 1 - self.decay))
        averaged.joined += 1


@register("swa")
class SWA(Averaging):
    """SWA: the mean of the weights at the ends of the last epochs predicts.

    Izmailov et al., Averaging Weights Leads to Wider Optima and Better Generalization, UAI 2018.
    There the learning rate is constant, or cycles, while weights are averaged; here it is the
    recipe's, so that less is gained under one that falls to zero.
    """

    paper: ClassVar[str] = (
        "Izmailov et al., Averaging Weights Leads to Wider Optima and Better Generalization, "
        "UAI 2018 (arXiv 1803.05407)"
    )
    twin: ClassVar[str] = "erm"
    ranges: ClassVar = {"begin": (0.5, 0.95)}

    begin: float = Field(0.75, ge=0, le=1, description="share of training before the average")

    def backward(self, network: nn.Module, batch: Batch) -> Tensor:
        """Before the first step of an epoch, the weights that the last one ended with join."""
        averaged = _averaged(network)
        self._join(averaged, (batch.epoch != averaged.epoch) & (batch.progress >= self.begin))
        averaged.epoch.copy_(batch.epoch)
        return super().backward(network, batch)

    def finish(self, network: nn.Module, images: Iterable[Tensor]) -> None:
        """The last epoch's weights join, and batch statistics are taken."""
        averaged = _averaged(network)
        self._join(averaged, torch.ones_like(averaged.joined, dtype=torch.bool))
        super().finish(network, images)

    @staticmethod
    def _join(averaged: AveragedNetwork, joins: Tensor) -> None:
        averaged.join(joins / (averaged.joined + 1))
        averaged.joined += joins
