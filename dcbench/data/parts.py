"""Parts of datasets as a place has them: whole in a folder, some of their images in a bundle."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dcbench.data import datasets
from dcbench.data.datasets import FileStatus, ImageSet, MissingData, load_image_set
from dcbench.data.rules import Rows


@dataclass(frozen=True)
class Part:
    """One part of a dataset: the labels of all its images, and the images that are there.

    Attributes
    ----------
    name : str
        Dataset and part, such as "cifar10/train".
    images : ndarray of uint8 [M, H, W, 3]
    rows : ndarray of int64 [M]
        Which images of the part these are, ascending.
    labels : ndarray of int64 [N]
        Of every image of the part, in the official order.
    official : bool
        Whether every file it came from has its official MD5.
    files : tuple of FileStatus
        The files that it came from.
    """

    name: str
    images: NDArray[np.uint8]
    rows: Rows
    labels: Rows
    official: bool
    files: tuple[FileStatus, ...]

    def take(self, rows: Rows | None = None) -> ImageSet:
        """The images of some rows, in that order; of the whole part, if none are named.

        Raises
        ------
        MissingData
            Not all of them are there.
        """
        asked = np.arange(len(self.labels)) if rows is None else rows
        places = np.searchsorted(self.rows, asked)
        held = places < len(self.rows)
        held[held] = self.rows[places[held]] == asked[held]
        if not held.all():
            raise MissingData(
                f"{self.name}: {np.count_nonzero(~held):,} of {len(asked):,} images are not in the "
                "bundle; make one for this split with `dcbench data bundle`"
            )
        whole = len(asked) == len(self.rows) and np.array_equal(places, np.arange(len(asked)))
        images = self.images if whole else self.images[places]
        return ImageSet(self.name, images, self.labels[asked], self.official, self.files)


def load_part(dataset: str, part: str, place: Path, *, allow_unverified: bool = False) -> Part:
    """Read one part of a dataset from a data folder or a bundle.

    Raises
    ------
    UsageError, MissingData, UnverifiedData, DataError
        As `load_image_set`, which reads it from a folder.
    """
    if place.is_file() and not datasets.get_dataset(dataset).embedded:
        from dcbench.data.bundle import Bundle  # which is made of parts itself

        return Bundle(place).part(dataset, part, allow_unverified=allow_unverified)
    found = load_image_set(dataset, part, place, allow_unverified=allow_unverified)
    rows = np.arange(len(found.labels))
    return Part(found.name, found.images, rows, found.labels, found.official, found.files)


def inventory(place: Path, names: Iterable[str] = (), *, hashing: bool = False) -> list[FileStatus]:
    """What a data folder or a bundle has of the named datasets, or of all.

    In a folder every file of a dataset is listed, also the missing ones; in a bundle, those that
    it was made from. `hashing` reads everything.
    """
    if not place.is_file():
        return datasets.file_status(place, names, hashing=hashing)
    from dcbench.data.bundle import Bundle

    return Bundle(place).status(names, hashing=hashing)
