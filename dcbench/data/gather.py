"""Which images some splits need, gathered for a bundle."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dcbench.config.image_sets import CORRUPTIONS
from dcbench.config.progress import NoProgress, Progress
from dcbench.data.bundle import Manifest, stored_part, write_bundle
from dcbench.data.catalogue import get_dataset
from dcbench.data.ood_sets import NOISE, fitting_members, listed_rows
from dcbench.data.parts import MissingData, Part, Source, UnverifiedData
from dcbench.data.rules import Rows
from dcbench.data.splits import Split, SplitConfig, load_split, split_config
from dcbench.errors import UsageError


@dataclass
class Contents:
    """What a bundle will hold.

    Attributes
    ----------
    parts : list of Part
        The images that are needed, and no others.
    left_out : dict of str to str
        Why a set for out-of-distribution detection is not among them, by name.
    """

    manifest: Manifest
    parts: list[Part]
    left_out: dict[str, str]

    @property
    def num_images(self) -> int:
        """How many images there are."""
        return sum(len(part.images) for part in self.parts)

    def write(self, path: Path, progress: Progress | None = None) -> str:
        """Write the bundle and return its SHA-256; `progress` counts the images."""
        task = (progress or NoProgress()).task("bundle", self.num_images, unit="images")
        digest = write_bundle(path, self.manifest, self.parts, task)
        task.close()
        return digest


@dataclass
class _Wanted:
    """Rows of one part that are needed, under each name that it goes by."""

    part: Part
    rows: NDArray[np.bool_]
    names: set[str] = field(default_factory=set)


def gather(
    splits: Sequence[str],
    source: Source,
    *,
    subsets: Sequence[int] = (),
    ood: bool = True,
    sets: Sequence[str] = (),
) -> Contents:
    """Read all images that some splits need: train, validation, test and OOD sets.

    Parameters
    ----------
    subsets : sequence of int
        Of each split, as far as it has them; none means all.
    sets : sequence of str
        Further OOD sets, or `openood`, to be predicted by runs that are there.

    Raises
    ------
    UsageError
        There is no such split or set, no split has one of the subsets, or they need no files.
    DataError
        Training or test images are missing, damaged, or not the official ones where
        the source takes no others.
    """
    read = functools.cache(source.part)
    wanted: dict[tuple[str, ...], _Wanted] = {}
    left_out: dict[str, str] = {}

    def want(dataset: str, part: str, rows: Callable[[Part], Rows] = _all_rows) -> None:
        entry = get_dataset(dataset)
        if entry.own:
            raise UsageError(
                f"dataset {entry.own.place}: bundles hold no datasets of one's own; copy it to the "
                "other machine beside the split"
            )
        if entry.embedded:
            return
        found = read(dataset, part)
        files = tuple(file.found_md5 for file in found.files)
        nothing = np.zeros(len(found.labels), dtype=np.bool_)
        there = wanted.setdefault(files, _Wanted(found, nothing))
        there.rows[rows(found)] = True
        there.names.add(found.name)

    for name, subset in _asked(splits, subsets):
        split = load_split(name, subset)
        want(split.config.dataset, "train", functools.partial(_training_rows, split))
        want(split.config.test.dataset, "test", functools.partial(_test_rows, split))
        for other in _ood_sets(split.config, sets, own=ood):
            try:
                want(other, "test", functools.partial(_ood_rows, other, split.config))
            except (MissingData, UnverifiedData) as problem:
                left_out[other] = str(problem)
    if not wanted:
        raise UsageError(f"{', '.join(splits)}: dcbench has the images itself; nothing to bundle")
    return _contents(list(wanted.values()), left_out, splits, subsets, ood)


def _ood_sets(split: SplitConfig, sets: Sequence[str], *, own: bool) -> list[str]:
    """The OOD sets with files that are asked for, each once."""
    named = [name for word in sets for name in fitting_members(word, split)]
    chosen = dict.fromkeys([*(split.ood if own else ()), *named])
    return [name for name in chosen if name not in NOISE and name not in CORRUPTIONS]


def _ood_rows(name: str, split: SplitConfig, part: Part) -> Rows:
    listed = listed_rows(name, split)
    return _all_rows(part) if listed is None else listed


def _all_rows(part: Part) -> Rows:
    return np.arange(len(part.labels))


def _training_rows(split: Split, part: Part) -> Rows:
    return np.concatenate([split.train, split.val])


def _test_rows(split: Split, part: Part) -> Rows:
    return split.kept_test_rows(len(part.labels))


def _asked(splits: Sequence[str], subsets: Sequence[int]) -> list[tuple[str, int]]:
    asked = [
        (name, subset)
        for name in splits
        for subset in split_config(name).subsets
        if not subsets or subset in subsets
    ]
    for subset in subsets:
        if subset not in {number for _, number in asked}:
            raise UsageError(f"none of {', '.join(splits)} has a subset {subset}")
    return asked


def _contents(
    wanted: list[_Wanted],
    left_out: dict[str, str],
    splits: Sequence[str],
    subsets: Sequence[int],
    ood: bool,
) -> Contents:
    parts, stored = [], []
    for entry in wanted:
        rows = np.flatnonzero(entry.rows)
        whole = entry.part
        taken = whole.take(rows)
        part = Part(whole.name, taken.images, rows, whole.labels, whole.official, whole.files)
        parts.append(part)
        stored.append(stored_part(sorted(entry.names), part))
    known = {number for name in splits for number in split_config(name).subsets}
    manifest = Manifest(
        splits=tuple(split_config(name).name for name in splits),
        subsets=tuple(sorted(set(subsets) or known)),
        ood=ood,
        parts=tuple(stored),
    )
    return Contents(manifest, parts, left_out)
