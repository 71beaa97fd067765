"""Bundles: one file with the images that some splits need, for machines without a network.

A bundle is a ZIP archive. `bundle.json` says what is in it. A folder for each part of a dataset
holds the labels of all its images (`labels.npy`), the rows of those that are there (`rows.npy`),
and these as columns of 250 images in lossless WebP (`0000.webp`, ...). One SHA-256 a part covers
its labels, its rows and its pixels, and is checked whenever the part is read.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import io
import math
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import Field, ValidationError

from dcbench.config.base import Config
from dcbench.config.progress import ProgressTask
from dcbench.config.reading import MIB, parse_json
from dcbench.config.text import in_brief
from dcbench.data.catalogue import get_dataset
from dcbench.data.own_parts import read_own
from dcbench.data.parts import FileStatus, MissingData, Part, Source, refuse
from dcbench.data.published import Dataset
from dcbench.data.rules import Rows
from dcbench.errors import DataError
from dcbench.records.atomic import write_whole

MANIFEST, LABELS, ROWS = "bundle.json", "labels.npy", "rows.npy"
STRIP = 250
"""Images a column: fewer cost more bytes each, and WebP allows no more than 511 of 32 pixels."""


class StoredPart(Config):
    """One part of a dataset in a bundle."""

    names: tuple[str, ...] = Field(min_length=1, description="dataset/part; several share images")
    folder: str = Field(description="where its files lie in the bundle")
    files_md5: tuple[str, ...] = Field(description="of the files it was made from, in order")
    shape: tuple[int, int, Literal[3]] = Field(description="of an image")
    images: int = Field(ge=0, description="how many images are there")
    sha256: str = Field(description="of labels and rows (little-endian int64), then of the pixels")

    @property
    def strips(self) -> list[str]:
        """The files with the images, in order."""
        return [f"{self.folder}/{number:04}.webp" for number in range(-(-self.images // STRIP))]


class Manifest(Config):
    """The content of `bundle.json`."""

    format: Literal["dcbench bundle"] = "dcbench bundle"
    version: Literal[1] = 1
    splits: tuple[str, ...]
    subsets: tuple[int, ...] = Field(description="of each split, as far as it has them")
    ood: bool = Field(description="whether sets for out-of-distribution detection were asked for")
    parts: tuple[StoredPart, ...]


@dataclass(frozen=True)
class Bundle(Source):
    """The images that a bundle holds.

    Raises
    ------
    DataError
        When it is read: the file is no bundle, or is damaged.
    """

    @functools.cached_property
    def manifest(self) -> Manifest:
        """What is in the bundle."""
        with _opened(self.path) as archive:
            content = parse_json(_member(archive, MANIFEST, MIB), MANIFEST)
            manifest = Manifest.model_validate(content)
            for stored in manifest.parts:
                for name in stored.names:
                    _check_promise(name, stored)
            return manifest

    def inventory(self, names: Iterable[str] = (), *, hashing: bool = False) -> list[FileStatus]:
        """The files that the bundle was made from, of the named datasets or of all."""
        wanted, found = set(names), []
        for stored in self.manifest.parts:
            files = [file for name in stored.names for file in self._files(stored, name)]
            try:
                if hashing:
                    self._unpack(stored)
            except DataError as problem:
                files = [replace(file, state="damaged", problem=str(problem)) for file in files]
            found += [file for file in files if not wanted or file.dataset in wanted]
        return found

    def _read(self, dataset: Dataset, part: str) -> Part:
        if dataset.own is not None:
            return read_own(self.path, dataset, part)
        name = f"{dataset.name}/{part}"
        stored = next((each for each in self.manifest.parts if name in each.names), None)
        if stored is None:
            made_for = ", ".join(self.manifest.splits)
            raise MissingData(
                f"{self.path}: the bundle has no images of {name}, for it was made for {made_for}"
                f"{'' if self.manifest.ood else ', without OOD sets'}; make another one with "
                "`dcbench data bundle`"
            )
        files = self._files(stored, name)
        how = "make the bundle again from the official files"
        refuse(dataset.title, files, how, self.allow_unverified)
        images, rows, labels = self._unpack(stored)
        official = all(file.state == "official" for file in files)
        return Part(name, images, rows, labels, official, tuple(files))

    def _files(self, stored: StoredPart, name: str) -> list[FileStatus]:
        dataset, _, part = name.partition("/")
        official = _official_md5(name, len(stored.files_md5))
        return [
            FileStatus(
                dataset,
                part,
                self.path,
                "official" if found == expected else "unverified",
                expected,
                found,
            )
            for expected, found in zip(official, stored.files_md5, strict=True)
        ]

    def _unpack(self, stored: StoredPart) -> tuple[NDArray[np.uint8], Rows, Rows]:
        """Images, rows and labels of a part, proved whole."""
        with _opened(self.path) as archive:
            most = _most_images(stored.names[0])
            labels = _numbers(archive, f"{stored.folder}/{LABELS}", most)
            rows = _numbers(archive, f"{stored.folder}/{ROWS}", stored.images)
            most = 2 * STRIP * math.prod(stored.shape) + MIB
            strips = [_member(archive, name, most) for name in stored.strips]
            with ThreadPoolExecutor() as threads:
                decoded = list(threads.map(_decode, strips, [stored.shape] * len(strips)))
        images = np.concatenate([np.empty((0, *stored.shape), np.uint8), *decoded])
        found = _sha256(images, rows, labels)
        if found != stored.sha256:
            raise DataError(
                f"{self.path}: {stored.folder} is damaged: SHA-256 is {found}, recorded is "
                f"{stored.sha256}; copy the bundle again, or make it again"
            )
        return images, rows, labels


def write_bundle(path: Path, manifest: Manifest, parts: Sequence[Part], task: ProgressTask) -> str:
    """Write a bundle with these parts, which `manifest` names in this order; return its SHA-256.

    Equal content gives equal bytes, if the version of Pillow is the same. `task` counts the
    images that are done.
    """

    def write(file: BinaryIO) -> None:
        with zipfile.ZipFile(file, "w") as archive, ThreadPoolExecutor() as threads:
            _add(archive, MANIFEST, (manifest.model_dump_json(indent=2) + "\n").encode())
            for stored, part in zip(manifest.parts, parts, strict=True):
                _add(archive, f"{stored.folder}/{LABELS}", _npy(part.labels))
                _add(archive, f"{stored.folder}/{ROWS}", _npy(part.rows))
                columns = [part.images[at : at + STRIP] for at in range(0, stored.images, STRIP)]
                encoded = threads.map(_encode, columns)
                for name, column, strip in zip(stored.strips, columns, encoded, strict=True):
                    _add(archive, name, strip)
                    task.advance(len(column))

    return write_whole(path, write)


def stored_part(names: Sequence[str], part: Part) -> StoredPart:
    """What the manifest says of a part."""
    return StoredPart(
        names=tuple(names),
        folder=names[0],
        files_md5=tuple(file.found_md5 for file in part.files),
        shape=part.images.shape[1:],
        images=len(part.images),
        sha256=_sha256(part.images, part.rows, part.labels),
    )


def _official_md5(name: str, count: int) -> list[str]:
    """MD5 sums of the official files of a part, of which there are `count`."""
    dataset, _, part = name.partition("/")
    files = get_dataset(dataset).parts.get(part, ())
    if len(files) != count:
        raise ValueError(f"{name} is not made of {count} files")
    return [file.md5 for file in files]


def _most_images(name: str) -> int:
    """What the official files of a part hold together: no fewer than it has images."""
    dataset, _, part = name.partition("/")
    return sum(file.count for file in get_dataset(dataset).parts[part])


def _check_promise(name: str, stored: StoredPart) -> None:
    """Refuse a part that promises more than its dataset has, before any of it is unpacked."""
    _official_md5(name, len(stored.files_md5))
    size = (*get_dataset(name.partition("/")[0]).image_size, 3)
    if stored.shape != size or stored.images > _most_images(name):
        raise ValueError(f"{stored.images} images of {stored.shape} are more than {name} has")


def _sha256(images: NDArray[np.uint8], rows: Rows, labels: Rows) -> str:
    digest = hashlib.sha256(labels.astype("<i8").tobytes())
    digest.update(rows.astype("<i8").tobytes())
    digest.update(np.ascontiguousarray(images).data)
    return digest.hexdigest()


def _encode(images: NDArray[np.uint8]) -> bytes:
    """Images [N, H, W, 3] below one another as one lossless picture."""
    target = io.BytesIO()
    column = Image.fromarray(images.reshape(-1, *images.shape[2:]))
    column.save(target, "WEBP", lossless=True, quality=75, method=6)
    return target.getvalue()


def _decode(strip: bytes, shape: tuple[int, int, int]) -> NDArray[np.uint8]:
    """The images of a strip, [N, H, W, 3]."""
    with Image.open(io.BytesIO(strip), formats=["WEBP"]) as column:
        if column.width != shape[1] or column.height > STRIP * shape[0]:
            raise ValueError(f"a strip of {column.width} x {column.height} pixels")
        return np.asarray(column.convert("RGB")).reshape(-1, *shape)


def _member(archive: zipfile.ZipFile, name: str, most: int) -> bytes:
    """A file of the archive, which says before it is unpacked how large it will be."""
    member = archive.getinfo(name)
    if member.file_size > most:
        raise ValueError(f"{name} would take {member.file_size:,} bytes, more than {most:,}")
    return archive.read(member)


def _numbers(archive: zipfile.ZipFile, name: str, most: int) -> Rows:
    """Whole numbers [N] in NumPy's format, `most` of them or fewer."""
    file = io.BytesIO(_member(archive, name, 8 * most + 4096))
    if np.lib.format.read_magic(file) != (1, 0):
        raise ValueError(f"{name} is an array of another version")
    shape, _, kind = np.lib.format.read_array_header_1_0(file)
    if len(shape) != 1 or shape[0] > most or kind.kind not in "iu":
        raise ValueError(f"{name} is {kind} {list(shape)} where {most} whole numbers fit")
    numbers = np.frombuffer(file.read(), kind)
    if len(numbers) != shape[0]:
        raise ValueError(f"{name} has {len(numbers)} numbers where its header says {shape[0]}")
    return numbers.astype(np.int64)


def _npy(numbers: Rows) -> bytes:
    """An array in NumPy's format, in as few bytes a number as will do."""
    target = io.BytesIO()
    np.save(target, numbers.astype(np.min_scalar_type(int(numbers.max(initial=0)))))
    return target.getvalue()


def _add(archive: zipfile.ZipFile, name: str, content: bytes) -> None:
    """A member that is deflated unless it is compressed already, with no time of its own."""
    packed = name.endswith(".webp")
    method = zipfile.ZIP_STORED if packed else zipfile.ZIP_DEFLATED
    archive.writestr(zipfile.ZipInfo(name), content, method)


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[zipfile.ZipFile]:
    """The archive, whose damages end in an error for the user."""
    try:
        with zipfile.ZipFile(path) as archive:
            yield archive
    except Exception as problem:  # whatever ZIP, NumPy and Pillow make of bytes that are no bundle
        detail = in_brief(problem)
        if isinstance(problem, ValidationError):
            detail = f"{MANIFEST} is not what this dcbench reads"
        raise DataError(
            f"{path}: not a whole bundle: {detail}; copy it again, or make it again with `dcbench "
            "data bundle`"
        ) from None
