"""Splits: which images a task trains, validates and tests on, as listed under `splits/`.

`splits/<name>.yaml` says what a split is. `splits/<name>/` holds, for each subset, the rows of the
dataset's training part (`subset-<k>.csv`) and what they hash to (`hashes.json`).
"""

from __future__ import annotations

import fnmatch
import functools
import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import Field

from dcbench.config.base import Config, validated
from dcbench.config.names import PathPart
from dcbench.config.reading import parse_csv, parse_json, read_file, read_yaml
from dcbench.data.places import find_split, lists_folder, split_files
from dcbench.data.rules import Rows, Rule
from dcbench.errors import DataError, UsageError, unknown

_PARTS = ("train", "val")


class ExcludedRows(Config):
    """Rows of a test part that a split leaves out."""

    file: PathPart = Field(description="CSV with a column `index`, beside the split's lists")
    sha256: str
    of: str | None = Field(None, description="the split beside whose lists the file lies instead")


class TestSet(Config):
    """What a split is tested on: a dataset's test part, but for the rows listed in `exclude`."""

    __test__ = False

    dataset: str
    exclude: ExcludedRows | None = None


class SplitConfig(Config):
    """A task as `splits/<name>.yaml` describes it, the same for all its subsets."""

    name: str
    title: str
    dataset: str = Field(description="its training part is what subsets are drawn from")
    test: TestSet
    rule: Rule
    subsets: tuple[int, ...] = Field(min_length=1)
    subsets_of: PathPart | None = Field(None, description="the split whose lists this one shares")
    ood: tuple[str, ...] = Field(description="sets for out-of-distribution detection")
    recipe: str = Field(description="which of a protocol's recipes it is trained by")
    long_tailed: bool = Field(False, description="report accuracy over many, medium, few")
    class_names: tuple[str, ...] = Field(min_length=2)
    source: str
    licence: str


class SubsetHashes(Config):
    """What the lists of a subset come to."""

    train: int
    val: int
    csv_sha256: str
    index_sha256: str
    images_sha256: str = Field(description="of the images of train, then val, each [H, W, 3]")
    images_official: bool = Field(description="hashed from files with their official checksums")


class SplitHashes(Config):
    """What `splits/<name>/hashes.json` proves the lists and the images of each subset by."""

    subsets: dict[int, SubsetHashes]


@dataclass(frozen=True, eq=False)
class Split:
    """One subset of a split.

    Attributes
    ----------
    train, val : int64 [N]
        Rows of the dataset's training part.
    train_labels, val_labels : int64 [N]
    path : Path
        The split's YAML file.
    """

    config: SplitConfig
    subset: int
    train: Rows
    val: Rows
    train_labels: Rows
    val_labels: Rows
    hashes: SubsetHashes
    path: Path

    def __repr__(self) -> str:
        return (
            f"<Split: {self.name}, subset {self.subset}; {len(self.train)} training and "
            f"{len(self.val)} validation images of {self.num_classes} classes>"
        )

    @property
    def name(self) -> str:
        """As its file under `splits/` and its leaderboards are called."""
        return self.config.name

    @property
    def num_classes(self) -> int:
        """Of the dataset, those without a training image too."""
        return len(self.config.class_names)

    @property
    def class_counts(self) -> list[int]:
        """Number of images of each class in `train`."""
        return self.counts_of("train")

    def counts_of(self, fit: Literal["train", "trainval"]) -> list[int]:
        """Number of images of each class that are trained on."""
        labels = self.train_labels
        if fit == "trainval":
            labels = np.concatenate([labels, self.val_labels])
        return [int(n) for n in np.bincount(labels, minlength=self.num_classes)]

    def kept_test_rows(self, count: int) -> Rows:
        """Rows that the split is tested on, of the `count` rows of the test part."""
        return np.setdiff1d(np.arange(count), self.excluded_test_rows)

    @functools.cached_property
    def excluded_test_rows(self) -> Rows:
        """Rows of the test part that the split leaves out."""
        excluded = self.config.test.exclude
        if excluded is None:
            return np.empty(0, dtype=np.int64)
        path = lists_folder(self.path, excluded.of or self.name) / excluded.file
        return read_list(path, excluded.sha256, ("index",))[:, 0]

    def summary(self) -> dict[str, Any]:
        """The subset as plain values, for `dcbench splits show --json`."""
        return {
            "name": self.name,
            "dataset": self.config.dataset,
            "subset": self.subset,
            "num_classes": self.num_classes,
            "train": self.train.tolist(),
            "val": self.val.tolist(),
            "class_counts": self.class_counts,
            "index_sha256": self.hashes.index_sha256,
        }


