"""Arrays as one file that NumPy opens, and the hash of what they hold.

Nearly all bits of a logit are noise, which nothing shortens; searching them for repetitions is what
takes the time. So an array of floats `x` is two members of the archive:

- `x.low`, uint8 [bytes - 1, ...]: its bytes but the last of each number, least significant first,
  as they are;
- `x.high`, uint8 [...]: the most significant bytes, sign and exponent, deflated.

Every other array is a member of its own name, as `numpy.savez_compressed` writes it.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
import zlib
from collections.abc import Mapping
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

Arrays = Mapping[str, NDArray[Any]]

_LOW, _HIGH = ".low", ".high"
_LARGEST = 2**28
_GROWTH = 16
"""A file may say that it holds `_LARGEST` bytes or `_GROWTH` times its own, whichever is more."""


def arrays_sha256(arrays: Arrays) -> str:
    """The SHA-256 of arrays, whatever file they are in and whatever has compressed it.

    In the order of their names, each is a line of JSON, `["logits", "<f4", [1197, 10]]`, and its
    bytes, little-endian and row by row.
    """
    digest = hashlib.sha256()
    for name in sorted(arrays):
        array = _little_endian(arrays[name])
        digest.update(f"{json.dumps([name, array.dtype.str, array.shape])}\n".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def pack(file: BinaryIO, arrays: Arrays) -> None:
    """Write arrays as one archive, without loss of a bit."""
    with zipfile.ZipFile(file, "w") as archive:
        for name, array in arrays.items():
            plain = _little_endian(array)
            if plain.dtype.kind == "f":
                low, high = _split(plain)
                _add(archive, name + _LOW, low, None)
                # Exponents do not repeat in any order: codes by frequency alone are shorter than
                # what a search finds, and take half the time.
                _add(archive, name + _HIGH, high, zlib.Z_HUFFMAN_ONLY)
            else:
                _add(archive, name, plain, zlib.Z_DEFAULT_STRATEGY)


def unpack(content: bytes) -> dict[str, NDArray[Any]]:
    """The arrays of an archive: one of `pack`, or of `numpy.savez` with compression or without.

    Raises
    ------
    Exception
        It is no such archive, is damaged, or says that it holds far more than its size; of the
        many kinds that NumPy and zipfile have.
    """
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        declared = sum(member.file_size for member in archive.infolist())
    if declared > max(_LARGEST, _GROWTH * len(content)):
        raise ValueError(f"{len(content)} bytes that say they hold {declared}")
    with np.load(io.BytesIO(content), allow_pickle=False) as members:
        stored = {name: members[name] for name in members.files}
    arrays = {name: each for name, each in stored.items() if not name.endswith((_LOW, _HIGH))}
    for name in stored:
        if name.endswith(_LOW):
            whole = name.removesuffix(_LOW)
            arrays[whole] = _joined(stored[name], stored[whole + _HIGH])
    return arrays


def is_packed(content: bytes) -> bool:
    """Whether an archive of floats is one of `pack`."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return any(name.endswith(f"{_LOW}.npy") for name in archive.namelist())


def _little_endian(array: NDArray[Any]) -> NDArray[Any]:
    return np.asarray(array, dtype=array.dtype.newbyteorder("<"), order="C")


def _add(archive: zipfile.ZipFile, name: str, array: NDArray[Any], strategy: int | None) -> None:
    """A member, deflated by a strategy of zlib, or, where that is None, as it is."""
    # A member without a date has one of 1980, so equal arrays make equal files on one machine.
    info = zipfile.ZipInfo(f"{name}.npy")
    info.compress_type = zipfile.ZIP_STORED if strategy is None else zipfile.ZIP_DEFLATED
    with archive.open(info, "w") as member:
        if strategy is not None:
            # zipfile has no option for it. Were the attribute not there any more, the member would
            # be deflated in zipfile's own way, and be as valid.
            deflating = zlib.compressobj(1, wbits=-zlib.MAX_WBITS, strategy=strategy)
            setattr(member, "_compressor", deflating)  # noqa: B010 - types do not know it
        np.lib.format.write_array(member, array, allow_pickle=False)


def _split(array: NDArray[Any]) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """The low bytes [bytes - 1, ...] and the high ones [...]."""
    width = array.dtype.itemsize
    planes = array.reshape(-1).view(np.uint8).reshape(array.size, width).T
    low, high = np.ascontiguousarray(planes[:-1]), np.ascontiguousarray(planes[-1])
    return low.reshape(width - 1, *array.shape), high.reshape(array.shape)


def _joined(low: NDArray[np.uint8], high: NDArray[np.uint8]) -> NDArray[Any]:
    """The floats again."""
    width = len(low) + 1
    octets = np.empty((high.size, width), np.uint8)
    for place, plane in enumerate([*low, high]):
        octets[:, place] = plane.reshape(-1)
    return octets.reshape(-1).view(f"<f{width}").reshape(high.shape)
