"""Losses for classes of unequal size: logit adjustment, re-weighting, margins.

Re-weighting may be deferred to the last part of training, also with Mixup and Remix.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from dcbench.methods.base import Batch, Method, Network, Task
from dcbench.methods.lazy import functional, torch
from dcbench.methods.mixup import ERM, Mixup, Remix
from dcbench.methods.registry import as_method, register

if TYPE_CHECKING:
    from torch import Tensor, nn

_LDAM = (
    "Cao et al., Learning Imbalanced Datasets with Label-Distribution-Aware Margin Loss, "
    "NeurIPS 2019 (arXiv 1906.07413)"
)


def present_counts(class_counts: Tensor) -> Tensor:
    """Number of images of each class [classes], a class without any taken for one of one image."""
    return class_counts.clamp(min=1)


def effective_number_weights(class_counts: Tensor, beta: float) -> Tensor:
    """Weights of classes [classes] by the inverse effective number of their images; the mean is 1.

    (1 - beta) / (1 - beta^n), Cui et al. 2019, equation 3: all 1 for beta 0, and 1 / n in the
    limit of beta 1.
    """
    log_beta = math.log(beta) if beta else -math.inf
    weights = 1 / -torch.expm1(present_counts(class_counts) * log_beta)
    return weights / weights.mean()


def log_priors(class_counts: Tensor) -> Tensor:
    """Logarithms of the classes' shares of the training images [classes]."""
    counts = present_counts(class_counts)
    return (counts / counts.sum()).log()


@register("logit-adjustment")
class LogitAdjustment(ERM):
    """Logit adjustment: logits learn what is left once the frequency of the classes is added.

    Menon et al., Long-Tail Learning via Logit Adjustment, ICLR 2021: the loss of its equation 10.
    Predictions are of the logits alone. With tau 1 it is `balanced-softmax`, with 0 ERM.
    `when="prediction"` is its equation 9: ERM, whose predictions are adjusted after training.
    """

    paper: ClassVar[str] = (
        "Menon et al., Long-Tail Learning via Logit Adjustment, ICLR 2021 (arXiv 2007.07314)"
    )
    twin: ClassVar[str] = "erm"
    ranges: ClassVar = {"tau": (0.25, 3.0)}

    tau: float = Field(1.0, ge=0, description="how much of the log frequencies is meant")
    when: Literal["loss", "prediction"] = Field(
        "loss", description="add them while learning, or subtract them from predictions"
    )

    def network(self, build: Callable[[], nn.Module], task: Task) -> nn.Module:
        """The recipe's network, which holds what is subtracted, if anything is."""
        network = build()
        if self.when == "prediction":
            counts = torch.tensor(task.class_counts, dtype=torch.float32)
            network.register_buffer("adjustment", self.tau * log_priors(counts))
        return network

    def loss(self, network: Network, batch: Batch) -> Tensor:
        """Mean cross-entropy of logits + tau log frequency, or of the logits."""
        logits = network(batch.images)
        if self.when == "loss":
            logits = logits + self.tau * log_priors(batch.class_counts)
        return functional.cross_entropy(logits, batch.labels)

    def logits(self, network: nn.Module, images: Tensor) -> Tensor:
        """The network's logits, adjusted if predictions are."""
        logits: Tensor = network(images)
        if self.when == "loss":
            return logits
        return logits - network.get_buffer("adjustment")


@register("balanced-softmax")
class BalancedSoftmax(ERM):
    """Balanced softmax: each class takes part in the softmax as often as it has images.

    Ren et al., Balanced Meta-Softmax for Long-Tailed Visual Recognition, NeurIPS 2020, without its
    meta sampler. With equal classes it is ERM.
    """

    paper: ClassVar[str] = (
        "Ren et al., Balanced Meta-Softmax for Long-Tailed Visual Recognition, NeurIPS 2020 "
        "(arXiv 2007.10740)"
    )
    twin: ClassVar[str] = "erm"

    def loss(self, network: Network, batch: Batch) -> Tensor:
        """Mean cross-entropy of logits + log count."""
        adjusted = network(batch.images) + present_counts(batch.class_counts).log()
        return functional.cross_entropy(adjusted, batch.labels)


@register("class-balanced")
class ClassBalanced(ERM):
    """Class-balanced loss: classes weigh by the inverse of their effective number of images.

    Cui et al., Class-Balanced Loss Based on Effective Number of Samples, CVPR 2019. Its softmax
    form; as in the official code, weights have the mean 1 over classes and the batch's sum is
    divided by its number of images. The code of LDAM divides by the sum of their weights.
    """

    paper: ClassVar[str] = (
        "Cui et al., Class-Balanced Loss Based on Effective Number of Samples, CVPR 2019 "
        "(arXiv 1901.05555)"
    )
    twin: ClassVar[str] = "erm"
    ranges: ClassVar = {"beta": [0.9, 0.99, 0.999, 0.9999]}

    beta: float = Field(0.9999, ge=0, lt=1, description="how far apart two images count as two")

    def loss(self, network: Network, batch: Batch) -> Tensor:
        """Mean of the cross-entropies times the weights of their classes."""
        losses = functional.cross_entropy(network(batch.images), batch.labels, reduction="none")
        return (
            effective_number_weights(batch.class_counts, self.beta)[batch.labels] * losses
        ).mean()


