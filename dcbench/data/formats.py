"""Read the official file formats from bytes: CIFAR's pickles, MNIST's idx, SVHN's MATLAB file.

A file may come from a third party, so none of these readers can be made to run code from it; the
one whose parser could crash, SVHN's, is given the official file alone.
"""

from __future__ import annotations

import array
import functools
import gzip
import hashlib
import importlib.util
import io
import math
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dcbench.data.pickles import FormatError as FormatError
from dcbench.data.pickles import PickledArray, unpickle


class Piece(NamedTuple):
    """What one file holds: images, labels, or both.

    Attributes
    ----------
    images : ndarray of uint8 [N, 32, 32, 3], or None
        Height, width, channels (red, green, blue). Digits are [N, 8, 8, 3].
    labels : ndarray of int64 [N], or None
        Class numbers from 0.
    """

    images: NDArray[np.uint8] | None
    labels: NDArray[np.int64] | None


Reader = Callable[[bytes], Piece]

_MOST_IMAGES = 1_000_000
"""Of a file: more than the largest of any dataset here, and little enough to unpack."""


def read_cifar10(content: bytes) -> Piece:
    """Read one CIFAR-10 or ciFAIR-10 batch: a pickled dict with ``data`` [N, 3072] and ``labels``.

    A row of ``data`` is the red plane, then green, then blue, each row by row
    (https://www.cs.toronto.edu/~kriz/cifar.html).

    Raises
    ------
    FormatError
        If the bytes are not such a pickle.
    """
    return _read_cifar(content, "labels")


def read_cifar100(content: bytes) -> Piece:
    """Read a CIFAR-100 or ciFAIR-100 file: as CIFAR-10's, with the labels in ``fine_labels``.

    Raises
    ------
    FormatError
        If the bytes are not such a pickle.
    """
    return _read_cifar(content, "fine_labels")


def read_mnist_images(content: bytes) -> Piece:
    """Read a gzipped idx3 file of 28x28 grey images.

    They come back as [N, 32, 32, 3]: two black pixels added on each side, three equal channels.

    Raises
    ------
    FormatError
        If the bytes are not such a file.
    """
    grey = _read_idx(content, (28, 28))
    padded = np.pad(grey, ((0, 0), (2, 2), (2, 2)))
    return Piece(np.repeat(padded[..., None], 3, axis=-1), None)


def read_mnist_labels(content: bytes) -> Piece:
    """Read a gzipped idx1 file of labels.

    Raises
    ------
    FormatError
        If the bytes are not such a file.
    """
    return Piece(None, _read_idx(content, ()).astype(np.int64))


def read_svhn(content: bytes) -> Piece:
    """Read an SVHN ``*_32x32.mat`` file: ``X`` [32, 32, 3, N] and ``y`` [N, 1], where 10 means 0.

    Source: http://ufldl.stanford.edu/housenumbers, format 2. To be used on the official bytes
    alone: scipy's reader can crash the interpreter on damaged ones.

    Raises
    ------
    FormatError
        If the bytes are not such a file.
    """
    from scipy.io import loadmat

    source: Any = io.BytesIO(content)  # scipy's stubs know paths alone
    try:
        entry = loadmat(source, variable_names=["X", "y"])
    except Exception as error:  # scipy raises whatever the damaged bytes happen to cause
        raise FormatError(f"not a readable MATLAB file ({error})") from None
    pixels = _pixels(entry, "X", (32, 32, 3, None))
    digits = _labels({"y": np.ravel(_array(entry, "y"))}, "y")
    if np.any(digits == 0):
        raise FormatError("label 0 in 'y', where digits are numbered 1 to 10")
    images = np.ascontiguousarray(pixels.transpose(3, 0, 1, 2))
    return Piece(images, np.where(digits == 10, 0, digits))


def read_digits(part: str) -> Piece:
    """Read the 8x8 digits that come with scikit-learn: 1,797 images in its fixed order.

    Parameters
    ----------
    part : {"train", "test"}
        Images 0 to 599, or 600 to 1,796.

    Returns
    -------
    Piece
        Images [N, 8, 8, 3]: grey levels 0 to 16 scaled to 0 to 255, three equal channels.
    """
    rows = {"train": slice(0, 600), "test": slice(600, 1797)}[part]
    table = _digits_table()[rows]
    levels, labels = table[:, :-1].reshape(-1, 8, 8), table[:, -1].astype(np.int64)
    gray = np.rint(levels * 255 / 16).astype(np.uint8)
    return Piece(np.repeat(gray[..., None], 3, axis=-1), labels)


