"""What corruptions share: linear filters as matrices, shifts along a line, bilinear sampling."""

from __future__ import annotations

import functools
import math
from typing import Literal

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor
from torch.nn.functional import conv2d, pad

_Border = Literal["nearest", "reflect"]


def apply_matrix(images: Tensor, rows: Tensor, columns: Tensor | None = None) -> Tensor:
    """A separable filter: [out, H] over the rows and [out, W] over the columns of [B, H, W, C]."""
    right = rows if columns is None else columns
    return torch.einsum("ph,bhwc,qw->bpqc", rows, images, right)


@functools.cache
def _gaussian(size: int, sigma: float, mode: _Border, truncate: float) -> Tensor:
    if sigma == 0:
        return torch.eye(size, dtype=torch.float64)
    identity = np.eye(size)
    matrix = ndimage.gaussian_filter1d(identity, sigma, axis=0, mode=mode, truncate=truncate)
    return torch.from_numpy(matrix)


def gaussian_blur(
    images: Tensor, sigma: float, *, mode: _Border = "nearest", truncate: float = 4.0
) -> Tensor:
    """Blur [B, H, W, C] as SciPy's `gaussian_filter`."""
    rows, columns = (
        _gaussian(size, sigma, mode, truncate).to(images.device) for size in images.shape[1:3]
    )
    return apply_matrix(images, rows, columns)


@functools.cache
def _zoom(size: int, factor: float) -> Tensor:
    """[size, size]: the middle of a line, stretched linearly as SciPy's `zoom`, and its middle."""
    kept = math.ceil(size / factor)
    first = (size - kept) // 2
    stretched = ndimage.zoom(np.eye(kept), (factor, 1), order=1)
    trim = (len(stretched) - size) // 2
    matrix = np.zeros((size, size))
    matrix[:, first : first + kept] = stretched[trim : trim + size]
    return torch.from_numpy(matrix)


def zoom_in(images: Tensor, factor: float) -> Tensor:
    """The middle of [B, H, W, C], enlarged by a factor of 1 or more to the whole size."""
    rows, columns = (_zoom(size, factor).to(images.device) for size in images.shape[1:3])
    return apply_matrix(images, rows, columns)


def correlate(images: Tensor, kernel: Tensor) -> Tensor:
    """Each channel of [B, H, W, C] with a kernel [k, k]; borders are mirrored without the edge."""
    margin = len(kernel) // 2
    planes = images.permute(0, 3, 1, 2)
    padded = pad(planes.reshape(-1, 1, *planes.shape[2:]), [margin] * 4, mode="reflect")
    return conv2d(padded, kernel[None, None]).reshape(planes.shape).permute(0, 2, 3, 1)


def motion_blur(images: Tensor, radius: int, sigma: float, degrees: Tensor) -> Tensor:
    """Blur each of [B, H, W, C] along a line at its own angle [B].

    Half a Gaussian of 2 `radius` + 1 whole-pixel shifts, edges repeated; what would leave the image
    altogether is left out, as in the package `imagecorruptions`, whose stand-in for ImageMagick's
    motion blur this is.
    """
    batch, height, width = images.shape[:3]
    steps = 2 * radius + 1
    weights = torch.exp(-(torch.arange(steps, dtype=torch.float64) ** 2) / (2 * sigma**2))
    weights /= weights.sum()
    angles = torch.deg2rad(degrees)
    inside = torch.ones(batch, dtype=torch.bool, device=images.device)
    blurred = torch.zeros_like(images)
    for step in range(steps):
        down = -torch.ceil(step * torch.sin(angles) - 0.5).long()
        right = -torch.ceil(step * torch.cos(angles) - 0.5).long()
        inside &= (down.abs() < height) & (right.abs() < width)
        share = weights[step].item() * inside.to(images.dtype)
        blurred += share.view(-1, 1, 1, 1) * shifted(images, down, right)
    return blurred


def shifted(images: Tensor, down: Tensor, right: Tensor) -> Tensor:
    """Each of [B, H, W, C] moved by its own whole numbers of pixels [B]; edges are repeated."""
    batch, height, width = images.shape[:3]
    device = images.device
    rows = (torch.arange(height, device=device) - down[:, None]).clamp(0, height - 1)
    columns = (torch.arange(width, device=device) - right[:, None]).clamp(0, width - 1)
    number = torch.arange(batch, device=device).view(-1, 1, 1)
    return images[number, rows[:, :, None], columns[:, None, :]]


def sample(images: Tensor, rows: Tensor, columns: Tensor, *, edge_twice: bool) -> Tensor:
    """[B, H, W, C] at real-valued places [B, H, W], bilinear, mirrored beyond the borders.

    Parameters
    ----------
    edge_twice : bool
        Mirror about the edge of the outer pixels (SciPy's `reflect`) and not about their middle.
    """
    number = torch.arange(len(images), device=images.device).view(-1, 1, 1)
    height, width = images.shape[1:3]
    top, left = rows.floor(), columns.floor()
    down, right = (rows - top).unsqueeze(-1), (columns - left).unsqueeze(-1)

    def pixels(below: int, beside: int) -> Tensor:
        row = _mirrored(top.long() + below, height, edge_twice)
        column = _mirrored(left.long() + beside, width, edge_twice)
        return images[number, row, column]

    upper = pixels(0, 0) * (1 - right) + pixels(0, 1) * right
    lower = pixels(1, 0) * (1 - right) + pixels(1, 1) * right
    return upper * (1 - down) + lower * down


def _mirrored(places: Tensor, size: int, edge_twice: bool) -> Tensor:
    if edge_twice:
        wrapped = places.remainder(2 * size)
        return torch.minimum(wrapped, 2 * size - 1 - wrapped)
    wrapped = places.remainder(2 * (size - 1))
    return torch.minimum(wrapped, 2 * (size - 1) - wrapped)
