"""The image sets that a network should detect as foreign: noise, datasets, or listed images."""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from dcbench.config.image_sets import CORRUPTIONS, members_of
from dcbench.data.catalogue import get_dataset
from dcbench.data.lists import read_list
from dcbench.data.parts import ImageSet, Source
from dcbench.data.places import splits_folder
from dcbench.data.rules import Rows
from dcbench.data.splits import SplitConfig
from dcbench.draws import stream
from dcbench.errors import UsageError

NOISE_IMAGES = 2000

_Noise = Callable[[np.random.RandomState, tuple[int, ...]], NDArray[np.float64]]

NOISE: dict[str, _Noise] = {
    "gaussian": lambda generator, size: generator.normal(0.5, 1.0, size),
    "uniform": lambda generator, size: generator.uniform(0.0, 1.0, size),
}
"""Pixels of noise before clipping to [0, 1], as in ODIN (Liang et al. 2018, arXiv 1706.02690)."""

_LISTED = {
    "tin": {
        "cifar10": "6006944a30ec2a1437811b4658e43095a06c9d0ffd6828078df4052ef094df63",
        "cifar100": "c4f64835abb6a1263ef843d53e3361228210877c61d6d903b862d1bace39a61c",
    },
    "places365": {
        "cifar10": "ab660e004234058314740d15c47a5595482de9e340188611dc2a66052d72621e",
        "cifar100": "f4c8b97109d6026df1937246fa79d6f0153154feff29f603164341f5d5bb5583",
    },
}
"""SHA-256 of the lists under `splits/openood/`: the images without classes of a dataset."""


def load_ood_set(name: str, split: SplitConfig, source: Source) -> ImageSet:
    """The images of an OOD set for a split, of the size of the split's own.

    Raises
    ------
    UsageError
        There is no such set, or none for this split.
    MissingData, UnverifiedData
        Its files are not there, or not the official ones where the source takes no others.
    DataError
        A file is damaged.
    """
    if name in NOISE:
        return _noise(name, get_dataset(split.dataset).image_size)
    if problem := unfit(name, split):
        raise UsageError(problem)
    return source.part(name, "test").take(listed_rows(name, split))


def unfit(name: str, split: SplitConfig) -> str | None:
    """Why an OOD set is none for a split, or None where it is one."""
    if name in NOISE:
        return None
    own, other = get_dataset(split.dataset), get_dataset(name)
    if name == own.name:
        return f"OOD set {name}: is what split {split.name} is drawn from"
    if other.image_size != own.image_size:
        (height, width), (own_height, own_width) = other.image_size, own.image_size
        return (
            f"OOD set {name}: has images of {height} x {width} pixels, and split {split.name} of "
            f"{own_height} x {own_width}"
        )
    if own.name not in _LISTED.get(name, {own.name: ""}):
        return (
            f"OOD set {name}: OpenOOD lists its images for {' and '.join(_LISTED[name])}, and not "
            f"for {own.name}, which split {split.name} is drawn from"
        )
    return None


def fitting_members(word: str, split: SplitConfig) -> list[str]:
    """The sets that a word stands for on a split: of a group, those that are sets for it.

    Raises
    ------
    UsageError
        There is no such set or group, or none of it is one for this split.
    """
    names = members_of(word, split.ood)
    reasons = {name: None if name in CORRUPTIONS else unfit(name, split) for name in names}
    fitting = [name for name, reason in reasons.items() if reason is None]
    if not fitting:
        raise UsageError("; ".join(filter(None, reasons.values())))
    return fitting


def listed_rows(name: str, split: SplitConfig) -> Rows | None:
    """Which images of a dataset the set has; None: all."""
    if name not in _LISTED:
        return None
    path = splits_folder() / "openood" / f"{name}-{split.dataset}.csv"
    return read_list(path, _LISTED[name][split.dataset], ("index",))[:, 0]


@functools.lru_cache(maxsize=4)
def _noise(name: str, size: tuple[int, int]) -> ImageSet:
    """The same images in every process; to draw them takes longer than to open a memory map."""
    pixels = NOISE[name](stream(0, f"noise/{name}"), (NOISE_IMAGES, *size, 3))
    images = np.rint(pixels.clip(0, 1) * 255).astype(np.uint8)
    images.flags.writeable = False  # they are shared
    return ImageSet(name, images, np.zeros(len(images), dtype=np.int64), official=True)
