"""What a dataset is, as its authors published it: its files, their checksums and addresses."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from dcbench.data.formats import Piece, Reader

if TYPE_CHECKING:
    from dcbench.data.own_images import OwnImages


@dataclass(frozen=True)
class DataFile:
    """One file as its authors published it.

    Attributes
    ----------
    path : str
        Where it lies, from the data folder.
    md5 : str
        The official MD5 sum of its bytes.
    count : int
        How many images or labels it holds.
    read : callable
        From its bytes to its images and labels.
    other_path : str
        A second place that serves where `path` is empty; "" for none.
    official_only : bool
        Whether `read` is safe on the official bytes alone, so that no others are given to it.
    content_sha256 : str
        SHA-256 of the images (or labels, int64) as `read` gives them: a file that holds the same
        and is packed otherwise is as good as the official one. "": only the MD5 sum counts.
    most_bytes : int
        What no file in its place may exceed; 0: what follows from its images.
    """

    path: str
    md5: str
    count: int
    read: Reader
    other_path: str = ""
    official_only: bool = False
    content_sha256: str = ""
    most_bytes: int = 0

    def find(self, root: Path) -> Path:
        """Return the full path of the file under the data folder; `path` if it is in neither."""
        main, other = (root / self.path).absolute(), (root / self.other_path).absolute()
        return other if other.is_file() and not main.is_file() else main


@dataclass(frozen=True)
class Download:
    """One address: the file there, its MD5 sum, and the folder (from the data folder) it goes to.

    An archive is unpacked in that folder, unless it is read as it is.
    """

    url: str
    md5: str
    folder: str = ""
    unpack: bool = True

    @property
    def filename(self) -> str:
        """The last part of the address."""
        return self.url.rpartition("/")[2]

    @property
    def is_archive(self) -> bool:
        """Whether the file has to be unpacked."""
        return self.unpack and self.filename.endswith((".tar.gz", ".zip"))


@dataclass(frozen=True)
class Dataset:
    """Images and labels as their authors published them.

    Attributes
    ----------
    name, title : str
        As in commands, and as in the literature.
    num_classes : int
        How many classes there are.
    parts : mapping of str to tuple of DataFile
        The files of "train" and "test", in the order of the images.
    downloads : tuple of Download
        What has to be downloaded for all parts.
    source, licence : str
        The authors' page, and under what terms the images may be used.
    image_size : (int, int)
        Height and width, as the images are read.
    embedded : callable, optional
        From the name of a part to its images and labels, where an installed library holds them.
    own : OwnImages, optional
        How they are read, where no official files make it up: a dataset of one's own.
    """

    name: str
    title: str
    num_classes: int
    parts: Mapping[str, tuple[DataFile, ...]]
    downloads: tuple[Download, ...]
    source: str
    licence: str
    embedded: Callable[[str], Piece] | None = field(default=None)
    image_size: tuple[int, int] = (32, 32)
    own: OwnImages | None = field(default=None)
