"""How much arithmetic a network takes."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

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


def forward_flops(model: str, num_classes: int, image_size: int = 32) -> Flops:
    """The arithmetic of a network on one square image."""
    outside = 0

    def note_padding(layer: nn.Module, inputs: tuple[Tensor], output: Tensor) -> None:
        nonlocal outside
        assert isinstance(layer, nn.Conv2d)
        products = 2 * output.numel() * layer.weight[0].numel()
        outside += round(products * (1 - inside_share(layer, inputs[0], output)))

    with torch.device("meta"):
        network = build_model(model, num_classes).eval()
        image = torch.empty(1, 3, image_size, image_size)
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
