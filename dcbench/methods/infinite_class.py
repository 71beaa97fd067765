"""Infinite Class Mixup: every mixture is a class of its own among those of its batch.

Mensink and Mettes, Infinite Class Mixup, BMVC 2023 (arXiv 2305.10293).
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, ClassVar, Literal, cast

from pydantic import Field

from dcbench.methods.base import Batch, Method, Network
from dcbench.methods.lazy import functional, torch
from dcbench.methods.mixup import Mixup, RegMixup, Remix
from dcbench.methods.registry import register

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor, nn

    from dcbench.methods.base import Task
    from dcbench.models.past_pairs import PastPairs

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


def contrast(
    scores: Tensor,
    axes: Axes,
    class_ids: Tensor | None = None,
    *,
    further_classifiers: Tensor | None = None,
    further_images: Tensor | None = None,
    image_offsets: Tensor | None = None,
) -> Tensor:
    """The cross-entropy of square scores against their diagonal, along the axes asked for.

    Parameters
    ----------
    scores : [batch, batch]
        Images by mixed classifiers.
    axes, class_ids
        As for `infinite_class_loss`.
    further_classifiers : [batch, past], optional
        Scores of the batch's images under other classifiers, which the class axis also has among
        its negatives. Where one is -inf, it is not there.
    further_images : [past, batch], optional
        Scores of other images under the batch's classifiers, likewise for the pair axis.
    image_offsets : [batch] or [batch + past], optional
        Added to the scores of each image, and of each further one, on the pair axis.
    """
    if class_ids is None:
        targets = torch.arange(len(scores), device=scores.device)
    else:
        same = (class_ids.unsqueeze(0) == class_ids.unsqueeze(1)).to(scores.dtype)
        targets = same / same.sum(dim=1, keepdim=True)
    loss = scores.new_zeros(())
    if axes in ("class", "both"):
        rows = scores
        if further_classifiers is not None:
            rows = torch.cat([rows, further_classifiers], dim=1)
        loss = loss + functional.cross_entropy(rows, targets)
    if axes in ("pair", "both"):
        columns = scores.T
        if further_images is not None:
            columns = torch.cat([columns, further_images.T], dim=1)
        if image_offsets is not None:
            columns = columns + image_offsets
        loss = loss + functional.cross_entropy(columns, targets)
    return loss


def log_frequencies(
    labels: Tensor, partner_labels: Tensor, coefficients: Tensor, class_counts: Tensor
) -> Tensor:
    """Mean logarithm of the classes' shares of the training images, in each mixture [batch].

    A class without images counts as one of a single image.
    """
    counts = class_counts.clamp(min=1)
    logs = (counts / counts.sum()).log()
    return coefficients * logs[labels] + (1 - coefficients) * logs[partner_labels]


@dataclass(frozen=True, eq=False, kw_only=True)
class BatchWithPast(Batch):
    """A batch, the pairs of batches before, and where this batch's logits are left for later."""

    past: PastPairs
    logits: list[Tensor] = field(default_factory=list)


