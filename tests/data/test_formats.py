from __future__ import annotations

import contextlib
import gzip
import os
import pickle
import resource
from array import array
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dcbench.data.formats import (
    FormatError,
    Piece,
    check_piece,
    read_cifar10,
    read_cifar100,
    read_digits,
    read_mnist_images,
    read_mnist_labels,
    read_svhn,
)
from dcbench.data.pickles import unpickle
from tests.data import fakes


@pytest.mark.parametrize("batch", [fakes.python2_batch, fakes.python3_batch])
@pytest.mark.parametrize(
    ("read", "key"), [(read_cifar10, "labels"), (read_cifar100, "fine_labels")]
)
def test_cifar_pixel_lands_at_its_row_column_and_channel(batch, read, key):
    rows = np.zeros((3, 3072), dtype=np.uint8)
    rows[1, 2 * 1024 + 5 * 32 + 7] = 200  # blue plane, row 5, column 7
    images, labels = read(batch(rows, [4, 0, 9], key))
    assert images.shape == (3, 32, 32, 3)
    assert images.flags.c_contiguous
    assert images[1, 5, 7].tolist() == [0, 0, 200]
    assert images.sum() == 200
    assert labels.dtype == np.int64
    assert labels.tolist() == [4, 0, 9]


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize(
    "labels", [[1, 2], np.array([1, 2], dtype=np.uint8), list(np.array([1, 2])), array("l", [1, 2])]
)
def test_cifar_labels_are_read_in_every_plain_form(protocol, labels):
    rows = fakes.cifar_rows(2)
    piece = read_cifar10(fakes.python3_batch(rows, labels, protocol=protocol))
    assert piece.labels.tolist() == [1, 2]
    assert piece.images[1, 0, 1, 0] == rows[1, 1]


class _Call:
    """Pickles as a call of any function."""

    def __init__(self, function: Any, *args: Any) -> None:
        self.call = (function, args)

    def __reduce__(self) -> Any:
        return self.call


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_pickle_that_would_run_code_is_refused_and_runs_nothing(tmp_path: Path, protocol):
    mark = tmp_path / "ran"
    rows = fakes.cifar_rows(1)
    for call in (_Call(os.mkdir, str(mark)), _Call(eval, f"__import__('os').mkdir({str(mark)!r})")):
        content = pickle.dumps({"data": rows, "labels": [0], "x": call}, protocol=protocol)
        with pytest.raises(FormatError, match="asks for"):
            read_cifar10(content)
        assert not mark.exists()
        pickle.loads(content)  # the plain unpickler does run it
        assert mark.exists()
        mark.rmdir()


@pytest.mark.parametrize(
    "value", [OrderedDict(), Path("x"), getattr, np.load, np.lib.format.open_memmap]
)
def test_pickle_may_hold_plain_values_alone(value):
    with pytest.raises(FormatError, match="asks for"):
        unpickle(pickle.dumps(value))


@pytest.mark.parametrize(
    ("entry", "problem"),
    [
        ([1], "list instead of a dict"),
        ({"labels": [0]}, "no 'data'"),
        ({"data": [[0] * 3072], "labels": [0]}, "'data' is no list of whole numbers"),
        ({"data": np.zeros((1, 3072)), "labels": [0]}, r"float64 \[1, 3072\] instead of uint8 \[N"),
        ({"data": np.zeros((1, 3071), np.uint8), "labels": [0]}, r"\[1, 3071\] instead"),
        ({"data": np.zeros(3072, np.uint8), "labels": [0]}, r"\[3072\] instead"),
        ({"data": np.zeros((1, 3072), np.uint8)}, "no 'labels'"),
        ({"data": np.zeros((1, 3072), np.uint8), "labels": [0.5]}, "whole numbers"),
        ({"data": np.zeros((1, 3072), np.uint8), "labels": ["cat"]}, "whole numbers"),
        ({"data": np.zeros((1, 3072), np.uint8), "labels": [[0], [1, 2]]}, "whole numbers"),
    ],
)
def test_cifar_file_of_another_form_is_refused_with_what_is_wrong(entry, problem):
    with pytest.raises(FormatError, match=problem):
        read_cifar10(pickle.dumps(entry, protocol=2))


DEEP = b"(K\1K\2tq\0" + b"".join(b"0h%ch%c\x86q%c" % (n, n, n + 1) for n in range(60))
"""A tuple of two times a tuple of two times a tuple, sixty times over."""


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"\x80\2Nr\xff\xff\xff\x7f.", "a pickled NoneType"),
        (b"\x80\5\x96" + b"\xff" * 7 + b"\x7f.", "bytes are to follow"),
        (b"\x80\4\x95" + b"\xff" * 7 + b"\x7fN.", "a pickled NoneType"),
        (b"\x80\2}" + DEEP + b"K\1s.", "a key that is no text"),
        (b"\x80\2}(" + DEEP + b"K\1u.", "a key that is no text"),
        (b"\x80\2(" + DEEP + b"K\1d.", "a key that is no text"),
        (b"\x80\4\x8f(" + DEEP + b"\x90.", "a set"),
        (b"\x80\2cnumpy\ndtype\n" + DEEP + b"\x85R.", "a pickled _DType"),
        (b"\x80\2c_codecs\nencode\n}U\4nameK\1sb.", "an object that is not its own"),
        (
            b"\x80\2}(U\4datac_codecs\nencode\nX\1\0\0\0aU\x0eunicode_escape\x86Ru.",
            "another encoding",
        ),
        (b"\x80\2}(U\4data]q\0(" + b"h\0" * 2 + b"eU\6labels]u.", "no list of whole numbers"),
        (b"\x80\2}(U\4data" + DEEP + b"U\6labels]u.", "'data' is not an array"),
    ],
)
def test_small_pickle_asks_for_no_gigabytes_and_for_no_hours(content, problem):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(FormatError, match=problem):
        read_cifar10(content)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000


