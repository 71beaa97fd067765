"""What every dataset of one's own has: parts, classes, a size, and files that may change."""

from __future__ import annotations

import hashlib
import os
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dcbench.data.formats import Piece
from dcbench.data.rules import Rows
from dcbench.errors import DataError, UsageError

LARGEST = 64
"""Pixels of a side: networks, draws and times here are those of small images."""

MOST_IMAGES = 1_000_000
PARTS = ("train", "test")


@dataclass(frozen=True)
class OwnImages(ABC):
    """The images of a dataset of one's own; small, and read when they are asked for.

    Attributes
    ----------
    place : str
        Where they are: an absolute path, or the name of a class of torchvision.
    size : (int, int) or None
        Height and width that they have or get; None where that is yet to be found.
    test : float or None
        Share of each class that is tested on, where they are not divided already.
    """

    place: str
    size: tuple[int, int] | None
    test: float | None

    @property
    def title(self) -> str:
        """What it is called in a sentence."""
        return Path(self.place).name

    @abstractmethod
    def files(self, root: Path) -> Path | None:
        """The file or folder that it is read from; None where there is none."""

    @abstractmethod
    def class_names(self, root: Path) -> tuple[str, ...]:
        """The names of the classes, in the order of their labels."""

    @abstractmethod
    def sizes(self, root: Path) -> set[tuple[int, int]]:
        """The heights and widths that images have as they lie there."""

    @abstractmethod
    def read(self, root: Path, part: str) -> Piece:
        """The images of a part, of `size`, and their labels.

        Raises
        ------
        MissingData
            They are not there.
        DataError
            They are damaged, or too large.
        """

    def refuse_share(self, why: str) -> None:
        """Refuse a share to test on where the images are divided.

        Raises
        ------
        UsageError
            One is given.
        """
        if self.test is not None:
            raise UsageError(f"{self.place}: {why}, so that test={self.test} has no place")

    def rows(self, part: str, names: Sequence[str], labels: Rows) -> Rows:
        """Which of all images belong to a part, by the rule of `held_out`.

        Raises
        ------
        UsageError
            No share to test on is given.
        """
        if self.test is None:
            raise UsageError(
                f"{self.place}: is not divided into train and test; say which share of each class "
                f"is tested on, as in {self.place}[test=0.2]"
            )
        chosen = held_out(names, labels, self.test, self.place)
        return np.flatnonzero(chosen if part == "test" else ~chosen)


def held_out(
    names: Sequence[str], labels: Rows, share: float, place: str = ""
) -> NDArray[np.bool_]:
    """Which images are tested on: a share of each class, the first by the SHA-256 of their names.

    So it depends on no order and no generator, and hardly changes when images are added.

    Raises
    ------
    DataError
        A class has fewer than two images.
    """
    digests = [hashlib.sha256(os.fsencode(name)).digest() for name in names]
    chosen = np.zeros(len(labels), dtype=np.bool_)
    for label in np.unique(labels):
        members = sorted(np.flatnonzero(labels == label).tolist(), key=digests.__getitem__)
        if len(members) < 2:
            raise DataError(f"{place}: class {label} has one image; two are needed to hold one out")
        count = min(max(round(share * len(members)), 1), len(members) - 1)
        chosen[members[:count]] = True
    return chosen


def check_labels(labels: Rows, num_classes: int, where: str) -> None:
    """Refuse labels that are not those of the classes, and too many images.

    Raises
    ------
    DataError
        There are.
    """
    if not 0 < len(labels) <= MOST_IMAGES:
        raise DataError(f"{where}: {len(labels):,} images; should be 1 to {MOST_IMAGES:,}")
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high >= num_classes:
        raise DataError(f"{where}: labels from {low} to {high} instead of 0 to {num_classes - 1}")