class InfiniteClass(Mixup):
    """Turns a method that mixes pairs into its Infinite Class variant.

    Beyond the paper: a temperature of the scores, a prior of images on the pair axis, and a queue
    of pairs of earlier batches, for small ones. A past pair's classifier is mixed from the weights
    of now; its image keeps the logits that it had.
    """

    paper: ClassVar[str] = "Mensink and Mettes, Infinite Class Mixup, BMVC 2023 (arXiv 2305.10293)"
    retired: ClassVar = {
        "duplicates": {
            "share": "equal classifiers have equal scores, so that sharing the target among them "
            "gives the loss and the gradient of 'negative'; published rows keep it"
        }
    }

    axes: Axes = Field("both", description="softmax over classifiers, over images, or both summed")
    duplicates: Literal["negative", "share"] = Field(
        "negative", description="pairs of one mixed class are negatives of each other"
    )
    temperature: float = Field(1.0, gt=0, description="scores are divided by it")
    prior: float = Field(
        0.0, description="times the log frequency of its classes an image has on the pair axis"
    )
    queue: int = Field(0, ge=0, description="pairs of earlier batches that are negatives too")

    def network(self, build: Callable[[], nn.Module], task: Task) -> nn.Module:
        """The recipe's network, and where there is a queue, with room for its pairs."""
        network = super().network(build, task)
        if self.queue:
            from dcbench.models.past_pairs import PastPairs

            network.add_module(_QUEUE, PastPairs(self.queue, task.num_classes))
        return network

    def backward(self, network: nn.Module, batch: Batch) -> Tensor:
        """The loss's gradient; then the batch's pairs join the queue, if there is one."""
        if not self.queue:
            return super().backward(network, batch)
        past = cast("PastPairs", network.get_submodule(_QUEUE))
        known = BatchWithPast(
            **{each.name: getattr(batch, each.name) for each in fields(batch)}, past=past
        )
        loss = super().backward(network, known)
        # Only now: the gradient needs the queue as the loss saw it.
        partner_labels = batch.labels[batch.partners]
        past.push(known.logits[0], batch.labels, partner_labels, self.label_coefficients(batch))
        return loss

    def target_loss(self, logits: Tensor, batch: Batch) -> Tensor:
        """What the mixed images are asked to be: one class among those of the batch."""
        changed = self.temperature != 1 or self.prior != 0 or isinstance(batch, BatchWithPast)
        if changed or _products_are_rounded(logits):
            return self._indexed_loss(logits, batch)
        return infinite_class_loss(logits, self.mixed_labels(batch), self.axes)

    def _indexed_loss(self, logits: Tensor, batch: Batch) -> Tensor:
        """The same loss by `mixed_scores`, with what goes beyond the paper."""
        pairs = (batch.labels, batch.labels[batch.partners], self.label_coefficients(batch))
        scores = mixed_scores(logits, *pairs) / self.temperature
        offsets = log_frequencies(*pairs, batch.class_counts)
        of_classifiers = of_images = None
        if isinstance(batch, BatchWithPast):
            past = batch.past
            batch.logits.append(logits.detach())
            of_classifiers = past.masked(mixed_scores(logits, *past.pairs) / self.temperature, 1)
            of_images = past.masked(mixed_scores(past.logits, *pairs) / self.temperature, 0)
            past_offsets = log_frequencies(*past.pairs, batch.class_counts)
            offsets = torch.cat([offsets, past_offsets])
        return contrast(
            scores,
            self.axes,
            further_classifiers=of_classifiers,
            further_images=of_images,
            image_offsets=self.prior * offsets.to(scores.dtype) if self.prior else None,
        )


_QUEUE = "past_pairs"


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
    _on_equal_classes: ClassVar[str] = "ic-mixup"


@register("ic-regmixup")
class ICRegMixup(RegMixup, InfiniteClass):
    """IC-RegMixup: RegMixup whose mixed images are each a class of their own."""

    paper: ClassVar[str] = InfiniteClass.paper
    twin: ClassVar[str] = "regmixup"


@register("ic-erm")
class ICERM(Method):
    """IC-ERM: each image among the classes of its batch, unmixed; a diagnostic.

    Its class axis alone has the gradient of balanced softmax with the counts of the batch, and its
    loss is that one and the mean logarithm of these counts.
    """

    paper: ClassVar[str] = InfiniteClass.paper
    twin: ClassVar[str] = "erm"

    axes: Axes = Field("both", description="softmax over classifiers, over images, or both summed")

    def loss(self, network: Network, batch: Batch) -> Tensor:
        """The contrast of a batch's logits at the labels of its images."""
        logits = network(batch.images)
        precise = logits.to(torch.promote_types(logits.dtype, torch.float32))
        return contrast(precise.index_select(1, batch.labels), self.axes)
