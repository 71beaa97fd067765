"""Load datasets from their official files, and say what lies in the data folder."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from dcbench.data.catalogue import DATASETS, DataFile, Dataset, Download
from dcbench.data.readers import FormatError, Piece, check_piece
from dcbench.errors import DataError, unknown

__all__ = [
    "DATASETS",
    "DataFile",
    "Dataset",
    "Download",
    "FileStatus",
    "ImageSet",
    "MissingData",
    "UnverifiedData",
    "data_root",
    "file_status",
    "get_dataset",
    "how_to_get",
    "load_image_set",
]


class MissingData(DataError):  # noqa: N818 - a state of the data
    """A file of a dataset is not there."""


class UnverifiedData(DataError):  # noqa: N818 - a state of the data
    """A file reads whole but does not have its official MD5."""


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


@dataclass(frozen=True)
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
    """

    name: str
    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    official: bool
    files: tuple[FileStatus, ...] = ()

    def sha256(self) -> str:
        """Return the SHA-256 of the bytes of the images, in order, as 64 hex digits."""
        return hashlib.sha256(np.ascontiguousarray(self.images).data).hexdigest()


def data_root(option: str | Path | None = None) -> Path:
    """Return the data folder or bundle: the option, ``$DCBENCH_DATA``, or the user's cache."""
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    chosen = option or os.environ.get("DCBENCH_DATA") or Path(cache, "dcbench", "data")
    return Path(chosen).expanduser().absolute()


def get_dataset(name: str) -> Dataset:
    """Return the dataset of that name.

    Raises
    ------
    UsageError
        If there is none; the message has the nearest names.
    """
    if name not in DATASETS:
        raise unknown("dataset", name, DATASETS)
    return DATASETS[name]


def load_image_set(
    dataset: str, part: str, root: Path, *, allow_unverified: bool = False
) -> ImageSet:
    """Read one part of a dataset, checking every file against its official MD5.

    Parameters
    ----------
    dataset, part : str
        Such as "cifar10" and "train".
    root : Path
        The data folder.
    allow_unverified : bool
        Take a file that reads whole although it is not the official one.

    Raises
    ------
    UsageError
        If there is no such dataset or part.
    MissingData
        If a file is not there.
    UnverifiedData
        If a file is not the official one, and `allow_unverified` is not set.
    DataError
        If a file is damaged.
    """
    entry = get_dataset(dataset)
    if part not in entry.parts:
        raise unknown(f"part of {dataset}", part, entry.parts)
    if entry.embedded:
        return _image_set(f"{dataset}/{part}", [entry.embedded(part)])
    found = [_inspect(entry, part, file, root) for file in entry.parts[part]]
    statuses = [status for status, _ in found]
    refuse(entry.title, statuses, how_to_get(entry, root), allow_unverified)
    return _image_set(f"{dataset}/{part}", [piece for _, piece in found if piece], statuses)


def file_status(
    root: Path, names: Iterable[str] = (), *, hashing: bool = False
) -> list[FileStatus]:
    """Say what lies at the place of every file of the named datasets, or of all.

    Parameters
    ----------
    root : Path
        The data folder.
    names : iterable of str
        Datasets; none means all. An embedded dataset has no files.
    hashing : bool
        Read every file, to tell official, unverified and damaged ones apart.

    Raises
    ------
    UsageError
        If there is no dataset of such a name.
    """
    return [
        _inspect(entry, part, file, root, hashing=hashing)[0]
        for entry in map(get_dataset, tuple(names) or DATASETS)
        for part, files in entry.parts.items()
        for file in files
    ]


def how_to_get(entry: Dataset, root: Path) -> str:
    """Say how to come by a dataset, as the end of a sentence."""
    by_hand = " and ".join(
        f"{download.url} (MD5 {download.md5}) into {(root / download.folder).absolute()}"
        for download in entry.downloads
    )
    return f"run `dcbench data fetch {entry.name}`; without a network, first put {by_hand}"


def _inspect(
    entry: Dataset, part: str, file: DataFile, root: Path, *, hashing: bool = True
) -> tuple[FileStatus, Piece | None]:
    """Read a file once: what state it is in, and what it holds unless it is damaged."""
    path = file.find(root)
    status = FileStatus(entry.name, part, path, "missing", file.md5)
    if not path.is_file():
        return status, None
    if not hashing:
        return replace(status, state="present"), None
    try:
        content = path.read_bytes()
    except OSError as error:
        return replace(status, state="damaged", problem=str(error.strerror)), None
    md5 = hashlib.md5(content, usedforsecurity=False).hexdigest()
    try:
        if file.official_only and md5 != file.md5:
            raise FormatError("not the official file")
        piece = file.read(content)
        check_piece(piece, file.count, entry.num_classes)
    except FormatError as error:
        return replace(status, state="damaged", found_md5=md5, problem=str(error)), None
    state: Literal["official", "unverified"] = "official" if md5 == file.md5 else "unverified"
    return replace(status, state=state, found_md5=md5), piece


def refuse(title: str, files: list[FileStatus], how: str, allow_unverified: bool) -> None:
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


def _image_set(name: str, pieces: list[Piece], files: Sequence[FileStatus] = ()) -> ImageSet:
    """Join what the files of one part hold, in their order."""
    images = np.concatenate([piece.images for piece in pieces if piece.images is not None])
    labels = np.concatenate([piece.labels for piece in pieces if piece.labels is not None])
    official = all(file.state == "official" for file in files)
    return ImageSet(name, images, labels, official, tuple(files))