@functools.cache
def _digits_table() -> NDArray[np.float64]:
    """64 gray levels and the label of each digit [1797, 65], from scikit-learn's own file.

    Importing scikit-learn for it would take longer than to train on it.
    """
    package = importlib.util.find_spec("sklearn")
    folders = (package and package.submodule_search_locations) or [""]
    path = Path(folders[0], "datasets", "data", "digits.csv.gz")
    with gzip.open(path, "rt") as file:
        return np.loadtxt(file, delimiter=",")


def check_piece(piece: Piece, count: int, num_classes: int) -> None:
    """Check that a file holds as many images or labels as it should, and no label out of range.

    Raises
    ------
    FormatError
        If it does not.
    """
    for kind, values in (("images", piece.images), ("labels", piece.labels)):
        if values is not None and len(values) != count:
            raise FormatError(f"{len(values):,} {kind} instead of {count:,}")
    if piece.labels is not None:
        low, high = int(piece.labels.min()), int(piece.labels.max())
        if low < 0 or high >= num_classes:
            raise FormatError(f"labels from {low} to {high} instead of 0 to {num_classes - 1}")


def holds(piece: Piece, sha256: str) -> bool:
    """Whether that is the SHA-256 of the images of a file, or, if it has none, of its labels."""
    values = piece.labels if piece.images is None else piece.images
    return bool(sha256) and hashlib.sha256(np.ascontiguousarray(values).data).hexdigest() == sha256


def _read_cifar(content: bytes, label_key: str) -> Piece:
    entry = unpickle(content)
    if not isinstance(entry, dict):
        raise FormatError(f"a pickled {type(entry).__name__} instead of a dict")
    rows = _pixels(entry, "data", (None, 3072))
    images = rows.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    return Piece(np.ascontiguousarray(images), _labels(entry, label_key))


def _array(entry: Mapping[str, Any], name: str) -> NDArray[Any]:
    """Return a value of a file as an array."""
    if name not in entry:
        raise FormatError(f"no '{name}'")
    value = entry[name]
    if isinstance(value, list):
        # NumPy would look into what is in the list, and for ever into lists of lists of itself.
        value = [each if isinstance(each, (int, float)) else _single(each, name) for each in value]
    elif not isinstance(value, (PickledArray, array.array, np.ndarray)):
        raise FormatError(f"'{name}' is not an array")
    try:
        return np.asarray(value)
    except Exception as error:  # a damaged array can fail in any way
        raise FormatError(f"'{name}' is not an array ({error})") from None


def _single(value: Any, name: str) -> Any:
    """A number of a list that NumPy wrote."""
    if not isinstance(value, PickledArray):
        raise FormatError(f"'{name}' is no list of whole numbers")
    return value.__array__()[()]


def _pixels(
    entry: Mapping[str, Any], name: str, shape: tuple[int | None, ...]
) -> NDArray[np.uint8]:
    """Return a value of a file that has to be uint8 of that shape (None: any length)."""
    values = _array(entry, name)
    fits = len(shape) == values.ndim and all(
        want in (None, got) for want, got in zip(shape, values.shape, strict=True)
    )
    if values.dtype != np.uint8 or not fits:
        wanted = ", ".join("N" if size is None else str(size) for size in shape)
        found = ", ".join(map(str, values.shape))
        raise FormatError(f"'{name}' is {values.dtype} [{found}] instead of uint8 [{wanted}]")
    return values


def _labels(entry: Mapping[str, Any], name: str) -> NDArray[np.int64]:
    """Return a value of a file that has to be whole numbers in a row."""
    labels = _array(entry, name)
    if labels.dtype.kind not in "iu" or labels.ndim != 1:
        raise FormatError(f"'{name}' is no list of whole numbers")
    return labels.astype(np.int64)


def _read_idx(content: bytes, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """Read the array uint8 [N, *shape] of a gzipped idx file (yann.lecun.com/exdb/mnist)."""
    rank = 1 + len(shape)
    start = 4 * (1 + rank)
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(content)) as file:
            header = np.frombuffer(file.read(start).ljust(start, b"\0"), dtype=">u4").tolist()
            if header[0] != 0x0800 + rank or tuple(header[2:]) != shape or header[1] > _MOST_IMAGES:
                raise FormatError(f"idx header {header} instead of {[0x0800 + rank, 'N', *shape]}")
            size = math.prod(header[1:])
            values = np.frombuffer(file.read(size + 1), dtype=np.uint8)
    except (OSError, EOFError, zlib.error) as error:
        raise FormatError(f"not a readable gzip file ({error})") from None
    if values.size != size:
        found = "more" if values.size > size else f"{values.size:,}"
        raise FormatError(f"{found} values where the header says {header[1:]}")
    return values.reshape(header[1:])
