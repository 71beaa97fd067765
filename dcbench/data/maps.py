"""Decoded parts of datasets, kept beside the official files and read as memory maps.

To hash and decode a part's files takes longer than to start a run on it. The first process that
reads a part leaves one file: a line of JSON that says what it was made from, then the labels
(int64), then the images (uint8). A map is used only while the files it was made from, and the map
itself, have the size and the time of change that the line names; it appears by a rename, so never
half written. Whatever prevents a map costs time alone.
"""

from __future__ import annotations

import hashlib
import logging
import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, Literal, NamedTuple

import numpy as np
from pydantic import Field, ValidationError

from dcbench.config.base import Config
from dcbench.config.paths import cache_root
from dcbench.config.text import is_utf8
from dcbench.data.parts import FileStatus, Part
from dcbench.data.published import Dataset
from dcbench.errors import DcbenchError
from dcbench.records.atomic import write_whole

FOLDER, SUFFIX = "decoded", ".map"

SETTLED = 10.0
"""Seconds for which a file is not yet mapped: a change so soon may leave its time as it was."""

_LONGEST_HEADER = 1 << 14
_ALIGNMENT = 64

_log = logging.getLogger(__name__)


class Origin(Config):
    """A file, or a folder of pictures, as it was when a map was made from it.

    `path` is from the data folder, or absolute; a folder's size and time are all files' together.
    """

    path: str
    size: int
    modified_ns: int
    md5: str = ""
    names_sha256: str = Field(
        default="", description="of a folder: what lies in it, with sizes and times"
    )


class Header(Config):
    """The first line of a map."""

    format: Literal["dcbench map"] = "dcbench map"
    version: Literal[1] = 1
    name: str
    origins: tuple[Origin, ...]
    shape: tuple[int, int, int, Literal[3]]
    images_sha256: str
    labels_sha256: str
    modified: int


class MapCheck(NamedTuple):
    """What hashing a map came to; `outdated`: files that it was made from have changed."""

    path: Path
    state: Literal["whole", "outdated", "damaged"]


def origins_of(root: Path, dataset: Dataset, part: str) -> tuple[Origin, ...] | None:
    """The files of a part as they are now; None where one is missing or was just changed."""
    found = []
    for file in dataset.parts[part]:
        path = file.find(root)
        try:
            stat = path.stat()
        except OSError:
            return None
        if time.time() - stat.st_mtime < SETTLED:
            return None
        name = path.relative_to(root.absolute()).as_posix()
        found.append(Origin(path=name, size=stat.st_size, modified_ns=stat.st_mtime_ns))
    return tuple(found)


def read_map(
    root: Path, dataset: Dataset, part: str, origins: Sequence[Origin] | None
) -> Part | None:
    """A part by its map, images read-only; None where there is no map of these very files."""
    name = f"{dataset.name}/{part}"
    for folder in _folders(root) if origins else ():
        path = folder / _file_name(name)
        header = _valid_header(path)
        if header is None or header.name != name or not _same(header.origins, origins or ()):
            continue
        arrays = _arrays(path, header)
        if arrays is None:
            continue
        official_files = dataset.parts[part] or ()
        files = tuple(
            FileStatus(
                dataset.name,
                part,
                root.absolute() / origin.path,
                "official" if origin.md5 == file.md5 else "unverified",
                file.md5,
                origin.md5,
            )
            for origin, file in zip(header.origins, official_files, strict=bool(official_files))
        )
        labels, images = arrays
        official = all(file.state == "official" for file in files)
        rows = np.arange(len(labels))
        return Part(name, images, rows, labels.copy(), official, files, header.images_sha256)
    return None


def write_map(root: Path, part: Part, origins: Sequence[Origin] | None) -> None:
    """Leave a whole part, read from these files, for other processes, where that can be done."""
    if origins is None:
        return
    labels = part.labels.astype("<i8")
    header = Header(
        name=part.name,
        origins=_with_md5(origins, part.files) if part.files else tuple(origins),
        shape=part.images.shape,
        images_sha256=part.take().sha256(),
        labels_sha256=hashlib.sha256(labels.data).hexdigest(),
        # In the past, and in whole seconds, which every file system keeps: a later change shows.
        modified=int(time.time() - SETTLED) // 2 * 2,
    )

    def write(file: BinaryIO) -> None:
        line = header.model_dump_json().encode()
        file.write(line.ljust(_start(len(line)) - 1) + b"\n")
        file.write(labels.data)
        file.write(np.ascontiguousarray(part.images).data)
        file.flush()
        os.utime(file.fileno(), (header.modified, header.modified))

    for folder in _folders(root):
        try:
            folder.mkdir(parents=True, exist_ok=True)
            write_whole(folder / _file_name(part.name), write)
        except (OSError, DcbenchError):
            continue
        _log.debug("%s: decoded images are kept in %s", part.name, folder)
        return


