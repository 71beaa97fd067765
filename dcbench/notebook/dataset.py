"""Images with labels as PyTorch's data loaders take them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch.utils.data import Dataset

from dcbench.data.parts import ImageSet


class SplitDataset(Dataset[tuple[Any, int]]):
    """Images with labels, as a `torch.utils.data.Dataset`.

    Attributes
    ----------
    images : uint8 [N, height, width, 3]
    labels : int64 [N]
    classes : tuple of str
        Names of the classes, by label.
    transform : callable, optional
        Applied to each image, a Pillow image; without it an item's image is a float32 tensor
        [3, height, width] in [0, 1].
    """

    def __init__(
        self,
        image_set: ImageSet,
        classes: tuple[str, ...],
        transform: Callable[[Any], Any] | None = None,
    ) -> None:
        self.images, self.labels = image_set.images, image_set.labels
        self.classes, self.transform = classes, transform

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Any, int]:
        pixels, label = self.images[index], int(self.labels[index])
        if self.transform is not None:
            return self.transform(Image.fromarray(pixels)), label
        planes = pixels.transpose(2, 0, 1).astype(np.float32) / 255
        return torch.from_numpy(planes), label

    def __repr__(self) -> str:
        height, width = self.images.shape[1:3]
        return f"{len(self)} images of {height} x {width} pixels, {len(self.classes)} classes"
