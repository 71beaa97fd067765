"""Lists of rows as they lie beside a split, and the hashes that prove them."""

from __future__ import annotations

import functools
import hashlib
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from pydantic import Field

from dcbench.config.base import Config, validated
from dcbench.config.reading import parse_csv, parse_json, read_file
from dcbench.data.rules import Rows
from dcbench.errors import DataError

HASHES = "hashes.json"
"""The file beside the lists of a split that proves them."""

PARTS = ("train", "val")
"""The cells of a list's column `part`."""


class HeldOutHashes(Config):
    """What the list of the training images comes to that a subset holds out for tuning."""

    images: int
    csv_sha256: str
    index_sha256: str = Field(description="of the rows that are left to train on, then of these")


class SubsetHashes(Config):
    """What the lists of a subset come to."""

    train: int
    val: int
    csv_sha256: str
    index_sha256: str
    images_sha256: str = Field(description="of the images of train, then val, each [H, W, 3]")
    images_official: bool = Field(description="hashed from files with their official checksums")
    test_sha256: str | None = Field(
        default=None,
        description="of the test images, then of their labels (little-endian int64); None where "
        "official checksums prove them",
    )
    held_out: HeldOutHashes | None = Field(
        None, description="None: `val` is for tuning, or nothing"
    )


class SplitHashes(Config):
    """What `splits/<name>/hashes.json` proves the lists and the images of each subset by."""

    subsets: dict[int, SubsetHashes]


class TestHashes(Config):
    """What the images that a split is tested on come to: `splits/<name>/test.json`."""

    __test__ = False

    images: int = Field(description="how many there are")
    images_sha256: str = Field(description="of the images, each [H, W, 3], in their order")
    labels_sha256: str = Field(description="of their labels, as little-endian int64")
    official: bool = Field(description="hashed from files with their official checksums")


def hashes_of_test_path(folder: Path) -> Path:
    """Where it is published what a split is tested on, in its own folder."""
    return folder / "test.json"


def read_test_hashes(path: Path) -> TestHashes:
    """What the test images of a split come to."""
    content = parse_json(read_file(path), path, hint="; restore the file")
    return validated(TestHashes, content, path, DataError)


def labels_sha256(labels: Rows) -> str:
    """SHA-256 of labels, in their order, as little-endian int64."""
    return hashlib.sha256(labels.astype("<i8").tobytes()).hexdigest()


def held_out_path(folder: Path, subset: int) -> Path:
    """The list of the training images of a subset that are held out for tuning."""
    return folder / f"held-out-{subset}.csv"


def read_hashes(path: Path) -> SplitHashes:
    """The hashes recorded beside a split's lists."""
    content = parse_json(read_file(path), path, hint="; restore the file")
    return validated(SplitHashes, content, path, DataError)


def index_sha256(train: Rows, val: Rows) -> str:
    """SHA-256 of the rows of `train`, then `val`, as little-endian int64."""
    return hashlib.sha256(np.concatenate([train, val]).astype("<i8").tobytes()).hexdigest()


def read_list(
    path: Path, sha256: str, names: Sequence[str], remedy: str = "restore the file"
) -> Rows:
    """Columns of a list that is whole, [N, columns]: its bytes have the recorded hash.

    A part stands as its place in `PARTS`. `remedy` ends the message of a missing or damaged one.
    """
    if not path.exists():
        raise DataError(f"{path}: no such file; {remedy}")
    content = read_file(path)
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        raise DataError(
            f"{path}: SHA-256 is {found}, recorded is {sha256}: the list is damaged; {remedy}"
        )
    return _cells(content, path, tuple(names))


@functools.lru_cache(maxsize=64)
def _cells(content: bytes, path: Path, names: tuple[str, ...]) -> Rows:
    """`read_list` of the content of a list, parsed once: a sweep asks for the same few many times.

    The array is shared, so it cannot be written to.
    """
    header, lines = parse_csv(content, path)
    if not set(names) <= set(header):
        raise DataError(f"{path}: should have the columns {', '.join(names)}")
    places = [header.index(name) for name in names]
    try:
        cells = [
            [_number(name, line[at]) for name, at in zip(names, places, strict=True)]
            for line in lines
        ]
    except ValueError as problem:
        raise DataError(f"{path}: {problem}") from None
    rows = np.array(cells, dtype=np.int64).reshape(-1, len(names))
    rows.flags.writeable = False
    return rows


def _number(column: str, cell: str) -> int:
    if column == "part" and cell in PARTS:
        return PARTS.index(cell)
    if column == "part" or not re.fullmatch(r"[0-9]{1,9}", cell):
        right = " or ".join(PARTS) if column == "part" else "a whole number"
        raise ValueError(f"{column}='{cell[:40]}': should be {right}")
    return int(cell)
