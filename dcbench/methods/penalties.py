"""Cross-entropy with a penalty on how much the network responds to its input."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from dcbench.methods.base import Batch, Method, Network
from dcbench.methods.lazy import functional, torch
from dcbench.methods.registry import register

if TYPE_CHECKING:
    from torch import Tensor


@register("grad-l2")
class GradL2(Method):
    """Gradient penalty: the loss may change little with the pixels.

    Bietti et al., A Kernel Perspective for Regularizing Deep Neural Networks, ICML 2019. To the
    cross-entropy comes `weight` times the mean over images of the squared norm of the gradient of
    an image's loss by its pixels. As in the GEM benchmark, the pixels are augmented and normalized
    ones and the networks keep BatchNorm; through its statistics an image's loss depends on the
    others of the batch, which the gradient includes. The authors' networks have no BatchNorm, and
    normalize inside the network, which makes their penalty 16 to 25 times as large.

    One pass serves both terms. The code of the benchmark makes two, which gives the same gradient,
    and moves the running statistics twice.
    """

    paper: ClassVar[str] = (
        "Bietti et al., A Kernel Perspective for Regularizing Deep Neural Networks, ICML 2019 "
        "(arXiv 1810.00363)"
    )
    family: ClassVar[str] = "grad-l2"
    twin: ClassVar[str] = "erm"
    compilable: ClassVar[bool] = False
    ranges: ClassVar = {"weight": (1e-4, 1.0)}

    weight: float = Field(0.01, ge=0, description="of the squared norm of the gradient")

    def loss(self, network: Network, batch: Batch) -> Tensor:
        """The cross-entropy and `weight` times the penalty."""
        images = batch.images.detach().requires_grad_()
        losses = functional.cross_entropy(network(images), batch.labels, reduction="none")
        (gradient,) = torch.autograd.grad(losses.sum(), images, create_graph=True)
        return losses.mean() + self.weight * gradient.square().sum() / len(images)
