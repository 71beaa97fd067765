"""Parts of datasets as a source has them: whole in a folder, some of their images in a bundle."""

from __future__ import annotations

import functools
import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray

from dcbench.data.catalogue import get_dataset
from dcbench.data.formats import Piece
from dcbench.data.published import Dataset
from dcbench.data.rules import Rows
from dcbench.errors import DataError, unknown
from dcbench.errors import MissingData as MissingData
from dcbench.errors import UnverifiedData as UnverifiedData


@dataclass(frozen=True)
class FileStatus:
    """What was found at the place of one file.

    Attributes
    ----------
    state : str
        "missing"; "present", if it was not read; and if it was: "official", "unverified" (it reads
        whole but is another file), or "damaged" (`problem` says how).
    expected_md5, found_md5 : str
        The official sum, and that of the file; "" if it was not read.
    """

    dataset: str
    part: str
    path: Path
    state: Literal["missing", "present", "official", "unverified", "damaged"]
    expected_md5: str
    found_md5: str = ""
    problem: str = ""


@dataclass(frozen=True, eq=False)
class ImageSet:
    """One part of a dataset in memory.

    Attributes
    ----------
    name : str
        Dataset and part, such as "cifar10/train".
    images : ndarray of uint8 [N, H, W, 3]
        In the official order.
    labels : ndarray of int64 [N]
        Class numbers from 0.
    official : bool
        Whether every file it came from has its official MD5.
    files : tuple of FileStatus
        The files that were read for it; none for images that no file holds.
    known_sha256 : str
        Of the images, where it need not be computed; "" elsewhere.
    """

    name: str
    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    official: bool
    files: tuple[FileStatus, ...] = ()
    known_sha256: str = ""

    def rows(self, which: slice | NDArray[np.bool_]) -> ImageSet:
        """Some of the images."""
        images, labels = self.images[which], self.labels[which]
        return replace(self, images=images, labels=labels, known_sha256="")

    def sha256(self) -> str:
        """Return the SHA-256 of the bytes of the images, in order, as 64 hex digits."""
        return self.known_sha256 or self._hashed

    @functools.cached_property
    def _hashed(self) -> str:
        return hashlib.sha256(np.ascontiguousarray(self.images).data).hexdigest()


def refuse(title: str, files: Sequence[FileStatus], how: str, allow_unverified: bool) -> None:
    """Raise the error for files that cannot be used: the damaged, then the missing, then others.

    `how` ends the message: how to come by the right files.
    """

    def named(state: str) -> str:
        return ", ".join(
            f"{status.path} (official MD5 {status.expected_md5}"
            + (f", found {status.found_md5}" if status.found_md5 else "")
            + (f": {status.problem}" if status.problem else "")
            + ")"
            for status in files
            if status.state == state
        )

    if damaged := named("damaged"):
        raise DataError(f"{title} is damaged: {damaged}; delete it, then {how}")
    if missing := named("missing"):
        raise MissingData(f"{title} is missing: {missing}; {how}")
    if (unverified := named("unverified")) and not allow_unverified:
        raise UnverifiedData(
            f"{title} is not verified: {unverified} reads whole but is not the "
            f"official file; take it with --allow-unverified-data (the record says so), or {how}"
        )


@dataclass(frozen=True, eq=False)
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
    images_sha256 : str
        Of the images, where it is known; "" elsewhere.
    """

    name: str
    images: NDArray[np.uint8]
    rows: Rows
    labels: Rows
    official: bool
    files: tuple[FileStatus, ...]
    images_sha256: str = ""

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
        known = self.images_sha256 if whole else ""
        return ImageSet(self.name, images, self.labels[asked], self.official, self.files, known)


@dataclass(frozen=True)
class Source(ABC):
    """Where the images of datasets come from; small, and may be sent to another process.

    Attributes
    ----------
    path : Path
        Of the data folder, or of the bundle.
    allow_unverified : bool
        Take files that read whole although they are not the official ones.
    """

    path: Path
    allow_unverified: bool = False

    def taking_unverified(self) -> Self:
        """The same source, which takes files that are not the official ones."""
        return replace(self, allow_unverified=True)

    def part(self, dataset: str, part: str) -> Part:
        """Read one part of a dataset, such as "train" of "cifar10".

        Raises
        ------
        UsageError
            There is no such dataset or part.
        MissingData
            A file is not there, or the bundle has nothing of it.
        UnverifiedData
            A file is not the official one, and `allow_unverified` is not set.
        DataError
            A file is damaged.
        """
        entry = get_dataset(dataset)
        if part not in entry.parts:
            raise unknown(f"part of {dataset}", part, entry.parts)
        if entry.embedded:
            return joined(f"{dataset}/{part}", [entry.embedded(part)])
        return self._read(entry, part)

    @abstractmethod
    def _read(self, dataset: Dataset, part: str) -> Part:
        """Read a part that is there to be read; errors as for `part`."""

    @abstractmethod
    def inventory(self, names: Iterable[str] = (), *, hashing: bool = False) -> list[FileStatus]:
        """What there is of the files of the named datasets, or of all; `hashing` reads them.

        Raises
        ------
        UsageError
            There is no dataset of such a name.
        """


def joined(name: str, pieces: Sequence[Piece], files: Sequence[FileStatus] = ()) -> Part:
    """What the files of one part hold, in their order, as a whole part."""
    images = np.concatenate([piece.images for piece in pieces if piece.images is not None])
    labels = np.concatenate([piece.labels for piece in pieces if piece.labels is not None])
    official = all(file.state == "official" for file in files)
    return Part(name, images, np.arange(len(labels)), labels, official, tuple(files))
