"""Images on the device, and the batches made of them: crop, flip, rotation, normalization.

A batch is exactly what torchvision's per-image pipeline (`RandomCrop`, `RandomHorizontalFlip`,
`RandomRotation`, `ToTensor`, `Normalize`) gives for the same draws, bit for bit.
"""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dcbench.draws import Draws

PUBLISHED_STATISTICS = {
    "cifar10": ((0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)),
    "cifar100": ((0.5071, 0.4865, 0.4409), (0.2673, 0.2564, 0.2762)),
}
"""Channel means and deviations that the papers' code uses, for pixels in [0, 1]."""

_FIXED_POINT = 1 << 16


def normalize(pixels: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """Bytes [..., 3] to standardized floats; `mean` and `std` are those of pixels in [0, 1]."""
    return pixels.float().div_(255).sub_(mean).div_(std)


class DeviceImages:
    """Training images that live on a device as bytes.

    Parameters
    ----------
    images : uint8 [N, H, W, 3]
    mean, std
        Of each channel, for pixels in [0, 1].
    padding, border
        Width of the border that crops may reach into, and whether it is black or a reflection.
    """

    def __init__(
        self,
        images: NDArray[np.uint8],
        *,
        mean: NDArray[np.float32],
        std: NDArray[np.float32],
        device: torch.device,
        padding: int = 0,
        border: Literal["zero", "reflect"] = "zero",
    ) -> None:
        mode: Literal["constant", "reflect"] = "constant" if border == "zero" else "reflect"
        margins = ((0, 0), (padding, padding), (padding, padding), (0, 0))
        padded = torch.from_numpy(np.pad(images, margins, mode=mode)).to(device)
        height, width = images.shape[1:3]
        orientations = torch.stack([padded, padded.flip(2)])
        windows = orientations.unfold(2, height, 1).unfold(3, width, 1)
        # [orientation, image, top, left, H, W, 3]: a view, so one index picks whole crops.
        self._windows = windows.permute(0, 1, 2, 3, 5, 6, 4)
        self._last_offset = 2 * padding
        self._mean = torch.from_numpy(mean).to(device)
        self._std = torch.from_numpy(std).to(device)
        self.device = device

    @property
    def image_size(self) -> tuple[int, int]:
        """Height and width of an image."""
        height, width = self._windows.shape[4:6]
        return height, width

    def addresses(self, draws: Draws) -> NDArray[np.int64]:
        """Where the pixels of each image are found, for `crops`: int64 [N, 4] or [N, 10].

        The columns are orientation, image, top and left; and, where there are angles, the six of
        `rotation_maps`.
        """
        top, left = draws.offsets.T
        # Windows are cut from an image that is mirrored already, whose crops count from its right.
        left = np.where(draws.flips, self._last_offset - left, left)
        columns = np.stack([draws.flips, draws.order, top, left], axis=1).astype(np.int64)
        if draws.angles.any():
            height, width = self._windows.shape[4:6]
            columns = np.hstack([columns, rotation_maps(draws.angles, height, width)])
        return columns

    def batch(self, draws: Draws) -> Tensor:
        """The images of some draws: float32 [B, 3, H, W], channels last in memory."""
        return self.crops(torch.from_numpy(self.addresses(draws)).to(self.device))

    def crops(self, addresses: Tensor) -> Tensor:
        """As `batch`, of addresses [B, 4 or 10] that are on the device."""
        flips, images, top, left = addresses[:, :4].unbind(1)
        pixels = self._windows[flips, images, top, left]
        if addresses.shape[1] > 4:
            pixels = rotate_nearest(pixels, addresses[:, 4:])
        return normalize(pixels, self._mean, self._std).permute(0, 3, 1, 2)


def rotate_nearest(images: Tensor, maps: Tensor) -> Tensor:
    """Rotate about the center, nearest neighbour, black outside.

    Parameters
    ----------
    images : uint8 [B, H, W, C]
    maps : int64 [B, 6]
        By how much and about where: `rotation_maps` of the angles.

    Notes
    -----
    The source of each pixel is found in 16.16 fixed point, as Pillow's `Image.rotate` does, so the
    result is the same to the pixel.
    """
    batch, height, width, channels = images.shape
    rows = torch.arange(height, device=images.device).view(1, height, 1)
    columns = torch.arange(width, device=images.device).view(1, 1, width)
    per_column, per_row, origin = maps.view(batch, 3, 2, 1, 1).unbind(1)
    source = (origin + per_column * columns.unsqueeze(1) + per_row * rows.unsqueeze(1)) >> 16
    x, y = source.unbind(1)
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    index = torch.where(inside, y * width + x, 0).view(batch, height * width, 1)
    flat = images.reshape(batch, height * width, channels)
    rotated = flat.gather(1, index.expand(-1, -1, channels)).view(images.shape)
    return rotated * inside.unsqueeze(-1)


def rotation_maps(angles: NDArray[np.float64], height: int, width: int) -> NDArray[np.int64]:
    """Where a rotated image's pixels come from, in 16.16 fixed point.

    Parameters
    ----------
    angles : float64 [B]
        Degrees, counter-clockwise.

    Returns
    -------
    int64 [B, 6]
        Steps of the source (x, y) per column, per row, and its place at the first pixel.
    """
    radians: NDArray[np.float64] = -np.deg2rad(np.mod(angles, 360.0))
    cos, sin = np.round(np.cos(radians), 15), np.round(np.sin(radians), 15)
    center_x, center_y = width / 2, height / 2
    per_column: NDArray[np.float64] = np.stack([cos, -sin], axis=1)
    per_row: NDArray[np.float64] = np.stack([sin, cos], axis=1)
    origin = np.stack(
        [center_x - cos * center_x - sin * center_y, center_y + sin * center_x - cos * center_y],
        axis=1,
    )

    def fixed(values: NDArray[np.float64]) -> NDArray[np.int64]:
        return np.floor(values * _FIXED_POINT + 0.5).astype(np.int64)

    first_pixel_center = origin + 0.5 * per_column + 0.5 * per_row
    return fixed(np.hstack([per_column, per_row, first_pixel_center]))


def channel_statistics(
    images: NDArray[np.uint8],
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Mean and population standard deviation of each channel, for pixels in [0, 1]."""
    pixels = images.reshape(-1, images.shape[-1]).astype(np.float64) / 255
    mean, std = pixels.mean(axis=0), pixels.std(axis=0)
    return mean.astype(np.float32), np.maximum(std, math.ulp(1.0)).astype(np.float32)


def normalization_statistics(
    name: Literal["split", "cifar10", "cifar100"], images: NDArray[np.uint8]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Channel means and deviations for pixels in [0, 1]: of the images, or published ones."""
    if name == "split":
        return channel_statistics(images)
    mean, std = PUBLISHED_STATISTICS[name]
    return np.array(mean, dtype=np.float32), np.array(std, dtype=np.float32)