def test_small_gzip_file_is_not_unpacked_beyond_what_its_header_says():
    header = np.array([0x0803, 2, 28, 28], ">u4").tobytes()
    endless = gzip.compress(header + bytes(50_000_000), compresslevel=1)
    with pytest.raises(FormatError, match="more values where the header says"):
        read_mnist_images(endless)
    header = np.array([0x0803, 2**31, 28, 28], ">u4").tobytes()
    with pytest.raises(FormatError, match="idx header"):
        read_mnist_images(gzip.compress(header))


def test_cut_or_garbled_pickle_never_raises_anything_but_a_format_error():
    whole = fakes.python2_batch(fakes.cifar_rows(1), [3])
    for length in range(len(whole)):
        with pytest.raises(FormatError, match="pickle"):
            read_cifar10(whole[:length])
    rng = np.random.default_rng(0)
    for _ in range(300):
        garbled = bytearray(whole)
        garbled[rng.integers(0, 200)] = rng.integers(0, 256)
        with contextlib.suppress(FormatError):
            read_cifar10(bytes(garbled))


def test_svhn_axes_are_put_in_order_and_ten_means_zero():
    X = np.zeros((32, 32, 3, 4), dtype=np.uint8)
    X[3, 9, 1, 2] = 77  # row 3, column 9, green, image 2
    images, labels = read_svhn(fakes.svhn_file(X, [10, 1, 9, 10]))
    assert images.shape == (4, 32, 32, 3)
    assert images.flags.c_contiguous
    assert images[2, 3, 9].tolist() == [0, 77, 0]
    assert images.sum() == 77
    assert labels.dtype == np.int64
    assert labels.tolist() == [0, 1, 9, 0]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "MATLAB"),
        (b"no matlab file " * 50, "MATLAB"),
        (
            fakes.svhn_file(np.zeros((4, 32, 32, 3), np.uint8), [1] * 4),
            r"instead of uint8 \[32, 32",
        ),
        (fakes.svhn_file(np.zeros((32, 32, 3, 4), np.int16), [1] * 4), "int16"),
        (fakes.svhn_file(np.zeros((32, 32, 3, 4), np.uint8), [0] * 4), "label 0"),
    ],
)
def test_svhn_file_of_another_form_is_refused_with_what_is_wrong(content, problem):
    with pytest.raises(FormatError, match=problem):
        read_svhn(content)


def test_mnist_image_is_padded_by_two_and_grey_in_three_channels():
    grey = np.zeros((2, 28, 28), dtype=np.uint8)
    grey[1, 0, 27] = 255
    images, labels = read_mnist_images(fakes.mnist_images(grey))
    assert labels is None
    assert images.shape == (2, 32, 32, 3)
    assert images[1, 2, 29].tolist() == [255, 255, 255]
    assert images.astype(int).sum() == 3 * 255


def test_mnist_labels_are_read_in_order():
    images, labels = read_mnist_labels(fakes.mnist_labels([7, 0, 9]))
    assert images is None
    assert labels.dtype == np.int64
    assert labels.tolist() == [7, 0, 9]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"plain", "gzip"),
        (fakes.mnist_images(np.zeros((2, 28, 28), np.uint8))[:-20], "gzip"),
        (fakes.mnist_labels([1, 2]), "idx header"),
        (fakes.mnist_images(np.zeros((2, 32, 32), np.uint8)), "idx header"),
        (gzip.compress(b"", mtime=0), "idx header"),
        (gzip.compress(b"\0\0\x08\3\0\0\0\2\0\0\0\x1c\0\0\0\x1cx", mtime=0), "1 values where"),
    ],
)
def test_mnist_file_of_another_form_is_refused_with_what_is_wrong(content, problem):
    with pytest.raises(FormatError, match=problem):
        read_mnist_images(content)


def test_digits_grey_levels_reach_the_whole_range():
    images, labels = read_digits("train")
    assert images.shape == (600, 8, 8, 3)
    # the first image's first row is 0 0 5 13 9 1 0 0 of 16
    assert images[0, 0, :, 0].tolist() == [0, 0, 80, 207, 143, 16, 0, 0]
    assert images.max() == 255
    assert (images[..., 0] == images[..., 2]).all()
    assert labels[:10].tolist() == list(range(10))


def test_digits_parts_share_no_image_and_leave_none_out():
    from sklearn.datasets import load_digits

    train, test = read_digits("train"), read_digits("test")
    assert len(train.images) + len(test.images) == 1797
    assert test.labels.tolist() == load_digits().target[600:].tolist()


@pytest.mark.parametrize(
    ("labels", "problem"),
    [
        ([0, 1, 2], "3 labels instead of 2"),
        ([0, 10], "0 to 10 instead of 0 to 9"),
        ([-1, 3], "from -1"),
    ],
)
def test_labels_too_many_or_out_of_range_are_refused(labels, problem):
    with pytest.raises(FormatError, match=problem):
        check_piece(Piece(None, np.array(labels)), count=2, num_classes=10)


def test_too_few_images_are_refused():
    with pytest.raises(FormatError, match="1 images instead of 2"):
        check_piece(Piece(np.zeros((1, 32, 32, 3), np.uint8), None), count=2, num_classes=10)
