"""Load datasets from their official files, and say what lies in the data folder."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np

from dcbench.data.catalogue import DATASETS, DataFile, Dataset, get_dataset
from dcbench.data.formats import FormatError, Piece, check_piece
from dcbench.data.parts import FileStatus, ImageSet, Part, refuse
from dcbench.errors import unknown


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


def _image_set(name: str, pieces: list[Piece], files: Sequence[FileStatus] = ()) -> ImageSet:
    """Join what the files of one part hold, in their order."""
    images = np.concatenate([piece.images for piece in pieces if piece.images is not None])
    labels = np.concatenate([piece.labels for piece in pieces if piece.labels is not None])
    official = all(file.state == "official" for file in files)
    return ImageSet(name, images, labels, official, tuple(files))


def load_part(dataset: str, part: str, place: Path, *, allow_unverified: bool = False) -> Part:
    """Read one part of a dataset from a data folder or a bundle.

    Raises
    ------
    UsageError, MissingData, UnverifiedData, DataError
        As `load_image_set`, which reads it from a folder.
    """
    if place.is_file() and not get_dataset(dataset).embedded:
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
        return file_status(place, names, hashing=hashing)
    from dcbench.data.bundle import Bundle

    return Bundle(place).status(names, hashing=hashing)
