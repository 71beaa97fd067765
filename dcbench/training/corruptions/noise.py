"""Noise: images are float64 [B, H, W, 3] in [0, 1], and so are results before they are cut off."""

from __future__ import annotations

import torch
from torch import Tensor

from dcbench.training.corruptions.chance import Chance


def gaussian_noise(images: Tensor, deviation: float, chance: Chance) -> Tensor:
    """Add normal noise to every value."""
    return images + deviation * chance.normal("noise", images.shape)


def shot_noise(images: Tensor, photons: float, chance: Chance) -> Tensor:
    """Count photons: Poisson numbers whose mean is `photons` for white."""
    return chance.poisson("photons", images * photons) / photons


def impulse_noise(images: Tensor, amount: float, chance: Chance) -> Tensor:
    """Make a share of all values 0 or 1, each by half."""
    flipped = chance.uniform("flipped", images.shape) <= amount
    salted = chance.uniform("salted", images.shape) <= 0.5
    return torch.where(flipped, salted.to(images.dtype), images)
