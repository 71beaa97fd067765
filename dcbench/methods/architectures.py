"""Cross-entropy on a network that is built for little data: other convolutions, stem or head."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from dcbench.methods.base import Task
from dcbench.methods.mixup import ERM
from dcbench.methods.registry import register

if TYPE_CHECKING:
    from torch import nn


@register("harmonic")
class Harmonic(ERM):
    """Harmonic networks: kernels are weighted sums of fixed cosine functions.

    Ulicny et al., Harmonic Networks for Image Classification, BMVC 2019. The first layer convolves
    with the functions, normalizes, and combines; 1x1 convolutions stay. The authors train a
    WRN-16-8 with dropout for 4000 epochs; here the recipe is the protocol's.
    """

    paper: ClassVar[str] = (
        "Ulicny et al., Harmonic Networks for Image Classification, BMVC 2019 (arXiv 2001.06570)"
    )
    family: ClassVar[str] = "harmonic"
    twin: ClassVar[str] = "erm"
    ranges: ClassVar = {"level": [None, 2, 3]}

    level: int | None = Field(
        None, ge=1, description="only functions whose two frequencies sum to less; none: all"
    )

    def network(self, build: Callable[[], nn.Module], task: Task) -> nn.Module:
        """The recipe's network with harmonic convolutions."""
        from dcbench.models.harmonic import make_harmonic

        return make_harmonic(build(), self.level)


@register("f-conv")
class FullConvolution(ERM):
    """F-Conv: convolutions padded so that a kernel meets every pixel at each of its positions.

    Kayhan and van Gemert, On Translation Invariance in CNNs: Convolutional Layers can Exploit
    Absolute Spatial Location, CVPR 2020. The GEM benchmark's version starts the convolutions at
    PyTorch's defaults (`init="pytorch"`), having put new ones in.
    """

    paper: ClassVar[str] = (
        "Kayhan and van Gemert, On Translation Invariance in CNNs: Convolutional Layers can "
        "Exploit Absolute Spatial Location, CVPR 2020 (arXiv 2003.07064)"
    )
    family: ClassVar[str] = "f-conv"
    twin: ClassVar[str] = "erm"
    ranges: ClassVar = {"init": ["network", "pytorch"]}

    init: Literal["network", "pytorch"] = Field(
        "network", description="initial weights as the network has them, or PyTorch's defaults"
    )

    def network(self, build: Callable[[], nn.Module], task: Task) -> nn.Module:
        """The recipe's network with full convolutions."""
        from dcbench.models.full_conv import make_fully_convolutional

        return make_fully_convolutional(build(), reset=self.init == "pytorch")


@register("scattering")
class ScatteringHybrid(ERM):
    """Deep hybrid networks: a fixed scattering transform in the place of the first layers.

    Oyallon et al., Scaling the Scattering Transform: Deep Hybrid Networks, ICCV 2017. The network
    is that of the GEM benchmark, which however enlarges the images: it resizes by 25 % and crops.
    Needs the extra `scattering`.
    """

    paper: ClassVar[str] = (
        "Oyallon et al., Scaling the Scattering Transform: Deep Hybrid Networks, ICCV 2017 "
        "(arXiv 1703.08961)"
    )
    family: ClassVar[str] = "scattering"
    twin: ClassVar[str] = "erm"
    ranges: ClassVar = {"scales": [1, 2, 3]}

    scales: int = Field(
        2, ge=1, le=4, description="J: the maps are smaller than the images by 2 to this power"
    )

    def network(self, build: Callable[[], nn.Module], task: Task) -> nn.Module:
        """The recipe's network behind a scattering transform."""
        from dcbench.models.scattering import make_hybrid

        return make_hybrid(build(), self.scales, task.image_size)


@register("t-vmf")
class TvMF(ERM):
    """T-vMF similarity: a feature has to point close to its class's vector, with a heavy tail.

    Kobayashi, T-vMF Similarity for Regularizing Intra-Class Feature Distribution, CVPR 2021. The
    logits carry the learned scale, which the official code applies in the loss alone.
    """

    paper: ClassVar[str] = (
        "Kobayashi, T-vMF Similarity for Regularizing Intra-Class Feature Distribution, CVPR 2021"
    )
    family: ClassVar[str] = "t-vmf"
    twin: ClassVar[str] = "erm"
    ranges: ClassVar = {"kappa": (1.0, 64.0)}

    kappa: float = Field(
        16.0, gt=-0.5, description="concentration around the class's vector; 0: the cosine"
    )

    def network(self, build: Callable[[], nn.Module], task: Task) -> nn.Module:
        """The recipe's network with a t-vMF head for its classifier `fc`."""
        from dcbench.models.heads import TvMFHead
        from dcbench.models.layers import classifier_of

        network = build()
        classifier = classifier_of(network, self.name)
        network.fc = TvMFHead(classifier.in_features, task.num_classes, self.kappa)
        return network
