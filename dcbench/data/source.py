"""Where images come from: a folder of official files, or a bundle; opened once by a command."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from dcbench.config.paths import data_root
from dcbench.config.reading import MIB, read_file
from dcbench.data.bundle import Bundle
from dcbench.data.catalogue import dataset_names, get_dataset
from dcbench.data.formats import FormatError, Piece, check_piece, holds
from dcbench.data.maps import origins_of, read_map, write_map
from dcbench.data.own_parts import read_own
from dcbench.data.parts import FileStatus, MissingData, Part, Source, joined, refuse
from dcbench.data.published import DataFile, Dataset
from dcbench.errors import DataError


@dataclass(frozen=True)
class Folder(Source):
    """A data folder: every dataset as its authors' files, and what was decoded of them."""

    def inventory(self, names: Iterable[str] = (), *, hashing: bool = False) -> list[FileStatus]:
        """What lies at the place of every file of the named datasets, or of all.

        An embedded dataset has no files.
        """
        return [
            self._inspect(entry, part, file, hashing=hashing)[0]
            for entry in map(get_dataset, tuple(names) or dataset_names())
            for part, files in entry.parts.items()
            for file in files
        ]

    def _read(self, dataset: Dataset, part: str) -> Part:
        if dataset.own is not None:
            return read_own(self.path, dataset, part)
        origins = origins_of(self.path, dataset, part)  # before they are read: none changes later
        mapped = read_map(self.path, dataset, part, origins)
        if mapped is not None:
            self._refuse(dataset, mapped.files)
            return mapped
        found = [self._inspect(dataset, part, file) for file in dataset.parts[part]]
        statuses = tuple(status for status, _ in found)
        self._refuse(dataset, statuses)
        pieces = [piece for _, piece in found if piece]
        whole = joined(f"{dataset.name}/{part}", pieces, statuses)
        write_map(self.path, whole, origins)
        return whole

    def _refuse(self, dataset: Dataset, files: Sequence[FileStatus]) -> None:
        how = how_to_get(dataset, self.path)
        if not self.path.exists():
            absent = f"there is no folder or bundle {self.path}"
            raise MissingData(f"{dataset.title} is missing: {absent}; {how}")
        refuse(dataset.title, files, how, self.allow_unverified)

    def _inspect(
        self, dataset: Dataset, part: str, file: DataFile, *, hashing: bool = True
    ) -> tuple[FileStatus, Piece | None]:
        """Read a file once: what state it is in, and what it holds unless it is damaged."""
        path = file.find(self.path)
        status = FileStatus(dataset.name, part, path, "missing", file.md5)
        if not path.is_file():
            return status, None
        if not hashing:
            return replace(status, state="present"), None
        try:
            content = read_file(path, most=_most_bytes(dataset, file), links=True)
        except DataError as error:
            problem = str(error).removeprefix(f"{path}: ")
            return replace(status, state="damaged", problem=problem), None
        md5 = hashlib.md5(content, usedforsecurity=False).hexdigest()
        try:
            if file.official_only and md5 != file.md5:
                raise FormatError("not the official file")
            piece = file.read(content)
            check_piece(piece, file.count, dataset.num_classes)
        except FormatError as error:
            return replace(status, state="damaged", found_md5=md5, problem=str(error)), None
        if md5 != file.md5 and holds(piece, file.content_sha256):
            md5 = file.md5  # packed otherwise, it stands for the official file in every respect
        state: Literal["official", "unverified"] = "official" if md5 == file.md5 else "unverified"
        return replace(status, state=state, found_md5=md5), piece


def _most_bytes(dataset: Dataset, file: DataFile) -> int:
    """Twice what the file's images take as pixels, and room for all else that it may hold."""
    height, width = dataset.image_size
    return file.most_bytes or 2 * file.count * height * width * 3 + 16 * MIB


def open_source(option: str | Path | None = None, *, allow_unverified: bool = False) -> Source:
    """The images of the option, of ``$DCBENCH_DATA``, or of the user's cache.

    Parameters
    ----------
    option : path, optional
        A data folder, which need not exist, or the file of a bundle.
    allow_unverified : bool
        Take files that read whole although they are not the official ones.
    """
    path = data_root(option)
    return (Bundle if path.is_file() else Folder)(path, allow_unverified)


def how_to_get(dataset: Dataset, root: Path) -> str:
    """How to come by a dataset, as the end of a sentence."""
    by_hand = " and ".join(
        f"{download.url} (MD5 {download.md5}) into {(root / download.folder).absolute()}"
        for download in dataset.downloads
    )
    return f"run `dcbench data fetch {dataset.name}`; without a network, first put {by_hand}"