def _with_md5(origins: Sequence[Origin], files: Sequence[FileStatus]) -> tuple[Origin, ...]:
    return tuple(
        origin.model_copy(update={"md5": file.found_md5})
        for origin, file in zip(origins, files, strict=True)
    )


def origin_of(path: Path) -> Origin | None:
    """A file or folder of one's own as it is now; None where it is missing or was just changed.

    Nor is there one of a path that the JSON of a map cannot hold.
    """
    origin = _state_of(path) if is_utf8(str(path)) else None
    if origin is None or time.time() - origin.modified_ns / 1e9 < SETTLED:
        return None
    return origin


def _state_of(path: Path) -> Origin | None:
    """Size and time of a file; of a folder, of all that is in it, with the names."""
    digest, size, modified = hashlib.sha256(), 0, 0
    files, is_folder = [path], path.is_dir()
    if is_folder:
        walked = list(os.walk(path))
        digest.update(os.fsencode("\0".join(sorted(parent for parent, _, _ in walked))))
        files = sorted(Path(parent, name) for parent, _, names in walked for name in names)
    try:
        for file in files:
            stat = file.stat()
            size, modified = size + stat.st_size, max(modified, stat.st_mtime_ns)
            line = f"{file}\0{stat.st_size}\0{stat.st_mtime_ns}\0"
            digest.update(os.fsencode(line))
    except OSError:
        return None
    names = digest.hexdigest() if is_folder else ""
    return Origin(path=str(path), size=size, modified_ns=modified, names_sha256=names)


def check_maps(root: Path) -> Iterator[MapCheck]:
    """Hash every map of a data folder."""
    for path in sorted(path for folder in _folders(root) for path in folder.glob(f"*{SUFFIX}")):
        header = _valid_header(path)
        arrays = header and _arrays(path, header)
        if not header or not arrays:
            yield MapCheck(path, "damaged")
            continue
        labels, images = arrays
        found = hashlib.sha256(labels.data).hexdigest(), hashlib.sha256(images.data).hexdigest()
        if found != (header.labels_sha256, header.images_sha256):
            yield MapCheck(path, "damaged")
        else:
            yield MapCheck(path, "whole" if _is_current(root, header) else "outdated")


def _folders(root: Path) -> tuple[Path, Path]:
    """Where maps of a data folder are kept: in it, or where it cannot be written, in the cache."""
    own = hashlib.sha256(os.fsencode(root.absolute())).hexdigest()[:16]
    return root / FOLDER, cache_root() / FOLDER / own


def _file_name(name: str) -> str:
    return name.replace("/", "-") + SUFFIX


def _start(length: int) -> int:
    """Where the labels begin, after a line of `length` bytes and its end."""
    return -(-(length + 1) // _ALIGNMENT) * _ALIGNMENT


def _same(recorded: Sequence[Origin], now: Sequence[Origin]) -> bool:
    return [each.model_copy(update={"md5": ""}) for each in recorded] == list(now)


def _is_current(root: Path, header: Header) -> bool:
    def is_as_it_was(origin: Origin) -> bool:
        if origin.names_sha256:
            return _state_of(root / origin.path) == origin
        try:
            stat = (root / origin.path).stat()
        except OSError:
            return False
        return (stat.st_size, stat.st_mtime_ns) == (origin.size, origin.modified_ns)

    return all(map(is_as_it_was, header.origins))


def _valid_header(path: Path) -> Header | None:
    """The header of a map; None where the file is not a map, or has been touched since."""
    try:
        with path.open("rb") as file:
            line = file.readline(_LONGEST_HEADER)
        header = Header.model_validate_json(line)
        stat = path.stat()
    except (OSError, ValidationError):
        return None
    count, *image = header.shape
    size = len(line) + 8 * count + count * int(np.prod(image))
    touched = int(stat.st_mtime) != header.modified or stat.st_size != size
    return None if touched else header


def _arrays(path: Path, header: Header) -> tuple[np.ndarray, np.ndarray] | None:
    """Labels and images of a map, read-only."""
    try:
        whole = np.asarray(np.memmap(path, dtype=np.uint8, mode="r"))
    except (OSError, ValueError):
        return None
    pixels = int(np.prod(header.shape))
    start = len(whole) - pixels - 8 * header.shape[0]
    labels = whole[start : len(whole) - pixels].view("<i8")
    return labels, whole[len(whole) - pixels :].reshape(header.shape)
