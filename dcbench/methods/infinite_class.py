"""Infinite Class Mixup: every mixture is a class of its own among those of its batch.

Mensink and Mettes, Infinite Class Mixup, BMVC 2023 (arXiv 2305.10293).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from dcbench.methods.base import Batch
from dcbench.methods.lazy import functional, torch
from dcbench.methods.mixing import mixed_class_ids
from dcbench.methods.mixup import Mixup, RegMixup, Remix
from dcbench.methods.registry import register

if TYPE_CHECKING:
    from torch import Tensor

Axes = Literal["class", "pair", "both"]


def infinite_class_loss(
    logits: Tensor,
    mixed_labels: Tensor,
    axes: Axes = "both",
    class_ids: Tensor | None = None,
) -> Tensor:
    """The Infinite Class loss of a batch of mixed images.

    The score of image i under the mixed classifier of pair j is S[i, j] = logits[i] . labels[j],
    since a linear classifier's weights and biases mix as its logits do. The class axis asks each
    image for its classifier (softmax over j), the pair axis each classifier for its image (softmax
    over i); both is the sum of the two, as in the authors' release.

    Parameters
    ----------
    logits : [batch, classes]
        Of the mixed images, from the ordinary linear classifier.
    mixed_labels : [batch, classes]
        Soft labels of the pairs.
    axes
        "class", "pair", or "both".
    class_ids : int64 [batch], optional
        Equal where two pairs are the same mixed class: these then share the target evenly. Without
        it they are negatives of one another, as in the release. In exact arithmetic both give the
        same loss and the same gradient, since equal classifiers give equal scores.

    Returns
    -------
    Scalar, float32 at least. At chance each axis is log(batch); a batch of one gives 0.
    """
    with torch.autocast(logits.device.type, enabled=False):
        dtype = torch.promote_types(logits.dtype, torch.float32)
        scores = logits.to(dtype) @ mixed_labels.to(dtype).T
        return contrast(scores, axes, class_ids)


def mixed_scores(
    logits: Tensor, labels: Tensor, partner_labels: Tensor, coefficients: Tensor
) -> Tensor:
    """The scores of `infinite_class_loss` for labels of which two at most are not zero.

    S[i, j] = l_j logits[i, a_j] + (1 - l_j) logits[i, b_j] for the pair j of classes a and b, of
    which a has the share l. Nothing is multiplied but these two columns, so that the scores have
    the precision of the logits where a matrix product would be one of TF32.

    Parameters
    ----------
    logits : [batch, classes]
    labels, partner_labels : int64 [pairs]
    coefficients : [pairs]
        The share of the label itself.

    Returns
    -------
    [batch, pairs], float32 at least.
    """
    precise = logits.to(torch.promote_types(logits.dtype, torch.float32))
    share = coefficients.to(precise.dtype)
    own, other = precise.index_select(1, labels), precise.index_select(1, partner_labels)
    return share * own + (1 - share) * other


def contrast(scores: Tensor, axes: Axes, class_ids: Tensor | None = None) -> Tensor:
    """The cross-entropy of square scores against their diagonal, along the axes asked for.

    Parameters
    ----------
    scores : [batch, batch]
        Images by mixed classifiers.
    axes, class_ids
        As for `infinite_class_loss`.
    """
    if class_ids is None:
        targets = torch.arange(len(scores), device=scores.device)
    else:
        same = (class_ids.unsqueeze(0) == class_ids.unsqueeze(1)).to(scores.dtype)
        targets = same / same.sum(dim=1, keepdim=True)
    loss = scores.new_zeros(())
    if axes in ("class", "both"):
        loss = loss + functional.cross_entropy(scores, targets)
    if axes in ("pair", "both"):
        loss = loss + functional.cross_entropy(scores.T, targets)
    return loss


class InfiniteClass(Mixup):
    """Turns a method that mixes pairs into its Infinite Class variant."""

    paper: ClassVar[str] = "Mensink and Mettes, Infinite Class Mixup, BMVC 2023 (arXiv 2305.10293)"

    axes: Axes = Field("both", description="softmax over classifiers, over images, or both summed")
    duplicates: Literal["negative", "share"] = Field(
        "negative", description="pairs of one mixed class: negatives, or they share the target"
    )

    def target_loss(self, logits: Tensor, batch: Batch) -> Tensor:
        """What the mixed images are asked to be: one class among those of the batch."""
        class_ids = None
        partner_labels = batch.labels[batch.partners]
        shares = self.label_coefficients(batch)
        if self.duplicates == "share":
            class_ids = mixed_class_ids(batch.labels, partner_labels, shares, batch.num_classes)
        if _products_are_rounded(logits):
            scores = mixed_scores(logits, batch.labels, partner_labels, shares)
            return contrast(scores, self.axes, class_ids)
        return infinite_class_loss(logits, self.mixed_labels(batch), self.axes, class_ids)


def _products_are_rounded(logits: Tensor) -> bool:
    """Whether a float32 matrix product of these logits would be one of TF32.

    Elsewhere the product is kept: it differs from `mixed_scores` in the last bit, and runs that
    are published would no longer give the same predictions.
    """
    return logits.is_cuda and torch.backends.cuda.matmul.allow_tf32


@register("ic-mixup")
class ICMixup(InfiniteClass):
    """IC-Mixup: Mixup's pairs, each a class of its own."""

    paper: ClassVar[str] = InfiniteClass.paper
    twin: ClassVar[str] = "mixup"


@register("ic-remix")
class ICRemix(Remix, InfiniteClass):
    """IC-Remix: Remix's pairs, each a class of its own, built from Remix's label shares.

    The authors' release has no IC-Remix that runs; kappa and tau are Remix's.
    """

    paper: ClassVar[str] = InfiniteClass.paper
    twin: ClassVar[str] = "remix"


@register("ic-regmixup")
class ICRegMixup(RegMixup, InfiniteClass):
    """IC-RegMixup: RegMixup whose mixed images are each a class of their own."""

    paper: ClassVar[str] = InfiniteClass.paper
    twin: ClassVar[str] = "regmixup"
