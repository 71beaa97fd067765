"""The table of corruptions with their constants, and how one is made."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dcbench.config.image_sets import SEVERITIES
from dcbench.training.corruptions import blur, digital, noise, weather
from dcbench.training.corruptions.chance import Chance

_BATCH = 1000

Function = Callable[[Tensor, Any, Chance], Tensor]


class Corruption(NamedTuple):
    """A corruption and its constants at the severities 1 to 5, as in CIFAR-10-C."""

    apply: Function
    levels: tuple[Any, Any, Any, Any, Any]


TABLE: dict[str, Corruption] = {
    "gaussian_noise": Corruption(noise.gaussian_noise, (0.04, 0.06, 0.08, 0.09, 0.10)),
    "shot_noise": Corruption(noise.shot_noise, (500, 250, 100, 75, 50)),
    "impulse_noise": Corruption(noise.impulse_noise, (0.01, 0.02, 0.03, 0.05, 0.07)),
    "defocus_blur": Corruption(
        blur.defocus_blur, ((0.3, 0.4), (0.4, 0.5), (0.5, 0.6), (1, 0.2), (1.5, 0.1))
    ),
    "glass_blur": Corruption(
        blur.glass_blur, ((0.05, 1), (0.25, 1), (0.4, 1), (0.25, 2), (0.4, 2))
    ),
    "motion_blur": Corruption(blur.motion_blur, ((6, 1), (6, 1.5), (6, 2), (8, 2), (9, 2.5))),
    "zoom_blur": Corruption(blur.zoom_blur, (1.06, 1.11, 1.16, 1.21, 1.26)),
    "snow": Corruption(
        weather.snow,
        (
            (0.1, 0.2, 1, 0.6, 8, 3, 0.95),
            (0.1, 0.2, 1, 0.5, 10, 4, 0.9),
            (0.15, 0.3, 1.75, 0.55, 10, 4, 0.9),
            (0.25, 0.3, 2.25, 0.6, 12, 6, 0.85),
            (0.3, 0.3, 1.25, 0.65, 14, 12, 0.8),
        ),
    ),
    "frost": Corruption(weather.frost, ((1, 0.2), (1, 0.3), (0.9, 0.4), (0.85, 0.4), (0.75, 0.45))),
    "fog": Corruption(weather.fog, ((0.2, 3), (0.5, 3), (0.75, 2.5), (1, 2), (1.5, 1.75))),
    "brightness": Corruption(weather.brightness, (0.05, 0.1, 0.15, 0.2, 0.3)),
    "contrast": Corruption(digital.contrast, (0.75, 0.5, 0.4, 0.3, 0.15)),
    "elastic_transform": Corruption(
        digital.elastic_transform,
        ((0, 0, 0.08), (0.05, 0.2, 0.07), (0.08, 0.06, 0.06), (0.1, 0.04, 0.05), (0.1, 0.03, 0.03)),
    ),
    "pixelate": Corruption(digital.pixelate, (0.95, 0.9, 0.85, 0.75, 0.65)),
    "jpeg_compression": Corruption(digital.jpeg_compression, (80, 65, 58, 50, 40)),
}


def corrupt(
    images: NDArray[np.uint8], name: str, severity: int, device: torch.device
) -> NDArray[np.uint8]:
    """Images [N, H, W, 3] with a corruption of `TABLE` at a severity of 1 to 5.

    An image's chance depends on its place among the images alone. Arithmetic is in float64 and
    results are cut off to whole numbers, as in the authors' script.
    """
    corruption = TABLE[name]
    level = corruption.levels[SEVERITIES.index(severity)]
    chance = Chance(name, device)
    made = []
    for first in range(0, len(images), _BATCH):
        pixels = torch.tensor(images[first : first + _BATCH], device=device)
        changed = corruption.apply(pixels.double() / 255, level, chance)
        made.append((changed.clamp(0, 1) * 255).byte().cpu().numpy())
    return np.concatenate(made)