def split_names(pattern: str = "*") -> list[str]:
    """Names of the splits, by wildcard."""
    return sorted(fnmatch.filter(split_files(), pattern))


def matching_splits(patterns: Iterable[str]) -> list[str]:
    """Names of the splits that any of some wildcards fits.

    Raises
    ------
    UsageError
        One fits none.
    """
    found: dict[str, None] = {}
    for pattern in patterns:
        names = split_names(pattern)
        if not names:
            raise unknown("split", pattern, split_names())
        found.update(dict.fromkeys(names))
    return list(found)


def split_config(name: str) -> SplitConfig:
    """What a split is, without its lists: by its name, or by the path of its YAML file."""
    return _config_at(find_split(name))


def _config_at(path: Path) -> SplitConfig:
    config = validated(SplitConfig, read_yaml(path), path)
    if config.name != path.stem:
        raise UsageError(
            f"{path}: name='{config.name}': should be '{path.stem}', as the file is called"
        )
    return config


def load_split(name: str, subset: int = 0) -> Split:
    """One subset of a split, as it is listed.

    Raises
    ------
    UsageError
        There is no such split or subset.
    DataError
        A list is damaged: its hash is not the one recorded beside it.
    """
    file = find_split(name)
    config = _config_at(file)
    if subset not in config.subsets:
        listed = ", ".join(map(str, config.subsets))
        raise UsageError(f"split {config.name} has no subset {subset}; there are: {listed}")
    folder = lists_folder(file, config.subsets_of or config.name)
    if not (folder / "hashes.json").exists():
        raise DataError(
            f"{folder / 'hashes.json'}: split {folder.name} has no lists yet; "
            f"`dcbench splits derive {name}` writes them"
        )
    recorded = read_hashes(folder / "hashes.json").subsets
    if subset not in recorded:
        raise DataError(f"{folder / 'hashes.json'}: has no subset {subset}; restore the file")
    hashes = recorded[subset]
    path = folder / f"subset-{subset}.csv"
    rows = read_list(path, hashes.csv_sha256, ("part", "index", "label"))
    if len(rows) and rows[:, 2].max() >= len(config.class_names):
        raise DataError(f"{path}: label {rows[:, 2].max()} of {len(config.class_names)} classes")
    train, val = (rows[rows[:, 0] == number, 1:] for number in range(len(_PARTS)))
    return Split(config, subset, train[:, 0], val[:, 0], train[:, 1], val[:, 1], hashes, file)


def read_hashes(path: Path) -> SplitHashes:
    """The hashes recorded beside a split's lists."""
    content = parse_json(read_file(path), path, hint="; restore the file")
    return validated(SplitHashes, content, path, DataError)


def index_sha256(train: Rows, val: Rows) -> str:
    """SHA-256 of the rows of `train`, then `val`, as little-endian int64."""
    return hashlib.sha256(np.concatenate([train, val]).astype("<i8").tobytes()).hexdigest()


def read_list(path: Path, sha256: str, names: Sequence[str]) -> Rows:
    """Columns of a list that is whole, [N, columns]: its bytes have the recorded hash.

    A part stands as its place in `_PARTS`.
    """
    content = read_file(path)
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        raise DataError(
            f"{path}: SHA-256 is {found}, recorded is {sha256}: the list is damaged; restore it, "
            f"or `dcbench splits derive {path.parent.name}` writes it again"
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
    if column == "part" and cell in _PARTS:
        return _PARTS.index(cell)
    if column == "part" or not re.fullmatch(r"[0-9]{1,9}", cell):
        right = " or ".join(_PARTS) if column == "part" else "a whole number"
        raise ValueError(f"{column}='{cell[:40]}': should be {right}")
    return int(cell)
