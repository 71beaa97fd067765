"""Sharpness-aware minimization: the gradient is taken where the loss is worst nearby."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from dcbench.methods.base import Batch
from dcbench.methods.lazy import torch
from dcbench.methods.mixup import ERM
from dcbench.methods.registry import register

if TYPE_CHECKING:
    from torch import Tensor, nn


@register("sam")
class SAM(ERM):
    """SAM: a step takes the gradient at the weights that are worst within a distance of rho.

    Foret et al., Sharpness-Aware Minimization for Efficiently Improving Generalization, ICLR 2021.
    Two passes a step, of the same batch. BatchNorm's running statistics are those of the first
    pass, as in github.com/davda54/sam, which the batches of that pass alone move. With rho 0 it is
    ERM.
    """

    paper: ClassVar[str] = (
        "Foret et al., Sharpness-Aware Minimization for Efficiently Improving Generalization, "
        "ICLR 2021 (arXiv 2010.01412)"
    )
    twin: ClassVar[str] = "erm"
    ranges: ClassVar = {"rho": (0.01, 0.5)}

    rho: float = Field(0.05, ge=0, description="distance in the space of all weights")

    def backward(self, network: nn.Module, batch: Batch) -> Tensor:
        """The gradient at the weights moved uphill, which are then put back to the bit."""
        weights = [each for each in network.parameters() if each.requires_grad]
        loss = self.evaluate_loss(network, batch)
        gradients = torch.autograd.grad(loss, weights, allow_unused=True)
        moves = uphill(gradients, self.rho)
        kept = [(each, each.detach().clone()) for each in (*weights, *network.buffers())]
        with torch.no_grad():
            for weight, move in zip(weights, moves, strict=True):
                if move is not None:
                    weight.add_(move)
        self.evaluate_loss(network, batch).backward()  # type: ignore[no-untyped-call]
        with torch.no_grad():
            for value, before in kept:
                value.copy_(before)
        return loss.detach()


def uphill(gradients: tuple[Tensor | None, ...], rho: float) -> list[Tensor | None]:
    """Gradients scaled to a length of rho, over all of them together; None stays.

    Foret et al. 2021, equation 2 with p = 2; a gradient of zero does not move.
    """
    norms = [each.norm() for each in gradients if each is not None]
    scale = rho / (torch.stack(norms).norm() + 1e-12)
    return [None if each is None else each * scale for each in gradients]
