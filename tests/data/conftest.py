"""A split on a small CIFAR-10, and copies of splits that may be damaged."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import pytest

from dcbench.data.derive import derive_split
from dcbench.data.places import splits_folder
from dcbench.data.source import open_source
from tests.data import fakes


@pytest.fixture
def copied_splits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of a few splits that a test may damage."""
    folder = tmp_path / "shipped/splits"
    folder.mkdir(parents=True)
    for name in ("cifair10", "cifair10-common", "digits"):
        shutil.copy(splits_folder() / f"{name}.yaml", folder)
        shutil.copytree(splits_folder() / name, folder / name)
    monkeypatch.setattr("dcbench.data.places.shipped_root", lambda: folder.parent)
    return folder


@pytest.fixture
def tiny(copied_splits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The data folder of a split `tiny` on a small CIFAR-10; of its OOD sets, MNIST is there."""
    excluded = b"index\n3\n8\n"
    digest = hashlib.sha256(excluded).hexdigest()
    (copied_splits / "tiny.yaml").write_text(fakes.TINY.replace("SHA256", digest))
    (copied_splits / "tiny").mkdir()
    (copied_splits / "tiny/excluded.csv").write_bytes(excluded)
    root = tmp_path / "data"
    fakes.place(monkeypatch, root, "cifar10", fakes.tiny_batches())
    fakes.place(monkeypatch, root, "mnist", fakes.tiny_mnist())
    derive_split("tiny", open_source(root))
    return root
