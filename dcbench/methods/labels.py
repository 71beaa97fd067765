"""Cross-entropies that ask for less than certainty: label smoothing, focal loss."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from dcbench.methods.base import Batch, Network
from dcbench.methods.lazy import functional, torch
from dcbench.methods.mixup import ERM
from dcbench.methods.registry import register

if TYPE_CHECKING:
    from torch import Tensor


@register("label-smoothing")
class LabelSmoothing(ERM):
    """Label smoothing: a share of each label is spread evenly over all classes.

    Szegedy et al., Rethinking the Inception Architecture for Computer Vision, CVPR 2016. As in
    the paper, the image's own class has its part of the share too; with 0 it is ERM.
    """

    paper: ClassVar[str] = (
        "Szegedy et al., Rethinking the Inception Architecture for Computer Vision, CVPR 2016 "
        "(arXiv 1512.00567)"
    )
    twin: ClassVar[str] = "erm"
    ranges: ClassVar = {"smoothing": (0.01, 0.3)}

    smoothing: float = Field(0.1, ge=0, lt=1, description="share of a label that is spread")

    def loss(self, network: Network, batch: Batch) -> Tensor:
        """Mean cross-entropy of the smoothed labels."""
        logits = network(batch.images)
        return functional.cross_entropy(logits, batch.labels, label_smoothing=self.smoothing)


@register("focal")
class Focal(ERM):
    """Focal loss: images that are classified well already count less.

    Lin et al., Focal Loss for Dense Object Detection, ICCV 2017. The paper's loss is of a sigmoid
    for each class and has a weight for the background; this is the softmax form without weights,
    as in the official code of LDAM (Cao et al., NeurIPS 2019). With gamma 0 it is ERM.
    """

    paper: ClassVar[str] = (
        "Lin et al., Focal Loss for Dense Object Detection, ICCV 2017 (arXiv 1708.02002)"
    )
    twin: ClassVar[str] = "erm"
    ranges: ClassVar = {"gamma": (0.5, 5.0)}

    gamma: float = Field(2.0, ge=0, description="how fast the weight falls as confidence rises")

    def loss(self, network: Network, batch: Batch) -> Tensor:
        """Mean of (1 - p)^gamma times the cross-entropy, p the label's probability."""
        return focal_loss(network(batch.images), batch.labels, self.gamma)


def focal_loss(logits: Tensor, labels: Tensor, gamma: float) -> Tensor:
    """Mean of (1 - p)^gamma times -log p, p the probability of each label.

    Parameters
    ----------
    logits : [batch, classes]
    labels : int64 [batch]

    Returns
    -------
    Scalar, float32 at least.
    """
    precise = logits.to(torch.promote_types(logits.dtype, torch.float32))
    losses = functional.cross_entropy(precise, labels, reduction="none")
    # 0 has no finite derivative under a power below 1.
    doubt = (-torch.expm1(-losses)).clamp(min=1e-12)
    return (doubt**gamma * losses).mean()
