"""What the machine can do at most: a large matrix product and a large 3x3 convolution."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch
from torch import nn

from dcbench.config.recipe import Recipe
from dcbench.runs.flops import inside_share
from dcbench.runs.machine import synchronize
from dcbench.training.precision import autocast

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
