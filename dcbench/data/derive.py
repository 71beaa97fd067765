"""Splits derived again from their rule and the labels: to write the lists, or to prove them."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from dcbench.data.catalogue import is_pinned
from dcbench.data.lists import (
    HASHES,
    HeldOutHashes,
    SplitHashes,
    SubsetHashes,
    TestHashes,
    hashes_of_test_path,
    held_out_path,
    index_sha256,
    labels_sha256,
)
from dcbench.data.load import check_named, images_and_labels_sha256, load_test, tested_images
from dcbench.data.parts import ImageSet, MissingData, Part, Source
from dcbench.data.places import find_split, lists_folder
from dcbench.data.rules import Listed, Selection
from dcbench.data.splits import Split, SplitConfig, load_split, split_config
from dcbench.errors import DataError, UsageError
from dcbench.records.atomic import write_bytes
from dcbench.records.files import json_text
from dcbench.records.store import locked

_State = Literal["same", "differs", "not checked"]


class SubsetCheck(NamedTuple):
    """What the proof of one subset came to."""

    split: str
    subset: int
    state: _State
    detail: str


def verify_split(name: str, source: Source) -> Iterator[SubsetCheck]:
    """Derive each subset again and compare the rows and the images with what is recorded."""
    config = split_config(name)
    try:
        whole = source.taking_unverified().part(config.dataset, "train")
    except MissingData as missing:
        for subset in config.subsets:
            yield SubsetCheck(name, subset, "not checked", str(missing))
        return
    for subset in config.subsets:
        try:
            listed = load_split(name, subset)
        except DataError as damaged:
            yield SubsetCheck(name, subset, "differs", str(damaged))
            continue
        drawn = _drawn(listed, whole)
        derived = (*drawn, *(whole.labels[rows] for rows in drawn))
        rows = (listed.train, listed.val, listed.held_out)
        labels = (listed.train_labels, listed.val_labels, listed.held_out_labels)
        if not all(map(np.array_equal, derived, (*rows, *labels))):
            yield SubsetCheck(name, subset, "differs", "the rule gives other rows or labels")
        else:
            yield SubsetCheck(name, subset, *_compare_images(whole, listed, source))


def _drawn(listed: Split, whole: Part) -> Selection:
    """What the rule gives; where it is that somebody chose, what is listed."""
    rule = listed.config.rule
    if isinstance(rule, Listed):
        return Selection(listed.train, listed.val, listed.held_out)
    return rule.select(whole.labels, listed.num_classes, listed.subset)


def _compare_images(whole: Part, listed: Split, source: Source) -> tuple[_State, str]:
    """Whether the images of a subset, whose rows are right, are those that were hashed."""
    of_official = listed.hashes.images_official
    if whole.official != of_official:
        kind = "official" if of_official else "unverified"
        return "same", f"rows are the same; images not compared: their hash is of {kind} files"
    try:
        images = whole.take(np.concatenate([listed.train, listed.val]))
    except MissingData as missing:
        return "not checked", f"rows are the same; {missing}"
    if images.sha256() != listed.hashes.images_sha256:
        return "differs", "the images are not those that were hashed"
    if listed.hashes.test_sha256 is not None:
        return _compare_tested(listed, source)
    detail = f"rows and images ({'official' if of_official else 'unverified'} files)"
    state, of_test = _compare_test(listed, source)
    return state, f"{detail}; {of_test}" if of_test else detail


def _compare_test(listed: Split, source: Source) -> tuple[_State, str]:
    """Whether the test images are those that were hashed; why they were not compared."""
    published = listed.test_hashes
    if published is None:
        return "same", ""
    try:
        found = hashes_of_test(listed, source)
    except MissingData as missing:
        return "same", f"test images not compared: {missing}"
    if found.official != published.official:
        return "same", "test images not compared: their hash is of other files"
    if found != published:
        return "differs", "the test images or their labels are not those that were hashed"
    return "same", ""


def derive_test(name: str, source: Source) -> TestHashes:
    """Write what the test images of a split come to, in number and hash, with their labels.

    Raises
    ------
    UsageError
        The split has no name for a class of theirs.
    DataError
        The images are missing or damaged.
    """
    path, config = find_split(name), split_config(name)
    found = hashes_of_test(load_split(name, config.subsets[0]), source)
    target = hashes_of_test_path(lists_folder(path, config.name))
    with locked(target.parent):
        write_bytes(target, json_text(found))
    return found


def hashes_of_test(split: Split, source: Source) -> TestHashes:
    """What the test images of a split come to here; errors as for `derive_test`."""
    tested = tested_images(split.config, split.path, source.taking_unverified())
    check_named(tested.labels, tested.name, split.config, split.path)
    return TestHashes(
        images=len(tested.labels),
        images_sha256=tested.sha256(),
        labels_sha256=labels_sha256(tested.labels),
        official=tested.official,
    )


def _compare_tested(listed: Split, source: Source) -> tuple[_State, str]:
    try:
        load_test(listed, source.taking_unverified())
    except MissingData as missing:
        return "not checked", f"rows and images are the same; {missing}"
    except DataError:
        return "differs", "the test images or their labels are not those that were hashed"
    return "same", "rows and images, those that are tested on too"


def derive_split(name: str, source: Source) -> SplitHashes:
    """Write the lists and hashes of a split from its rule; for whoever defines a new split."""
    path = find_split(name)
    config = split_config(name)
    if config.subsets_of is not None:
        raise UsageError(f"split {name} shares the lists of {config.subsets_of}: derive that one")
    whole = source.taking_unverified().part(config.dataset, "train")
    classes = len(config.class_names)
    chosen = {each: config.rule.select(whole.labels, classes, each) for each in config.subsets}
    tested = unproved_test(config, path, source)
    derived = write_lists(path, config, whole, chosen, tested=tested)
    if tested is None:
        with contextlib.suppress(MissingData):
            derive_test(name, source)
    return derived


def unproved_test(config: SplitConfig, path: Path, source: Source) -> ImageSet | None:
    """What the split in a file is tested on, where no official checksums prove it.

    Raises
    ------
    UsageError
        Whichever it is, it has labels that the split has no names for.
    """
    pinned = is_pinned(config.test.dataset)
    try:
        tested = tested_images(config, path, source.taking_unverified())
    except MissingData:
        if not pinned:
            raise
        return None
    check_named(tested.labels, tested.name, config, path)
    return None if pinned else tested


def write_lists(
    path: Path,
    config: SplitConfig,
    whole: Part,
    chosen: Mapping[int, Selection],
    *,
    tested: ImageSet | None = None,
) -> SplitHashes:
    """Write the list of each subset, and what they and their images come to.

    Parameters
    ----------
    path
        Of the split's YAML file, beside which they are put.
    tested
        What is tested on, where its hash is to be recorded too.

    Raises
    ------
    UsageError
        A row has a label that the split has no name for.
    """
    for rows in chosen.values():
        labels = whole.labels[np.concatenate([rows.train, rows.val])]
        check_named(labels, whole.name, config, path)
    folder = path.with_name(config.name)
    test_sha256 = images_and_labels_sha256(tested) if tested else None
    with locked(folder):
        hashes = {
            subset: _written(rows, whole, subset, folder).model_copy(
                update={"test_sha256": test_sha256}
            )
            for subset, rows in chosen.items()
        }
        derived = SplitHashes(subsets=hashes)
        content = derived.model_dump(mode="json", exclude_none=True)
        text = json.dumps(content, indent=2) + "\n"
        write_bytes(folder / HASHES, text.encode())
    return derived


def _written(rows: Selection, whole: Part, subset: int, folder: Path) -> SubsetHashes:
    """Write the list of a subset, and return what it and its images come to."""
    train, val, _ = rows
    text = "part,index,label\n" + "".join(
        f"{part},{row},{whole.labels[row]}\n"
        for part, rows_of_part in (("train", train), ("val", val))
        for row in rows_of_part
    )
    return SubsetHashes(
        train=len(train),
        val=len(val),
        csv_sha256=write_bytes(folder / f"subset-{subset}.csv", text.encode()),
        index_sha256=index_sha256(train, val),
        images_sha256=whole.take(np.concatenate([train, val])).sha256(),
        images_official=whole.official,
        held_out=_written_held_out(rows, whole, subset, folder) if len(rows.held_out) else None,
    )


def _written_held_out(rows: Selection, whole: Part, subset: int, folder: Path) -> HeldOutHashes:
    """Write the list of what a subset holds out, and return what it comes to."""
    held_out = rows.held_out
    text = "index,label\n" + "".join(f"{row},{whole.labels[row]}\n" for row in held_out)
    rest = rows.train[~np.isin(rows.train, held_out)]
    return HeldOutHashes(
        images=len(held_out),
        csv_sha256=write_bytes(held_out_path(folder, subset), text.encode()),
        index_sha256=index_sha256(rest, held_out),
    )
