"""One .npz file with images and labels, divided into train and test or not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dcbench.config.reading import GIB, read_file
from dcbench.config.text import in_brief
from dcbench.data.formats import Piece
from dcbench.data.own_images import OwnImages, check_labels
from dcbench.data.pictures import in_size
from dcbench.errors import DataError, MissingData
from dcbench.records.arrays import unpack

_MOST_BYTES = 8 * GIB
_NAMES = "class_names"
_DIVIDED = (("{part}_images", "{part}_labels"), ("x_{part}", "y_{part}"))
_WHOLE = ("images", "labels")

Arrays = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class NpzImages(OwnImages):
    """Arrays of a file that `numpy.savez` or `numpy.savez_compressed` wrote.

    `images` (uint8 [N, height, width], or with a last axis of 1 or 3 channels) and `labels` (whole
    numbers from 0, [N] or [N, 1]), of which `test` says what is held out; or `train_images`,
    `train_labels`, `test_images` and `test_labels`, as MedMNIST has them; or `x_train`, `y_train`,
    `x_test` and `y_test`. `class_names` may name the classes.
    """

    def files(self, root: Path) -> Path | None:
        """The file."""
        return Path(self.place)

    def class_names(self, root: Path) -> tuple[str, ...]:
        """Those that the file has; else the numbers of the classes."""
        return self._class_names(self._arrays())

    def sizes(self, root: Path) -> set[tuple[int, int]]:
        """Height and width of each array of images."""
        arrays = self._arrays()
        parts = ("train", "test") if self._keys(arrays, "train") != _WHOLE else ("train",)
        shapes = [self._pictures(arrays, part)[0].shape for part in parts]
        return {(shape[1], shape[2]) for shape in shapes}

    def read(self, root: Path, part: str) -> Piece:
        """The images of a part, in the order of the file."""
        arrays = self._arrays()
        images, labels = self._pictures(arrays, part)
        check_labels(labels, len(self._class_names(arrays)), self.place)
        if self._keys(arrays, part) == _WHOLE:
            rows = self.rows(part, list(map(str, range(len(labels)))), labels)
            images, labels = images[rows], labels[rows]
        else:
            self.refuse_share("has arrays for train and test")
        assert self.size is not None
        return Piece(_in_size(images, self.size), labels)

    def _arrays(self) -> Arrays:
        path = Path(self.place)
        if not path.exists():
            raise MissingData(f"{path}: there is no such file")
        content = read_file(path, most=_MOST_BYTES, links=True)
        try:
            return unpack(content)
        except Exception as problem:  # of the many kinds that NumPy and zipfile have
            raise DataError(f"{path}: not a readable .npz file: {in_brief(problem)}") from None

    def _keys(self, arrays: Arrays, part: str) -> tuple[str, str]:
        """The names of the images and the labels of a part."""
        named = [
            (images.format(part=part), labels.format(part=part)) for images, labels in _DIVIDED
        ]
        for keys in (*named, _WHOLE):
            if set(keys) <= arrays.keys():
                return keys
        raise DataError(
            f"{self.place}: has {', '.join(sorted(arrays)) or 'nothing'}; should have images and "
            "labels, or train_images, train_labels, test_images and test_labels"
        )

    def _pictures(self, arrays: Arrays, part: str) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
        """Images [N, height, width, 3] and labels [N]."""
        keys = self._keys(arrays, part)
        images, labels = (arrays[key] for key in keys)
        if images.ndim == 3:
            images = images[..., None]
        if images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] not in (1, 3):
            raise DataError(
                f"{self.place}: {keys[0]} is {images.dtype} {list(images.shape)}; should be uint8 "
                "[N, height, width] or [N, height, width, channels] with 1 or 3 channels"
            )
        labels = labels[:, 0] if labels.ndim == 2 and labels.shape[1] == 1 else labels
        if labels.dtype.kind not in "iu" or labels.shape != images.shape[:1]:
            raise DataError(
                f"{self.place}: {keys[1]} is {labels.dtype} {list(labels.shape)}; should be "
                f"{len(images)} whole numbers"
            )
        return np.broadcast_to(images, (*images.shape[:3], 3)), labels.astype(np.int64)

    def _class_names(self, arrays: Arrays) -> tuple[str, ...]:
        if _NAMES in arrays:
            return tuple(map(str, arrays[_NAMES].ravel()))
        labels = [self._pictures(arrays, part)[1] for part in ("train", "test")]
        largest = max(int(each.max(initial=-1)) for each in labels)
        if not 0 < largest < 10_000:
            raise DataError(f"{self.place}: labels up to {largest}; should be 0 to the last class")
        return tuple(map(str, range(largest + 1)))


def _in_size(images: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    if images.shape[1:3] == size:
        return np.ascontiguousarray(images)
    return np.stack([in_size(Image.fromarray(np.ascontiguousarray(each)), size) for each in images])
