"""Weather: images are float64 [B, H, W, 3] in [0, 1]."""

from __future__ import annotations

import functools

import numpy as np
import torch
from torch import Tensor

from dcbench.config.paths import shipped_root
from dcbench.training.corruptions import filters
from dcbench.training.corruptions.chance import Chance

_GRAY = (0.299, 0.587, 0.114)


def snow(
    images: Tensor, level: tuple[float, float, float, float, int, float, float], chance: Chance
) -> Tensor:
    """Flakes that fall, and the same turned by half a circle, before a whitened image.

    `level`: mean and deviation of the flakes, their enlargement, the brightness below which there
    are none, radius and deviation of the motion blur, the share of the image that is not whitened.
    """
    mean, deviation, factor, threshold, radius, sigma, kept = level
    flakes = mean + deviation * chance.normal("flakes", (*images.shape[:3], 1))
    flakes = filters.zoom_in(flakes, factor)
    flakes = torch.where(flakes < threshold, 0.0, flakes).clamp(0, 1)
    degrees = 90 * chance.uniform("angle", images.shape[:1]) - 135
    # Before and after the blur the layer is a picture of bytes.
    fallen = filters.motion_blur((flakes * 255).floor(), radius, sigma, degrees)
    layer = fallen.round() / 255
    gray = images @ torch.tensor(_GRAY, dtype=images.dtype, device=images.device)
    whitened = torch.maximum(images, gray.unsqueeze(-1) * 1.5 + 0.5)
    return kept * images + (1 - kept) * whitened + layer + layer.flip(1, 2)


def frost(images: Tensor, level: tuple[float, float], chance: Chance) -> Tensor:
    """The image and a piece of a photograph of frost, by their shares."""
    own, share = level
    batch, height, width = images.shape[:3]
    textures = [_at_least(each.to(images.device), height, width) for each in _textures()]
    which = chance.integers("texture", len(textures), (batch,))
    places = chance.uniform("place", (batch, 2))
    pieces = torch.empty_like(images)
    for number, texture in enumerate(textures):
        chosen = (which == number).nonzero().flatten()
        windows = texture.unfold(0, height, 1).unfold(1, width, 1)  # [rows, columns, 3, H, W]
        rows, columns = (
            (places[chosen, axis] * max(count - 1, 1)).long()
            for axis, count in enumerate(windows.shape[:2])
        )
        pieces[chosen] = windows[rows, columns].permute(0, 2, 3, 1)
    return own * images + share * pieces


def _at_least(texture: Tensor, height: int, width: int) -> Tensor:
    """A texture [h, w, 3] with its mirror image beside it where it is smaller than the images."""
    if texture.shape[0] <= height:
        texture = torch.cat([texture, texture.flip(0)])
    if texture.shape[1] <= width:
        texture = torch.cat([texture, texture.flip(1)], dim=1)
    return texture


@functools.cache
def _textures() -> list[Tensor]:
    """The five photographs, [H, W, 3] in [0, 1]."""
    with np.load(shipped_root() / "splits" / "corruptions" / "frost.npz") as arrays:
        return [torch.from_numpy(arrays[name] / 255) for name in sorted(arrays.files)]


def fog(images: Tensor, level: tuple[float, float], chance: Chance) -> Tensor:
    """Add a plasma fractal by its weight, and scale back to the image's own range.

    `level` is the weight, and by how much the fractal's roughness falls from one scale to the next.
    """
    weight, decay = level
    height, width = images.shape[1:3]
    size = 1 << (max(height, width) - 1).bit_length()
    shares = chance.uniform("fractal", (len(images), size * size - 1))
    plasma = plasma_fractal(shares, decay)[:, :height, :width, None]
    largest = images.amax(dim=(1, 2, 3), keepdim=True)
    return (images + weight * plasma) * largest / (largest + weight)


def plasma_fractal(shares: Tensor, decay: float) -> Tensor:
    """A height map [B, S, S] in [0, 1] by the diamond-square algorithm on a torus.

    Parameters
    ----------
    shares : float64 [B, S * S - 1]
        Uniform in [0, 1), a number for each point but the first; S is a power of two.
    decay : float
        What the displacement is divided by from one scale to the next.
    """
    size = round((shares.shape[1] + 1) ** 0.5)
    heights = torch.zeros(len(shares), size, size, dtype=shares.dtype, device=shares.device)
    step, roughness, used = size, 100.0, 0
    while step >= 2:
        count, half = size // step, step // 2

        def displaced(total: Tensor, roughness: float = roughness, count: int = count) -> Tensor:
            nonlocal used
            drawn = shares[:, used : used + count * count].view(-1, count, count)
            used += count * count
            return total / 4 + roughness * (2 * roughness * drawn - roughness)

        corners = heights[:, ::step, ::step]
        total = corners + corners.roll(-1, 1)
        heights[:, half::step, half::step] = displaced(total + total.roll(-1, 2))
        middles, corners = heights[:, half::step, half::step], heights[:, ::step, ::step]
        sideways = middles + middles.roll(1, 1) + corners + corners.roll(-1, 2)
        upright = middles + middles.roll(1, 2) + corners + corners.roll(-1, 1)
        heights[:, ::step, half::step] = displaced(sideways)
        heights[:, half::step, ::step] = displaced(upright)
        step, roughness = half, roughness / decay
    heights -= heights.amin(dim=(1, 2), keepdim=True)
    return heights / heights.amax(dim=(1, 2), keepdim=True)


def brightness(images: Tensor, added: float, chance: Chance) -> Tensor:
    """Add to the value of each pixel, at the same hue and saturation."""
    value = images.amax(dim=-1, keepdim=True)
    brighter = (value + added).clamp(0, 1)
    return torch.where(value > 0, images * brighter / value.clamp(min=1e-9), brighter)