def ldam_margins(class_counts: Tensor, largest: float) -> Tensor:
    """Margins [classes] in proportion to n^(-1/4); the rarest class has the largest."""
    margins = present_counts(class_counts) ** -0.25
    return largest * margins / margins.max()


@register("ldam")
class LDAM(ERM):
    """LDAM: the rarer a class, the larger the margin by which it has to be predicted.

    Cao et al., Learning Imbalanced Datasets with Label-Distribution-Aware Margin Loss, NeurIPS
    2019. Margins are of cosines, by the normalized classifier of the official code. There the scale
    is applied in the loss alone; here logits carry it, which changes no prediction and makes the
    probabilities those that were trained.
    """

    paper: ClassVar[str] = _LDAM
    family: ClassVar[str] = "ldam"
    twin: ClassVar[str] = "erm"
    ranges: ClassVar = {"margin": (0.1, 1.0), "scale": (10.0, 50.0)}

    margin: float = Field(0.5, ge=0, description="that of the rarest class, as a cosine")
    scale: float = Field(30.0, gt=0, description="factor on the cosines")

    def network(self, build: Callable[[], nn.Module], task: Task) -> nn.Module:
        """The recipe's network with a normalized classifier."""
        from dcbench.models.classifier import NormedLinear, linear_classifier

        network = build()
        in_features = linear_classifier(network).in_features
        network.fc = NormedLinear(in_features, task.num_classes, self.scale)
        return network

    def loss(self, network: Network, batch: Batch) -> Tensor:
        """Mean cross-entropy once each image's own cosine is less its margin."""
        logits = network(batch.images)
        margins = self.scale * ldam_margins(batch.class_counts, self.margin)[batch.labels]
        own = batch.labels.unsqueeze(1) == torch.arange(batch.num_classes, device=logits.device)
        return functional.cross_entropy(
            logits - own * margins.unsqueeze(1), batch.labels, weight=self.weights(batch)
        )

    def weights(self, batch: Batch) -> Tensor | None:
        """Weights of the classes; here none."""
        return None


class Deferred(Method):
    """Deferred re-weighting (DRW): classes weigh alike at first, then by their effective number."""

    begin: float = Field(0.8, ge=0, le=1, description="share of training before the weights")
    beta: float = Field(0.9999, ge=0, lt=1, description="how far apart two images count as two")

    def class_weights(self, batch: Batch) -> Tensor:
        """Weights [classes] in this step; their mean is 1."""
        weights = effective_number_weights(batch.class_counts, self.beta)
        return torch.where(batch.progress < self.begin, torch.ones_like(weights), weights)


@register("ldam-drw")
class LDAMDRW(Deferred, LDAM):
    """LDAM-DRW: LDAM whose classes weigh by their size, late in training.

    Cao et al., NeurIPS 2019. As in the official code, the batch's sum is divided by the sum of its
    weights.
    """

    paper: ClassVar[str] = _LDAM
    family: ClassVar[str] = "ldam"
    twin: ClassVar[str] = "ldam"

    def same_as(self, *, long_tailed: bool) -> Method | None:
        """Where classes are equal, LDAM: they weigh alike."""
        return None if long_tailed else as_method(self, "ldam")

    def weights(self, batch: Batch) -> Tensor:
        """Equal at first, then by the effective number."""
        return self.class_weights(batch)


class DeferredMixup(Deferred, Mixup):
    """Turns a method that mixes pairs into its form with deferred re-weighting.

    As in the code of imbalanced-DL (github.com/ntucllab/imbalanced-DL), both labels of a pair weigh
    as their classes do, and the batch's sum is divided by its number of images. That code also
    passes the clean images through the network, for its log, by which BatchNorm's running
    statistics see them; that is left out.
    """

    def target_loss(self, logits: Tensor, batch: Batch) -> Tensor:
        """Soft labels, in which classes weigh as they do in this step."""
        precise = logits.to(torch.promote_types(logits.dtype, torch.float32))
        weights = self.class_weights(batch).to(precise.dtype)
        soft = self.mixed_labels(batch).to(precise.dtype)
        return functional.cross_entropy(precise, soft, weight=weights)


@register("mixup-drw")
class MixupDRW(DeferredMixup):
    """Mixup-DRW: Mixup whose labels weigh by the size of their classes, late in training.

    Mixup with the schedule of Cao et al., NeurIPS 2019.
    """

    paper: ClassVar[str] = _LDAM
    family: ClassVar[str] = "mixup"
    twin: ClassVar[str] = "mixup"


@register("remix-drw")
class RemixDRW(DeferredMixup, Remix):
    """Remix-DRW: Remix whose labels weigh by the size of their classes, late in training.

    Chou et al., Remix: Rebalanced Mixup, ECCV 2020 workshops, its best form; with the schedule of
    Cao et al., NeurIPS 2019.
    """

    paper: ClassVar[str] = Remix.paper
    family: ClassVar[str] = "remix"
    twin: ClassVar[str] = "remix"
    _on_equal_classes: ClassVar[str] = "mixup-drw"
