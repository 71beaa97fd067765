"""Digital corruptions: images are float64 [B, H, W, 3] in [0, 1], whole 255ths."""

from __future__ import annotations

import functools
import io

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from dcbench.training.corruptions import filters
from dcbench.training.corruptions.chance import Chance

_FIXED_POINT = 1 << 22


def contrast(images: Tensor, kept: float, chance: Chance) -> Tensor:
    """Move each channel towards its mean."""
    means = images.mean(dim=(1, 2), keepdim=True)
    return (images - means) * kept + means


def elastic_transform(images: Tensor, level: tuple[float, float, float], chance: Chance) -> Tensor:
    """An affine map of three moved points, then a smooth field of displacements.

    `level`, in widths of the image: length of the displacements, deviation of the Gaussian that
    smooths them, and how far the three points move.
    """
    batch, height, width = images.shape[:3]
    length, sigma, largest = (each * width for each in level)
    moves = largest * (2 * chance.uniform("points", (batch, 3, 2)) - 1)
    rows, columns = _affine_places(height, width, moves)
    warped = filters.sample(images, rows, columns, edge_twice=False)
    fields = 2 * chance.uniform("fields", (batch, height, width, 2)) - 1
    smooth = length * filters.gaussian_blur(fields, sigma, mode="reflect", truncate=3.0)
    right, down = smooth.unbind(-1)
    rows, columns = _grid(height, width, images)
    return filters.sample(warped, rows + down, columns + right, edge_twice=True)


def _grid(height: int, width: int, like: Tensor) -> tuple[Tensor, Tensor]:
    lines = [torch.arange(size, dtype=like.dtype, device=like.device) for size in (height, width)]
    rows, columns = torch.meshgrid(*lines, indexing="ij")
    return rows, columns


def _affine_places(height: int, width: int, moves: Tensor) -> tuple[Tensor, Tensor]:
    """Where each pixel comes from, rows and columns [B, H, W].

    Three points of a square about the middle go by `moves` [B, 3, 2], in x and y.
    """
    middle = torch.tensor([height // 2, width // 2], dtype=moves.dtype, device=moves.device)
    reach = min(height, width) // 3
    corners = torch.tensor([[1, 1], [1, -1], [-1, -1]], dtype=moves.dtype, device=moves.device)
    before = middle + reach * corners
    after = torch.cat([before + moves, torch.ones_like(moves[..., :1])], dim=-1)
    back = torch.linalg.solve(after, before.expand(len(moves), -1, -1))  # [B, 3, 2]
    rows, columns = _grid(height, width, moves)
    points = torch.stack([columns, rows, torch.ones_like(rows)], dim=-1)
    x, y = torch.einsum("hwk,bkc->bhwc", points, back).unbind(-1)
    return y, x


def pixelate(images: Tensor, share: float, chance: Chance) -> Tensor:
    """Make the image smaller and large again by Pillow's box filter."""
    height, width = images.shape[1:3]
    small = int(height * share), int(width * share)
    return _resized(_resized(images * 255, small), (height, width)) / 255


def _resized(pixels: Tensor, size: tuple[int, int]) -> Tensor:
    """Whole numbers [B, H, W, C] at another size, to the bit as Pillow: first along the rows."""
    rows, columns = (
        _box(old, new).to(pixels.device) for old, new in zip(pixels.shape[1:3], size, strict=True)
    )
    half = 1 << 21
    wide = torch.einsum("bhwc,qw->bhqc", pixels, columns)
    wide = ((wide + half) / _FIXED_POINT).floor()
    tall = torch.einsum("bhqc,ph->bpqc", wide, rows)
    return ((tall + half) / _FIXED_POINT).floor()


@functools.cache
def _box(old: int, new: int) -> Tensor:
    """[new, old]: the shares of a line's pixels, as whole multiples of 2^-22."""
    scale = old / new
    support = 0.5 * max(scale, 1.0)
    matrix = np.zeros((new, old))
    for place in range(new):
        center = (place + 0.5) * scale
        first = max(int(center - support + 0.5), 0)
        last = min(int(center + support + 0.5), old)
        offsets = (np.arange(first, last) - center + 0.5) / max(scale, 1.0)
        inside = ((offsets > -0.5) & (offsets <= 0.5)).astype(np.float64)
        matrix[place, first:last] = np.floor(inside / inside.sum() * _FIXED_POINT + 0.5)
    return torch.from_numpy(matrix)


def jpeg_compression(images: Tensor, quality: int, chance: Chance) -> Tensor:
    """Write and read each image as a JPEG file of that quality; on the host, by Pillow."""
    pixels = (images * 255).round().byte().cpu().numpy()
    decoded = torch.from_numpy(np.stack([_through_jpeg(each, quality) for each in pixels]))
    return decoded.to(images.device, images.dtype) / 255


def _through_jpeg(pixels: np.ndarray, quality: int) -> np.ndarray:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=quality)
    with Image.open(file, formats=["JPEG"]) as picture:
        return np.asarray(picture)
