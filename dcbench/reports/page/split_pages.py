"""A page for each split: its images, counts, rule and hashes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dcbench.data.load import load_listed
from dcbench.data.parts import Source
from dcbench.data.splits import Split, load_split
from dcbench.errors import DataError
from dcbench.records.atomic import write_whole, writing

_MOST_CLASSES, _ACROSS = 10, 20
"""Classes that have a row of the sheet each, and its images; of more, each has one image."""
_SHOWN = 32
"""Pixels that an image is shown with, at least."""


@dataclass(frozen=True)
class ClassCount:
    """A class; `share` is in percent of the largest class."""

    name: str
    train: int
    val: int
    share: float


@dataclass(frozen=True)
class Sheet:
    """A contact sheet: its file beside the page, its size as shown; without a file, why not."""

    file: str
    width: int
    height: int
    text: str


@dataclass(frozen=True)
class SplitPage:
    """What the page of a split shows."""

    name: str
    panel: str
    title: str
    facts: list[tuple[str, str]]
    classes: list[ClassCount]
    has_val: bool
    hashes: list[tuple[int, str, str]]
    sheet: str
    sheet_width: int
    sheet_height: int
    sheet_text: str


def split_page(
    name: str, panel: str, facts: list[tuple[str, str]], source: Source | None, target: Path
) -> SplitPage:
    """What the page of a split shows; its contact sheet is written to `target`.

    Parameters
    ----------
    panel
        Key of the section with its results.
    facts
        The rules of the split as terms and text.
    source
        Where images may be; the page says where they are not at hand. None: it shows none.
    """
    subset = load_split(name, 0)
    sheet = _write_sheet(subset, source, target)
    train = subset.class_counts
    val = np.bincount(subset.val_labels, minlength=subset.num_classes)
    classes = [
        ClassCount(each, count, int(held), round(100 * count / max(train), 1))
        for each, count, held in zip(subset.config.class_names, train, val, strict=True)
    ]
    hashes = [
        (number, found.index_sha256, found.images_sha256)
        for number in subset.config.subsets
        for found in [load_split(name, number).hashes]
    ]
    return SplitPage(
        name=name,
        panel=panel,
        title=subset.config.title,
        facts=facts,
        classes=classes,
        has_val=bool(val.any()),
        hashes=hashes,
        sheet=sheet.file,
        sheet_width=sheet.width,
        sheet_height=sheet.height,
        sheet_text=sheet.text,
    )


def _write_sheet(subset: Split, source: Source | None, target: Path) -> Sheet:
    if source is None:
        return Sheet("", 0, 0, "A page with images is made by dcbench leaderboard page.")
    try:
        listed = load_listed(subset, source)
    except DataError:
        text = (
            "The images were not at hand when this page was made; `dcbench data fetch "
            f"{subset.config.dataset}` gets them, and `dcbench leaderboard page --data DIR` says "
            "where they lie."
        )
        return Sheet("", 0, 0, text.replace("`", ""))
    rows = sheet_rows(subset.train_labels, subset.num_classes)
    drawn = contact_sheet(listed.images, rows)
    with writing(target):
        target.parent.mkdir(parents=True, exist_ok=True)
    write_whole(target, lambda file: Image.fromarray(drawn).save(file, format="PNG"))
    scale = max(1, _SHOWN // listed.images.shape[1])
    each = (
        f"one row a class, {_ACROSS} images at most"
        if subset.num_classes <= _MOST_CLASSES
        else "one image of each class"
    )
    official = "" if listed.official else "; the files are not the official ones"
    text = f"Training images of subset 0, {each}, in the order of the list{official}."
    return Sheet(target.name, scale * drawn.shape[1], scale * drawn.shape[0], text)


def sheet_rows(labels: NDArray[np.int64], num_classes: int) -> list[list[int]]:
    """Which training images stand in each row of a contact sheet, by their place in the list."""
    by_class = [np.flatnonzero(labels == label).tolist() for label in range(num_classes)]
    if num_classes <= _MOST_CLASSES:
        return [places[:_ACROSS] for places in by_class]
    first = [places[0] for places in by_class if places]
    return [first[start : start + _ACROSS] for start in range(0, len(first), _ACROSS)]


def contact_sheet(images: NDArray[np.uint8], rows: list[list[int]]) -> NDArray[np.uint8]:
    """Images [N, H, W, 3] in rows, [rows * H, longest row * W, 3]; white where there is none."""
    _, height, width, _ = images.shape
    across = max(map(len, rows))
    sheet = np.full((len(rows) * height, across * width, 3), 255, np.uint8)
    for down, row in enumerate(rows):
        for right, place in enumerate(row):
            top, left = down * height, right * width
            sheet[top : top + height, left : left + width] = images[place]
    return sheet
