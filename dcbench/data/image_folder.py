"""A folder of pictures by class: `train/<class>/…` and `test/<class>/…`, or `<class>/…` alone."""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dcbench.config.paths import folders_in
from dcbench.config.reading import MIB, read_file
from dcbench.config.text import in_brief, is_utf8
from dcbench.data.formats import Piece
from dcbench.data.own_images import MOST_IMAGES, PARTS, OwnImages, check_labels
from dcbench.data.pictures import in_size, open_picture
from dcbench.errors import DataError, MissingData

SUFFIXES = {".jpg", ".jpeg", ".png", ".ppm", ".pgm", ".bmp", ".webp"}
_FORMATS = ["JPEG", "PNG", "PPM", "BMP", "WEBP"]
_MOST_BYTES = 64 * MIB


class _Listed(NamedTuple):
    """A picture of a folder, and the place of its class."""

    path: Path
    label: int


@dataclass(frozen=True)
class FolderImages(OwnImages):
    """Pictures in the layout of torchvision's `ImageFolder`, each part in the order of its names.

    Classes are numbered by their folders' names. Where there are no folders `train` and `test` (or
    `val`, where there is no `test`), every folder is a class, and `test` says what is held out.
    """

    def files(self, root: Path) -> Path | None:
        """The folder."""
        return Path(self.place)

    def class_names(self, root: Path) -> tuple[str, ...]:
        """The names of the folders, in order."""
        base = self._base("train")
        names = tuple(each.name for each in folders_in(base))
        if len(names) < 2:
            raise DataError(
                f"{base}: has {len(names)} folders; should have one a class, at least two"
            )
        for name in names:
            if not is_utf8(name):
                raise DataError(f"{base / name}: the name of a class should be UTF-8; rename it")
        return names

    def sizes(self, root: Path) -> set[tuple[int, int]]:
        """Heights and widths of all pictures, by their headers."""
        parts = PARTS if self._is_divided else ("train",)
        listed = [each for part in parts for each in self._listed(self._base(part), root)]
        with ThreadPoolExecutor() as threads:
            return set(threads.map(_size_of, (each.path for each in listed)))

    def read(self, root: Path, part: str) -> Piece:
        """The pictures of a part, by class and name."""
        listed = self._listed(self._base(part), root)
        if self._is_divided:
            self.refuse_share("has folders train and test")
        else:
            names = [each.path.relative_to(self.place).as_posix() for each in listed]
            labels = np.array([each.label for each in listed], dtype=np.int64)
            listed = [listed[row] for row in self.rows(part, names, labels)]
        assert self.size is not None
        return _decoded(listed, self.size)

    @property
    def _is_divided(self) -> bool:
        return self._base("train") != self._base("test")

    def _base(self, part: str) -> Path:
        """The folder that has the classes of a part."""
        whole = Path(self.place)
        if not whole.is_dir():
            raise MissingData(f"{whole}: there is no such folder")
        tested = next((whole / each for each in ("test", "val") if (whole / each).is_dir()), None)
        if tested is None or not (whole / "train").is_dir():
            return whole
        return tested if part == "test" else whole / "train"

    def _listed(self, base: Path, root: Path) -> list[_Listed]:
        names = self.class_names(root)
        foreign = {each.name for each in folders_in(base)} - set(names)
        if foreign:
            raise DataError(f"{base / sorted(foreign)[0]}: is a class that is not trained on")
        listed = [
            _Listed(path, label)
            for label, name in enumerate(names)
            for path in _pictures_in(base / name)
        ]
        labels = np.array([each.label for each in listed], dtype=np.int64)
        check_labels(labels, len(names), str(base))
        return listed


def _pictures_in(folder: Path) -> list[Path]:
    """The pictures of a class, also in folders below it, without hidden files."""
    found = [
        Path(parent, name)
        for parent, _, names in os.walk(folder)
        for name in names
        if Path(name).suffix.lower() in SUFFIXES and not name.startswith(".")
    ]
    if not found and folder.is_dir():
        raise DataError(f"{folder}: has no pictures; {', '.join(sorted(SUFFIXES))} are read")
    if len(found) > MOST_IMAGES:
        raise DataError(f"{folder}: has more than {MOST_IMAGES:,} pictures")
    return sorted(found, key=lambda path: path.as_posix())


def _decoded(listed: Sequence[_Listed], size: tuple[int, int]) -> Piece:
    images = np.empty((len(listed), *size, 3), dtype=np.uint8)

    def decode(row: int) -> None:
        images[row] = read_picture(listed[row].path, size)

    with ThreadPoolExecutor() as threads:
        list(threads.map(decode, range(len(listed))))
    return Piece(images, np.array([each.label for each in listed], dtype=np.int64))


def read_picture(path: Path, size: tuple[int, int]) -> NDArray[np.uint8]:
    """A picture of a file, uint8 [height, width, 3].

    Raises
    ------
    DataError
        It is none, or one of too many pixels.
    """
    content = read_file(path, most=_MOST_BYTES, links=True)
    try:
        return in_size(open_picture(content, _FORMATS), size)
    except Exception as problem:  # whatever Pillow makes of bytes that are no picture
        raise DataError(f"{path}: not a picture that is read here: {in_brief(problem)}") from None


def _size_of(path: Path) -> tuple[int, int]:
    """Height and width, by the header alone."""
    content = read_file(path, most=_MOST_BYTES, links=True)
    try:
        with Image.open(io.BytesIO(content), formats=_FORMATS) as picture:
            return picture.height, picture.width
    except Exception as problem:  # as above
        raise DataError(f"{path}: not a picture that is read here: {in_brief(problem)}") from None
