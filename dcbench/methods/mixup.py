"""ERM and the methods that ask a mixed image for a soft label: Mixup, Remix, RegMixup."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from dcbench.draws import BetaMixing
from dcbench.methods.base import Batch, Method, Network
from dcbench.methods.lazy import functional, torch
from dcbench.methods.mixing import mix_images, mixed_labels, remix_label_coefficients
from dcbench.methods.registry import as_method, register

if TYPE_CHECKING:
    from torch import Tensor


@register("erm")
class ERM(Method):
    """Empirical risk minimization: the cross-entropy of the images as they are."""

    def loss(self, network: Network, batch: Batch) -> Tensor:
        """Mean cross-entropy."""
        return functional.cross_entropy(network(batch.images), batch.labels)


@register("mixup")
class Mixup(Method):
    """Mixup: each image is mixed with another one, and so are their labels.

    Zhang et al., mixup: Beyond Empirical Risk Minimization, ICLR 2018. The official code draws one
    coefficient for a batch; `coefficient="sample"` draws one for each image. Below alpha = 0.001
    all coefficients are 0 or 1, and far above a million float32 has nothing but 1/2 left.
    """

    paper: ClassVar[str] = (
        "Zhang et al., mixup: Beyond Empirical Risk Minimization, ICLR 2018 (arXiv 1710.09412)"
    )
    family: ClassVar[str] = "mixup"
    ranges: ClassVar = {"alpha": (0.1, 10.0)}

    alpha: float = Field(
        1.0, ge=1e-3, le=1e6, description="the coefficients come from Beta(alpha, alpha)"
    )
    coefficient: Literal["batch", "sample"] = Field(
        "batch", description="one coefficient for a batch, or one for each image"
    )

    @property
    def mixing(self) -> BetaMixing:
        """Beta(alpha, alpha)."""
        return BetaMixing(self.alpha, self.coefficient)

    def loss(self, network: Network, batch: Batch) -> Tensor:
        """The target loss of the mixed images."""
        return self.target_loss(network(self.mixed_images(batch)), batch)

    def mixed_images(self, batch: Batch) -> Tensor:
        """The mixed images [batch, 3, height, width]."""
        return mix_images(batch.images, batch.partners, batch.coefficients)

    def label_coefficients(self, batch: Batch) -> Tensor:
        """The share of each image's own label in the mixed label [batch]."""
        return batch.coefficients

    def target_loss(self, logits: Tensor, batch: Batch) -> Tensor:
        """What the mixed images are asked to be: here, soft labels."""
        precise = logits.to(torch.promote_types(logits.dtype, torch.float32))
        return functional.cross_entropy(precise, self.mixed_labels(batch).to(precise.dtype))

    def mixed_labels(self, batch: Batch) -> Tensor:
        """Soft labels [batch, classes]."""
        shares = self.label_coefficients(batch)
        partner_labels = batch.labels[batch.partners]
        return mixed_labels(batch.labels, partner_labels, shares, batch.num_classes)


@register("remix")
class Remix(Mixup):
    """Remix: Mixup whose labels lean to the rarer class of a pair.

    Chou et al., Remix: Rebalanced Mixup, ECCV workshops 2020. With balanced classes it is Mixup.
    """

    paper: ClassVar[str] = (
        "Chou et al., Remix: Rebalanced Mixup, ECCV 2020 workshops (arXiv 2007.03943)"
    )
    family: ClassVar[str] = "remix"
    _on_equal_classes: ClassVar[str] = "mixup"
    ranges: ClassVar = {**Mixup.ranges, "kappa": (1.5, 10.0), "tau": (0.1, 0.9)}

    kappa: float = Field(3.0, gt=1, description="how many times more frequent a class has to be")
    tau: float = Field(0.5, ge=0, le=1, description="how weak the minority's image may be")

    def same_as(self, *, long_tailed: bool) -> Method | None:
        """Where classes are equal, Mixup: no label moves unless one is kappa times as frequent."""
        return None if long_tailed else as_method(self, self._on_equal_classes)

    def label_coefficients(self, batch: Batch) -> Tensor:
        """The images' share, moved to 0 or 1 where one class is much rarer."""
        return remix_label_coefficients(
            batch.labels,
            batch.labels[batch.partners],
            batch.coefficients,
            batch.class_counts,
            kappa=self.kappa,
            tau=self.tau,
        )


@register("regmixup")
class RegMixup(Mixup):
    """RegMixup: the clean images are learned too, and Mixup is a regularizer.

    Pinto et al., Using Mixup as a Regularizer Can Surprisingly Improve Accuracy & Out-of-
    Distribution Robustness, NeurIPS 2022. `forward="separate"` is the paper's sum over two passes,
    each with BatchNorm statistics of its own, as in the release of Infinite Class Mixup.
    `forward="joint"` is the authors' code: one pass over clean and mixed images together and the
    mean over both, half of the sum.
    """

    paper: ClassVar[str] = (
        "Pinto et al., Using Mixup as a Regularizer Can Surprisingly Improve Accuracy & "
        "Out-of-Distribution Robustness, NeurIPS 2022 (arXiv 2206.14502)"
    )
    family: ClassVar[str] = "regmixup"
    ranges: ClassVar = {"alpha": (1.0, 40.0), "eta": (0.2, 2.0)}

    alpha: float = Field(
        20.0, ge=1e-3, le=1e6, description="the coefficients come from Beta(alpha, alpha)"
    )
    eta: float = Field(1.0, gt=0, description="weight of the mixed images' loss")
    forward: Literal["separate", "joint"] = Field(
        "separate", description="two passes and their sum, or one pass and the mean"
    )

    def loss(self, network: Network, batch: Batch) -> Tensor:
        """The clean images' cross-entropy and eta times the target loss of the mixed ones."""
        mixed = self.mixed_images(batch)
        if self.forward == "joint":
            clean_logits, mixed_logits = network(torch.cat([batch.images, mixed])).chunk(2)
            scale = 0.5
        else:
            clean_logits, mixed_logits = network(batch.images), network(mixed)
            scale = 1.0
        clean = functional.cross_entropy(clean_logits, batch.labels)
        return scale * (clean + self.eta * self.target_loss(mixed_logits, batch))
