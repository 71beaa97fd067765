"""How much arithmetic a network takes, and how much the machine can do at most."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from dcbench.config.recipe import Recipe
from dcbench.models import build_model
from dcbench.runs.machine import synchronize
from dcbench.training.precision import autocast

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
    """The arithmetic of a network by name, on one square image."""
    with torch.device("meta"):
        network = build_model(model, num_classes)
        return count_flops(network, torch.empty(1, 3, image_size, image_size))


def count_flops(network: nn.Module, image: Tensor) -> Flops:
    """The arithmetic of a network as it was built, on one image [1, 3, height, width]."""
    outside = 0

    def note_padding(layer: nn.Module, inputs: tuple[Tensor], output: Tensor) -> None:
        nonlocal outside
        assert isinstance(layer, nn.Conv2d)
        products = 2 * output.numel() * layer.weight[0].numel()
        outside += round(products * (1 - inside_share(layer, inputs[0], output)))

    hooks = [
        layer.register_forward_hook(note_padding)
        for layer in network.modules()
        if isinstance(layer, nn.Conv2d)
    ]
    network.eval()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(image)
    for hook in hooks:
        hook.remove()
    total = counter.get_total_flops()
    return Flops(total, total - outside)


def inside_share(layer: nn.Conv2d, images: Tensor, maps: Tensor) -> float:
    """The share of a convolution's products that fall on the image and not on its padding."""
    if isinstance(layer.padding, str) or layer.padding_mode != "zeros":
        return 1.0
    share = 1.0
    for axis in (0, 1):
        size, length = images.shape[axis + 2], maps.shape[axis + 2]
        kernel, stride = layer.kernel_size[axis], layer.stride[axis]
        padding = int(layer.padding[axis])
        starts = [place * stride - padding for place in range(length)]
        inside = sum(0 <= start + tap < size for start in starts for tap in range(kernel))
        share *= inside / (length * kernel)
    return share


REPEATS = 5
MATRIX = {"cpu": 1024, "cuda": 8192}
CONVOLUTION_BATCH = {"cpu": 128, "cuda": 1024}
_CHANNELS, _SIZE = 64, 32


def matmul_speed(recipe: Recipe, device: torch.device) -> float:
    """FLOP per second of a square matrix product, in the recipe's precision."""
    size = MATRIX[device.type]
    left, right = torch.randn(2, size, size, device=device)
    return 2 * size**3 / _fastest(lambda: left @ right, recipe, device)


def convolution_speed(recipe: Recipe, device: torch.device) -> float:
    """FLOP per second of the forward pass of a 3x3 convolution, padding not counted."""
    batch = CONVOLUTION_BATCH[device.type]
    layer = nn.Conv2d(_CHANNELS, _CHANNELS, 3, padding=1, bias=False).to(device)
    layer.to(memory_format=torch.channels_last)
    images = torch.randn(batch, _CHANNELS, _SIZE, _SIZE, device=device)
    images = images.contiguous(memory_format=torch.channels_last)
    products = 2 * images.numel() * layer.weight[0].numel() * inside_share(layer, images, images)
    return products / _fastest(lambda: layer(images), recipe, device)


def _fastest(work: Callable[[], object], recipe: Recipe, device: torch.device) -> float:
    """Seconds of the fastest of several times, after one that warms up."""
    times = []
    with torch.no_grad(), autocast(recipe, device):
        for _ in range(REPEATS + 1):
            synchronize(device)
            began = time.perf_counter()
            work()
            synchronize(device)
            times.append(time.perf_counter() - began)
    return min(times[1:])
