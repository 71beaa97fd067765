"""Small files in the official formats, and a way to put them in the place of the real ones."""

from __future__ import annotations

import gzip
import hashlib
import io
import pickle
import struct
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.io import savemat

from dcbench.data.catalogue import DATASETS
from dcbench.data.published import Dataset

TINY = """
name: tiny
title: Four images of each class
dataset: cifar10
test: {dataset: cifar10, exclude: {file: excluded.csv, sha256: "SHA256"}}
rule: {kind: by-position, train: 1, val: 1}
subsets: [0, 1]
ood: [cifar100, mnist, gaussian]
recipe: none
class_names: [a, b, c, d, e, f, g, h, i, j]
source: made up
licence: none
"""
TRAIN_BATCH, TEST_BATCH = (f"cifar-10-batches-py/{name}" for name in ("data_batch_1", "test_batch"))

Content = tuple[bytes, int]  # the bytes of a file, and how many images or labels it holds


def cifar_rows(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, 3072), dtype=np.uint8)


def python2_batch(rows: np.ndarray, labels: Sequence[int], key: str = "labels") -> bytes:
    """A pickle with the opcodes of the official CIFAR files, which Python 2 wrote."""

    def text(value: str) -> bytes:
        return b"U" + bytes([len(value)]) + value.encode()

    def number(value: int) -> bytes:
        return b"J" + struct.pack("<i", value)

    data = rows.tobytes()
    dtype = b"cnumpy\ndtype\n" + text("u1") + b"K\0K\1\x87R(K\3" + text("|") + b"NNN"
    dtype += number(-1) + number(-1) + b"K\0tb"
    array = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\0\x85" + text("b") + b"\x87R"
    array += b"(K\1" + number(rows.shape[0]) + number(rows.shape[1]) + b"\x86" + dtype
    array += b"\x89T" + struct.pack("<i", len(data)) + data + b"tb"
    listed = b"](" + b"".join(map(number, labels)) + b"e"
    return b"\x80\2}(" + text("data") + array + text(key) + listed + b"u."


def python3_batch(rows: Any, labels: Any, key: str = "labels", protocol: int = 4) -> bytes:
    """A pickle as ciFAIR's test files, which Python 3 wrote and which name no images."""
    return pickle.dumps({"data": rows, key: labels}, protocol=protocol)


def mnist_images(images: np.ndarray) -> bytes:
    return gzip.compress(struct.pack(">IIII", 2051, *images.shape) + images.tobytes(), mtime=0)


def mnist_labels(labels: Sequence[int]) -> bytes:
    return gzip.compress(struct.pack(">II", 2049, len(labels)) + bytes(labels), mtime=0)


def svhn_file(X: np.ndarray, y: Sequence[int]) -> bytes:
    target = io.BytesIO()
    savemat(target, {"X": X, "y": np.array(y, dtype=np.uint8)[:, None]})
    return target.getvalue()


def place(
    monkeypatch: pytest.MonkeyPatch, root: Path, name: str, files: Mapping[str, Content]
) -> Dataset:
    """Write the files and make them the official ones of a dataset, which has no others then."""
    for path, (content, _) in files.items():
        target = root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
    return expect(monkeypatch, name, files)


def expect(monkeypatch: pytest.MonkeyPatch, name: str, files: Mapping[str, Content]) -> Dataset:
    """Make these the official files of a dataset, without writing them."""
    entry = DATASETS[name]
    parts = {
        part: tuple(
            replace(file, md5=md5(files[file.path][0]), count=files[file.path][1])
            for file in part_files
            if file.path in files
        )
        for part, part_files in entry.parts.items()
    }
    small = replace(entry, parts=parts)
    monkeypatch.setitem(DATASETS, name, small)
    return small


def md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def tiny_batches(seed: int = 1) -> dict[str, Content]:
    """40 training images with the labels 0 to 9 four times over, and 10 to test."""
    train = python2_batch(cifar_rows(40, seed), [*range(10)] * 4)
    test = python2_batch(cifar_rows(10, seed=2), [*range(10)])
    return {TRAIN_BATCH: (train, 40), TEST_BATCH: (test, 10)}


def tiny_mnist() -> dict[str, Content]:
    grey = np.arange(2 * 28 * 28, dtype=np.uint8).reshape(2, 28, 28)
    return {
        "MNIST/raw/t10k-images-idx3-ubyte.gz": (mnist_images(grey), 2),
        "MNIST/raw/t10k-labels-idx1-ubyte.gz": (mnist_labels([1, 2]), 2),
    }


def pixels_of(rows: np.ndarray) -> np.ndarray:
    return rows.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
