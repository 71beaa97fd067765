"""Splits: which images a task trains, validates and tests on, as listed under `splits/`.

`splits/<name>.yaml` says what a split is. `splits/<name>/` holds, for each subset, the rows of the
dataset's training part (`subset-<k>.csv`) and what they hash to (`hashes.json`).
"""

from __future__ import annotations

import fnmatch
import functools
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, field_validator, model_validator

from dcbench.config.base import Config, validated
from dcbench.config.names import PathPart, Text
from dcbench.config.reading import read_yaml
from dcbench.data.lists import (
    HASHES,
    PARTS,
    SubsetHashes,
    TestHashes,
    hashes_of_test_path,
    held_out_path,
    read_hashes,
    read_list,
    read_test_hashes,
)
from dcbench.data.own import beside, is_own
from dcbench.data.places import asked_for, find_split, lists_folder, split_files
from dcbench.data.rules import NO_ROWS, Listed, Rows, Rule, Subset
from dcbench.errors import DataError, UsageError, unknown


class ExcludedRows(Config):
    """Rows of a test part that a split leaves out."""

    file: PathPart = Field(description="CSV with a column `index`, beside the split's lists")
    sha256: str
    of: str | None = Field(None, description="the split beside whose lists the file lies instead")


class TestSet(Config):
    """What a split is tested on: a dataset's test part, but for the rows listed in `exclude`."""

    __test__ = False

    dataset: Text
    exclude: ExcludedRows | None = None


