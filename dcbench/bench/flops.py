"""How much arithmetic a step takes."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from dcbench.bench.cases import IMAGE_SIZE, Content
from dcbench.methods import Batch
from dcbench.models import build_model

BACKWARD_AND_FORWARD = 3
"""A backward pass takes two times the products of a forward pass."""


class Flops(NamedTuple):
    """Floating point operations of one image's forward pass; a multiply-add counts as two.

    Attributes
    ----------
    all_taps : int
        As flop counters do it.
    inside : int
        Without the products of convolutions with the zeros around an image, which need not be
        computed.
    """

    all_taps: int
    inside: int


def forward_flops(model: str, num_classes: int) -> Flops:
    """The arithmetic of a network on one image."""
    outside = 0

    def note_padding(layer: nn.Module, inputs: tuple[Tensor], output: Tensor) -> None:
        nonlocal outside
        assert isinstance(layer, nn.Conv2d)
        products = 2 * output.numel() * layer.weight[0].numel()
        outside += round(products * (1 - inside_share(layer, inputs[0], output)))

    with torch.device("meta"):
        network = build_model(model, num_classes).eval()
        image = torch.empty(1, 3, IMAGE_SIZE, IMAGE_SIZE)
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d):
            layer.register_forward_hook(note_padding)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(image)
    total = counter.get_total_flops()
    return Flops(total, total - outside)


def inside_share(layer: nn.Conv2d, images: Tensor, maps: Tensor) -> float:
    """The share of a convolution's products that fall on the image and not on its padding."""
    share = 1.0
    for axis in (0, 1):
        size, length = images.shape[axis + 2], maps.shape[axis + 2]
        kernel, stride = layer.kernel_size[axis], layer.stride[axis]
        padding = int(layer.padding[axis])
        starts = [place * stride - padding for place in range(length)]
        inside = sum(0 <= start + tap < size for start in starts for tap in range(kernel))
        share *= inside / (length * kernel)
    return share


def passes(content: Content) -> float:
    """How many images the method sends through the network for each one that it trains on."""
    seen, size, classes = 0, 4, content.num_classes
    weight = torch.ones((), requires_grad=True)

    def network(images: Tensor) -> Tensor:
        nonlocal seen
        seen += len(images)
        return images.flatten(1)[:, :classes] * weight

    batch = Batch(
        images=torch.zeros(size, 3, IMAGE_SIZE, IMAGE_SIZE),
        labels=torch.arange(size) % classes,
        partners=torch.arange(size).flip(0),
        coefficients=torch.full((size,), 0.5),
        class_counts=torch.ones(classes),
    )
    content.method.loss(network, batch)
    return seen / size
