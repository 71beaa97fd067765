"""Read archives of photographs and digits of other sizes, as images of 32 x 32 pixels.

Sizes are changed as OpenOOD v1.5 does it: the shorter side to 32 pixels by Pillow's bilinear
filter, then the middle square.
"""

from __future__ import annotations

import bz2
import io
import re
import tarfile
import zipfile
from collections.abc import Iterable, Iterator
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dcbench.config.reading import MIB
from dcbench.data.formats import FormatError, Piece
from dcbench.data.pictures import in_size, open_picture

SIDE = 32
_MOST_BYTES = 16 * MIB
"""Of a member of an archive, unpacked: ten times the largest of the official ones."""

_MOST_PIXELS = 4_000_000
_TIN = "tiny-imagenet-200"
_TEXTURE = re.compile(r"dtd/images/(\w[\w-]*)/[^/]+\.jpg")
_PLACE = re.compile(r"(?:\./)?val_256/Places365_val_(\d{8})\.jpg")


def read_tin(content: bytes) -> Piece:
    """Read the validation images of Tiny ImageNet's archive, `val_0` first.

    Their labels are the places of the classes in `wnids.txt`.

    Raises
    ------
    FormatError
        If the bytes are not such an archive.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            classes = _member(archive, f"{_TIN}/wnids.txt").decode().split()
            listed = _member(archive, f"{_TIN}/val/val_annotations.txt").decode().splitlines()
            named = dict(line.split("\t")[:2] for line in listed)
            names = sorted(named, key=lambda name: int(re.sub(r"\D", "", name)))
            photos = (_member(archive, f"{_TIN}/val/images/{name}") for name in names)
            images = _squares(photos)
        labels = np.array([classes.index(named[name]) for name in names], dtype=np.int64)
    except Exception as problem:  # whatever a damaged archive or picture happens to cause
        raise FormatError(f"not Tiny ImageNet's archive ({problem})") from None
    return Piece(images, labels)


def read_textures(content: bytes) -> Piece:
    """Read all images of the Describable Textures Dataset's archive, in the order of their names.

    Raises
    ------
    FormatError
        If the bytes are not such an archive.
    """
    found: dict[str, NDArray[np.uint8]] = {}
    try:
        for name, photo in _photos(content, "r:gz", _TEXTURE):
            found[name] = _squares([photo])[0]
    except Exception as problem:  # as in `read_tin`
        raise FormatError(f"not the archive of the Textures dataset ({problem})") from None
    if not found:
        raise FormatError("no images under dtd/images")
    names = sorted(found)
    kinds = [name.split("/")[2] for name in names]
    _, labels = np.unique(kinds, return_inverse=True)
    return Piece(np.stack([found[name] for name in names]), labels.astype(np.int64))


def read_places365(content: bytes) -> Piece:
    """Read the validation images of Places365 from the archive of 256-pixel images, by number.

    The archive has no labels, and detection needs none: all are 0.

    Raises
    ------
    FormatError
        If the bytes are not such an archive, or an image between the first and last is not there.
    """
    found: dict[int, NDArray[np.uint8]] = {}
    try:
        for name, photo in _photos(content, "r:", _PLACE):
            found[int(_PLACE.sub(r"\1", name))] = _squares([photo])[0]
    except Exception as problem:  # as in `read_tin`
        raise FormatError(f"not the archive of Places365 ({problem})") from None
    if sorted(found) != list(range(1, len(found) + 1)) or not found:
        raise FormatError(f"{len(found)} images of Places365, not numbered from 1 without a gap")
    images = np.stack([found[number] for number in range(1, len(found) + 1)])
    return Piece(images, np.zeros(len(images), dtype=np.int64))


def read_usps(content: bytes) -> Piece:
    """Read gray digits of 16 x 16 pixels from LIBSVM's text format, enlarged to 32 x 32.

    Values from -1 to 1 are scaled to 0 to 255 and cut off, as torchvision does it.

    Raises
    ------
    FormatError
        If the bytes are not such a file.
    """
    try:
        text = bz2.BZ2Decompressor().decompress(content, _MOST_BYTES).decode()
        lines = [line.split() for line in text.splitlines()]
        values = [[each.rpartition(":")[2] for each in line[1:]] for line in lines]
        levels = np.array(values, dtype=np.float32).reshape(-1, 16, 16)
        labels = np.array([int(line[0]) - 1 for line in lines], dtype=np.int64)
    except (OSError, ValueError, IndexError) as problem:
        raise FormatError(f"not a LIBSVM file of digits ({problem})") from None
    gray = ((levels + 1) / 2 * 255).astype(np.uint8)
    images = [in_size(Image.fromarray(each).convert("RGB"), (SIDE, SIDE)) for each in gray]
    return Piece(np.stack(images), labels)


def _photos(
    content: bytes, mode: Literal["r:", "r:gz"], wanted: re.Pattern[str]
) -> Iterator[tuple[str, bytes]]:
    """Names and contents of the members of a tar file whose name fits, none of them too large."""
    with tarfile.open(fileobj=io.BytesIO(content), mode=mode) as archive:
        for member in archive:
            fits = wanted.fullmatch(member.name) and member.size <= _MOST_BYTES
            file = archive.extractfile(member) if fits else None
            if file is not None:
                yield member.name, file.read()


def _member(archive: zipfile.ZipFile, name: str) -> bytes:
    """A member whose size is known before it is unpacked."""
    if archive.getinfo(name).file_size > _MOST_BYTES:
        raise ValueError(f"{name} is larger than {_MOST_BYTES} bytes")
    return archive.read(name)


def _squares(photos: Iterable[bytes]) -> NDArray[np.uint8]:
    """JPEG files as uint8 [N, 32, 32, 3]."""
    opened = (open_picture(photo, ["JPEG"], most_pixels=_MOST_PIXELS) for photo in photos)
    return np.stack([in_size(picture, (SIDE, SIDE)) for picture in opened])
