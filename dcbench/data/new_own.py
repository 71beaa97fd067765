"""What a new split of one's own images is to say of them, found by looking at the images."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from dcbench.config.paths import expanded
from dcbench.data.catalogue import get_dataset
from dcbench.data.own import OwnName, is_own, own_images, parse_own
from dcbench.data.own_images import LARGEST, OwnImages
from dcbench.data.parts import Source
from dcbench.errors import UsageError

_SMALL = 16
"""Pixels of a side up to which the recipe of the 8 x 8 digits is taken, and its small network."""


NOISE = ("gaussian", "uniform")


def describe_named(name: str) -> dict[str, Any]:
    """The keys of a split that follow from a dataset that no split has yet, such as a package's.

    Raises
    ------
    UsageError
        There is none of that name.
    """
    dataset = get_dataset(name)
    return {
        "dataset": name,
        "test": {"dataset": name},
        "ood": NOISE,
        "recipe": _recipe(dataset.image_size),
        "class_names": tuple(map(str, range(dataset.num_classes))),
        "licence": dataset.licence,
        "images": f"Images: {dataset.source}.",
    }


def describe_own(name: str, source: Source, folder: Path) -> dict[str, Any]:
    """The keys of a split that follow from a dataset of one's own.

    Parameters
    ----------
    name : str
        As it was typed: a path goes on from the current folder.
    folder : Path
        Of the split's YAML file, from which the path in it goes on.

    Raises
    ------
    UsageError
        The images have several sizes or too large ones, and none is asked for.
    DataError
        The images are not there, or damaged.
    """
    written, images = name_in(name, source, folder)
    assert images.size is not None
    return {
        "dataset": written,
        "test": {"dataset": written},
        "ood": NOISE,
        "recipe": _recipe(images.size),
        "class_names": images.class_names(source.path),
        "licence": "not stated",
        "images": "",
    }


def name_in(name: str, source: Source, folder: Path) -> tuple[str, OwnImages]:
    """A dataset's name as a file in this folder writes it, with its size; and its images."""
    typed = parse_own(name)
    images = own_images(str(typed.beside(Path())))
    if images.size is None:
        typed.settings["size"] = _common_size(images, source, typed)
        images = own_images(str(typed.beside(Path())))
    return str(_moved(typed, folder)), images


def tested_name_in(name: str, source: Source, folder: Path) -> str:
    """As `name_in`, also for a dataset of the catalogue, whose name stays as it is."""
    return name_in(name, source, folder)[0] if is_own(name) else name


def _recipe(size: tuple[int, int]) -> str:
    return "digits" if max(size) <= _SMALL else "cifair10"


def _moved(typed: OwnName, folder: Path) -> OwnName:
    """A relative path, from another folder on."""
    if not typed.is_path or expanded(typed.place, "dataset ").is_absolute():
        return typed
    place = os.path.relpath(Path(typed.place).absolute(), folder.absolute())
    return typed._replace(place=place if place.startswith("../") else f"./{place}")


def _common_size(images: OwnImages, source: Source, typed: OwnName) -> str:
    """The one size that all images have, as it is written in a name."""
    sizes = images.sizes(source.path)
    [first, *others] = sorted(sizes)
    if others or not 4 <= min(first) <= max(first) <= LARGEST:
        high, wide = (max(sides) for sides in zip(*sizes, strict=True))
        low, narrow = (min(sides) for sides in zip(*sizes, strict=True))
        found = f"{low} x {narrow}" + (f" to {high} x {wide}" if others else "")
        asked = typed._replace(settings={**typed.settings, "size": 32})
        raise UsageError(
            f"dataset {typed.place}: its images have {found} pixels; say the size that they get, 4 "
            f"to {LARGEST}, as in '{asked}': their middle, once they are just large enough"
        )
    height, width = first
    return str(height) if height == width else f"{height}x{width}"