class SplitConfig(Config):
    """A task as `splits/<name>.yaml` describes it, the same for all its subsets."""

    name: str
    title: Text
    dataset: Text = Field(description="its training part is what subsets are drawn from")
    test: TestSet
    rule: Rule
    subsets: tuple[Subset, ...] = Field(min_length=1)
    subsets_of: PathPart | None = Field(None, description="the split whose lists this one shares")
    ood: tuple[str, ...] = Field(description="sets for out-of-distribution detection")
    recipe: str = Field(description="which of a protocol's recipes it is trained by")
    long_tailed: bool = Field(False, description="report accuracy over many, medium, few")
    class_names: tuple[Text, ...] = Field(min_length=2)
    source: Text
    licence: str

    @field_validator("ood")
    @classmethod
    def _ood_sets_are_names(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            if is_own(name):
                raise ValueError(
                    f"{name} is no name: OOD sets are of the catalogue or of a package"
                )
        return names

    @model_validator(mode="after")
    def _lists_of_its_own(self) -> Self:
        if self.subsets_of is not None and (is_own(self.dataset) or is_own(self.test.dataset)):
            raise ValueError("subsets_of: a split of one's own images has lists of its own")
        return self


Fit = Literal["train", "trainval"]
"""What is trained on: without what is for tuning, or with it."""


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
    held_out, held_out_labels : int64 [N]
        Of `train`, what is for tuning where there is no `val`: a run by the protocol trains on it.
    """

    config: SplitConfig
    subset: int
    train: Rows
    val: Rows
    train_labels: Rows
    val_labels: Rows
    hashes: SubsetHashes
    path: Path
    held_out: Rows = field(default_factory=lambda: NO_ROWS)
    held_out_labels: Rows = field(default_factory=lambda: NO_ROWS)

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
        return self._counts(self.train_labels)

    def counts_of(self, fit: Fit) -> list[int]:
        """Number of images of each class that are trained on."""
        return self._counts(np.concatenate([self.train_labels, self.val_labels])[self.fitted(fit)])

    def _counts(self, labels: Rows) -> list[int]:
        return [int(n) for n in np.bincount(labels, minlength=self.num_classes)]

    def fitted(self, fit: Fit) -> NDArray[np.bool_]:
        """Which of the rows of `train`, then of `val`, are trained on, [N]."""
        if fit == "trainval":
            return np.ones(len(self.train) + len(self.val), dtype=bool)
        kept = ~np.isin(self.train, self.held_out)
        return np.concatenate([kept, np.zeros(len(self.val), dtype=bool)])

    def index_sha256(self, fit: Fit) -> str:
        """Hash of the rows, which differ by `fit` only where training images are held out."""
        held_out = self.hashes.held_out
        return held_out.index_sha256 if held_out and fit == "train" else self.hashes.index_sha256

    @property
    def data_sha256(self) -> str | None:
        """Hash of all images and labels; None where official checksums prove what is tested on."""
        tested = self.hashes.test_sha256
        if tested is None:
            return None
        digests = (self.hashes.images_sha256, self.hashes.csv_sha256, tested)
        return hashlib.sha256("".join(digests).encode()).hexdigest()

    def fit_of(self, fit: Fit, index_sha256: str) -> Fit:
        """What a record with this hash was trained on, which may be older than the held-out list.

        Until a split had one, `fit=train` meant every training image.
        """
        older = self.hashes.held_out is not None and index_sha256 == self.hashes.index_sha256
        return "trainval" if older else fit

    def kept_test_rows(self, count: int) -> Rows:
        """Rows that the split is tested on, of the `count` rows of the test part."""
        return np.setdiff1d(np.arange(count), self.excluded_test_rows)

    @functools.cached_property
    def excluded_test_rows(self) -> Rows:
        """Rows of the test part that the split leaves out."""
        return excluded_rows(self.config, self.path)

    @functools.cached_property
    def test_hashes(self) -> TestHashes | None:
        """What the test images come to; None where nobody has published it yet."""
        path = hashes_of_test_path(lists_folder(self.path, self.name))
        return read_test_hashes(path) if path.exists() else None

    def summary(self) -> dict[str, Any]:
        """The subset as plain values, for `dcbench splits show --json`.

        `held_out` is there where training images are held out for tuning.
        """
        held_out = {"held_out": self.held_out.tolist()} if len(self.held_out) else {}
        return {
            "name": self.name,
            "dataset": self.config.dataset,
            "subset": self.subset,
            "num_classes": self.num_classes,
            "train": self.train.tolist(),
            "val": self.val.tolist(),
            "class_counts": self.class_counts,
            "index_sha256": self.hashes.index_sha256,
            **held_out,
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
    try:
        config = in_place(config, path.parent)
    except UsageError as problem:
        raise UsageError(f"{path}: {problem}") from None
    if config.name != path.stem:
        raise UsageError(
            f"{path}: name='{config.name}': should be '{path.stem}', as the file is called"
        )
    return config


def in_place(config: SplitConfig, folder: Path) -> SplitConfig:
    """A split's description as it is meant in this folder, from which its datasets' paths go on."""
    test = config.test.model_copy(update={"dataset": beside(config.test.dataset, folder)})
    return config.model_copy(update={"dataset": beside(config.dataset, folder), "test": test})


def excluded_rows(config: SplitConfig, path: Path) -> Rows:
    """Rows of the test part that the split in this file leaves out."""
    excluded = config.test.exclude
    if excluded is None:
        return NO_ROWS
    lists = lists_folder(path, excluded.of or config.name)
    return read_list(lists / excluded.file, excluded.sha256, ("index",))[:, 0]


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
    derived = f"`dcbench splits derive {asked_for(folder.with_name(folder.name + file.suffix))}`"
    if not (folder / HASHES).exists():
        raise DataError(
            f"{folder / HASHES}: split {folder.name} has no lists yet; {derived} writes them"
        )
    recorded = read_hashes(folder / HASHES).subsets
    if subset not in recorded:
        raise DataError(f"{folder / HASHES}: has no subset {subset}; restore the file")
    hashes = recorded[subset]
    path = folder / f"subset-{subset}.csv"
    remedy = "restore the file"
    if not isinstance(config.rule, Listed):
        remedy = f"restore it, or {derived} writes it again"
    rows = read_list(path, hashes.csv_sha256, ("part", "index", "label"), remedy)
    if len(rows) and rows[:, 2].max() >= len(config.class_names):
        raise DataError(f"{path}: label {rows[:, 2].max()} of {len(config.class_names)} classes")
    train, val = (rows[rows[:, 0] == number, 1:] for number in range(len(PARTS)))
    return Split(
        config,
        subset,
        train=train[:, 0],
        val=val[:, 0],
        train_labels=train[:, 1],
        val_labels=val[:, 1],
        hashes=hashes,
        path=file,
        **_held_out(folder, subset, hashes, remedy),
    )


def _held_out(folder: Path, subset: int, hashes: SubsetHashes, remedy: str) -> dict[str, Rows]:
    """The fields of what is held out for tuning; none where nothing is."""
    if hashes.held_out is None:
        return {}
    path = held_out_path(folder, subset)
    rows = read_list(path, hashes.held_out.csv_sha256, ("index", "label"), remedy)
    return {"held_out": rows[:, 0], "held_out_labels": rows[:, 1]}
