"""Mixing by a box, CutMix, and in a hidden layer, Manifold Mixup."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from dcbench.draws import Categorical, Law, Uniform
from dcbench.errors import RunError
from dcbench.methods.base import Batch, Network, Task
from dcbench.methods.infinite_class import InfiniteClass
from dcbench.methods.lazy import functional, torch
from dcbench.methods.mixing import mix_images
from dcbench.methods.mixup import Mixup
from dcbench.methods.registry import register

if TYPE_CHECKING:
    from torch import Tensor, nn


def paste_boxes(shares: Tensor, centers: Tensor, size: tuple[int, int]) -> Tensor:
    """The boxes of CutMix: where a partner's pixels are pasted, bool [batch, height, width].

    The side of a box is the image's times sqrt(1 - share), rounded down to a whole number and, by
    the halves on either side of the center, to an even one; what lies beyond the image is cut off.

    Parameters
    ----------
    shares : [batch]
        The share of the image itself that is aimed at.
    centers : [batch, 2]
        Row and column of the center, in [0, 1) of the image.
    size : (int, int)
        Height and width in pixels.
    """
    inside = []
    for axis, length in enumerate(size):
        half = ((1 - shares).clamp(min=0).sqrt() * length).long() // 2
        # A float32 below 1 times the length may be rounded up to the length.
        center = (centers[:, axis] * length).long().clamp(max=length - 1)
        pixels = torch.arange(length, device=shares.device)
        low, high = (center - half).unsqueeze(1), (center + half).unsqueeze(1)
        inside.append((pixels >= low) & (pixels < high))
    return inside[0].unsqueeze(2) & inside[1].unsqueeze(1)


@register("cutmix")
class CutMix(Mixup):
    """CutMix: a box of another image is pasted, and the labels are mixed by its area.

    Yun et al., CutMix: Regularization Strategy to Train Strong Classifiers with Localizable
    Features, ICCV 2019. Boxes are those of the official code. A batch that is not mixed, as half
    of them are not in its recipe for CIFAR, is learned as by ERM.
    """

    paper: ClassVar[str] = (
        "Yun et al., CutMix: Regularization Strategy to Train Strong Classifiers with Localizable "
        "Features, ICCV 2019 (arXiv 1905.04899)"
    )
    family: ClassVar[str] = "cutmix"
    twin: ClassVar[str] = "erm"
    ranges: ClassVar = {"alpha": (0.2, 5.0), "probability": (0.2, 1.0)}

    probability: float = Field(0.5, ge=0, le=1, description="share of the batches that are mixed")

    @property
    def draws(self) -> Mapping[str, Law]:
        """The center of the box, and a number that decides whether a batch is mixed."""
        return {
            "center": Uniform(shape=(2,), per=self.coefficient),
            "mixed": Uniform(per="batch"),
        }

    def is_mixed(self, batch: Batch) -> Tensor:
        """Whether this batch is mixed: bool []."""
        return batch.draws["mixed"] < self.probability

    def boxes(self, batch: Batch) -> Tensor:
        """Where each image has pixels of its partner: bool [batch, height, width]."""
        centers = batch.draws["center"].expand(len(batch.labels), 2)
        height, width = batch.images.shape[2:]
        boxes = paste_boxes(batch.coefficients, centers, (height, width))
        return boxes & self.is_mixed(batch)

    def mixed_images(self, batch: Batch) -> Tensor:
        """The images with a box of their partners [batch, 3, height, width]."""
        boxes = self.boxes(batch).unsqueeze(1)
        return torch.where(boxes, batch.images[batch.partners], batch.images)

    def label_coefficients(self, batch: Batch) -> Tensor:
        """The share of the image's own pixels [batch]."""
        return 1 - self.boxes(batch).to(batch.coefficients.dtype).mean(dim=(1, 2))


@register("ic-cutmix")
class ICCutMix(CutMix, InfiniteClass):
    """IC-CutMix: CutMix's pairs, each a class of its own; other batches as by ERM.

    It is not in the paper: Infinite Class Mixup's loss, with the label shares of CutMix.
    """

    paper: ClassVar[str] = InfiniteClass.paper
    twin: ClassVar[str] = "cutmix"

    def target_loss(self, logits: Tensor, batch: Batch) -> Tensor:
        """One class among those of the batch; of a batch that is not mixed, the label."""
        precise = logits.to(torch.promote_types(logits.dtype, torch.float32))
        clean = functional.cross_entropy(precise, batch.labels)
        return torch.where(self.is_mixed(batch), super().target_loss(logits, batch), clean)


_HIDDEN_LAYERS = 2


@register("manifold-mixup")
class ManifoldMixup(Mixup):
    """Manifold Mixup: images or, as often, their hidden maps are mixed, and their labels.

    Verma et al., Manifold Mixup: Better Representations by Interpolating Hidden States, ICML 2019.
    As in the official code, one layer for a batch, of three: the images, the end of the first stage
    of blocks, the end of the second. Its loss is a binary cross-entropy of the softmax; this one is
    the cross-entropy of soft labels, as in most other implementations.
    """

    paper: ClassVar[str] = (
        "Verma et al., Manifold Mixup: Better Representations by Interpolating Hidden States, "
        "ICML 2019 (arXiv 1806.05236)"
    )
    family: ClassVar[str] = "manifold-mixup"
    twin: ClassVar[str] = "mixup"
    compilable: ClassVar[bool] = False

    alpha: float = Field(2.0, gt=0, description="the coefficients come from Beta(alpha, alpha)")

    @property
    def draws(self) -> Mapping[str, Law]:
        """Which layer of a batch is mixed: 0, the images, or one of the hidden layers."""
        layers = 1 + _HIDDEN_LAYERS
        return {"layer": Categorical((1 / layers,) * layers, per="batch")}

    def network(self, build: Callable[[], nn.Module], task: Task) -> nn.Module:
        """The recipe's network, if it says where its first stages end."""
        network = build()
        if len(getattr(network, "stage_ends", ())) != _HIDDEN_LAYERS:
            raise RunError(
                f"method {self.name}: network {type(network).__name__} should have `stage_ends`, "
                f"the {_HIDDEN_LAYERS} modules whose outputs are mixed"
            )
        return network

    def loss(self, network: Network, batch: Batch) -> Tensor:
        """The target loss of the images that were mixed in the layer of this batch."""
        modules: tuple[nn.Module, ...] = getattr(network, "stage_ends")  # noqa: B009
        with contextlib.ExitStack() as stack:
            for layer, module in enumerate(modules, start=1):
                stack.enter_context(_mixed_output(module, batch, self._shares(batch, layer)))
            images = mix_images(batch.images, batch.partners, self._shares(batch, 0))
            logits = network(images)
        return self.target_loss(logits, batch)

    def _shares(self, batch: Batch, layer: int) -> Tensor:
        """The coefficients where this layer is mixed, else 1, by which a mixture changes nothing.

        So a step is the same whichever layer was drawn, and can be captured.
        """
        return batch.coefficients.masked_fill(batch.draws["layer"] != layer, 1.0)


@contextlib.contextmanager
def _mixed_output(module: nn.Module, batch: Batch, shares: Tensor) -> Iterator[None]:
    """Within, a module's output is mixed."""

    def mix(module: nn.Module, inputs: tuple[Any, ...], output: Tensor) -> Tensor:
        return mix_images(output, batch.partners, shares.to(output.dtype))

    handle = module.register_forward_hook(mix)
    try:
        yield
    finally:
        handle.remove()
