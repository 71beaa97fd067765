"""Decoded images that are damaged: they are decoded again, or the check of data finds it."""

from __future__ import annotations

import gzip
import logging
import os
import random
import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from dcbench.data.maps import FOLDER, SUFFIX, check_maps
from dcbench.data.parts import Part
from dcbench.data.source import Folder
from dcbench.errors import RunError
from dcbench.selftest.damage import mutated
from dcbench.selftest.trial import Place, Trial, Try

_COUNT, _SIZE = 10_000, 28
_LONG_AGO = 1_600_000_000
"""Files that were just written are not mapped yet."""


def trials(times: int) -> list[Trial]:
    """Trials of so many maps."""
    return [Trial("decoded images that are damaged", times, _damaged)]


def _damaged(place: Place, times: int, chance: random.Random) -> Iterator[Try]:
    root = place.new_folder("data")
    _like_mnist(root)
    expected = _part(root)
    path = next((root / FOLDER).glob(f"*{SUFFIX}"), None)
    if path is None:
        raise RunError(f"{root / FOLDER}: decoded images were not kept")
    honest, before = path.read_bytes(), path.stat()
    for number in range(times):
        content = mutated(honest, number)
        path.write_bytes(content)
        silent = number % 2 == 1
        if silent:  # as a disk does whose bits flip
            os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
        same = _same(_part(root), expected)
        found = silent and any(check.state == "damaged" for check in check_maps(root))
        lost = [] if same or found else [f"map {number}: other images are read, unnoticed"]
        path.unlink(missing_ok=True)
        path.write_bytes(honest)
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
        yield Try("and its time is as before" if silent else "and its time is new", lost)


def _like_mnist(root: Path) -> None:
    """Files in the format of MNIST's test set, which has 10,000 images, with a pattern for them."""
    folder = root / "MNIST" / "raw"
    folder.mkdir(parents=True)
    pixels = (np.arange(_COUNT * _SIZE * _SIZE) % 251).astype(np.uint8)
    labels = (np.arange(_COUNT) % 10).astype(np.uint8)
    images = struct.pack(">IIII", 0x803, _COUNT, _SIZE, _SIZE) + pixels.tobytes()
    for name, content in (
        ("t10k-images-idx3-ubyte.gz", images),
        ("t10k-labels-idx1-ubyte.gz", struct.pack(">II", 0x801, _COUNT) + labels.tobytes()),
    ):
        path = folder / name
        path.write_bytes(gzip.compress(content, 1))
        os.utime(path, (_LONG_AGO, _LONG_AGO))


def _part(root: Path) -> Part:
    """The images, without a warning that they are not the official ones."""
    logging.getLogger("dcbench.data").setLevel(logging.ERROR)
    try:
        return Folder(root, allow_unverified=True).part("mnist", "test")
    finally:
        logging.getLogger("dcbench.data").setLevel(logging.NOTSET)


def _same(one: Part, other: Part) -> bool:
    return (
        np.array_equal(one.images, other.images)
        and np.array_equal(one.labels, other.labels)
        and one.take().sha256() == other.take().sha256()
    )
