"""Blur: images are float64 [B, H, W, 3] in [0, 1]."""

from __future__ import annotations

import functools

import numpy as np
import torch
from torch import Tensor

from dcbench.training.corruptions import filters
from dcbench.training.corruptions.chance import Chance


def defocus_blur(images: Tensor, level: tuple[float, float], chance: Chance) -> Tensor:
    """Average over a disk of a radius, whose rim is smoothed by a Gaussian of a deviation."""
    return filters.correlate(images, _disk(*level).to(images.device))


@functools.cache
def _disk(radius: float, deviation: float) -> Tensor:
    """[k, k], summing to one; the Gaussian is of three pixels (five, from a radius of 9)."""
    reach = 1 if radius <= 8 else 2
    size = int(radius) + reach
    places = np.arange(-size, size + 1)
    disk = (places[:, None] ** 2 + places**2 <= radius**2).astype(np.float64)
    rim = np.exp(-(np.arange(-reach, reach + 1) ** 2) / (2 * deviation**2))
    smooth = np.apply_along_axis(np.convolve, 0, disk / disk.sum(), rim / rim.sum(), mode="same")
    smooth = np.apply_along_axis(np.convolve, 1, smooth, rim / rim.sum(), mode="same")
    return torch.from_numpy(smooth)


def glass_blur(images: Tensor, level: tuple[float, int], chance: Chance) -> Tensor:
    """Blur, take every pixel but those near the edge from itself or a neighbour, blur again.

    `level` is the blur's deviation, and how often pixels are moved. The authors' code swaps pixels
    through views of one array, which copies them; that is what CIFAR-10-C has.
    """
    deviation, times = level
    batch, height, width = images.shape[:3]
    bytes_ = (filters.gaussian_blur(images, deviation) * 255).floor()
    rows = torch.arange(height, device=images.device).view(1, -1, 1)
    columns = torch.arange(width, device=images.device).view(1, 1, -1)
    movable = (rows > 1) & (columns > 1)
    number = torch.arange(batch, device=images.device).view(-1, 1, 1)
    for turn in range(times):
        # Sources lie above and to the left, and the code goes up and to the left: all at once.
        moved = chance.integers(f"moves-{turn}", 2, (batch, height, width, 2)) * movable[..., None]
        bytes_ = bytes_[number, rows - moved[..., 1], columns - moved[..., 0]]
    return filters.gaussian_blur(bytes_ / 255, deviation)


def motion_blur(images: Tensor, level: tuple[int, float], chance: Chance) -> Tensor:
    """Blur along a line at an angle of -45 to 45 degrees, by a radius and a deviation."""
    degrees = 90 * chance.uniform("angle", images.shape[:1]) - 45
    return filters.motion_blur(images, *level, degrees)


def zoom_blur(images: Tensor, largest: float, chance: Chance) -> Tensor:
    """The mean of the image and of itself enlarged by 1, 1.01, … up to less than `largest`."""
    factors = np.arange(1, largest, 0.01)
    enlarged = sum(filters.zoom_in(images, float(factor)) for factor in factors)
    return (images + enlarged) / (len(factors) + 1)
