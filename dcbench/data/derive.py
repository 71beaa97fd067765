"""Splits derived again from their rule and the labels: to write the lists, or to prove them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from dcbench.data.datasets import MissingData, load_image_set
from dcbench.data.splits import (
    SplitHashes,
    SubsetHashes,
    images_sha256,
    index_sha256,
    load_split,
    split_facts,
    splits_folder,
)
from dcbench.errors import DataError, UsageError


class Finding(NamedTuple):
    """What the proof of one subset came to."""

    split: str
    subset: int
    state: Literal["same", "differs", "not checked"]
    detail: str


def verify_split(name: str, root: Path) -> Iterator[Finding]:
    """Derive each subset again and compare the rows and the images with what is recorded."""
    facts = split_facts(name)
    try:
        images = load_image_set(facts.dataset, "train", root, allow_unverified=True)
    except MissingData as missing:
        for subset in facts.subsets:
            yield Finding(name, subset, "not checked", str(missing))
        return
    for subset in facts.subsets:
        try:
            listed = load_split(name, subset)
        except DataError as damaged:
            yield Finding(name, subset, "differs", str(damaged))
            continue
        train, val = facts.rule.select(images.labels, listed.num_classes, subset)
        derived = (train, val, images.labels[train], images.labels[val])
        rows = (listed.train, listed.val, listed.train_labels, listed.val_labels)
        if not all(map(np.array_equal, derived, rows)):
            yield Finding(name, subset, "differs", "the rule gives other rows or labels")
        elif images.official != listed.hashes.images_official:
            kind = "official" if listed.hashes.images_official else "unverified"
            detail = f"rows are the same; images not compared: their hash is of {kind} files"
            yield Finding(name, subset, "same", detail)
        elif images_sha256(images.images, train, val) != listed.hashes.images_sha256:
            yield Finding(name, subset, "differs", "the images are not those that were hashed")
        else:
            kind = "official" if images.official else "unverified"
            yield Finding(name, subset, "same", f"rows and images ({kind} files)")


def derive_split(name: str, root: Path) -> SplitHashes:
    """Write the lists and hashes of a split from its rule; for whoever defines a new split."""
    facts = split_facts(name)
    if facts.subsets_of is not None:
        raise UsageError(f"split {name} shares the lists of {facts.subsets_of}: derive that one")
    images = load_image_set(facts.dataset, "train", root, allow_unverified=True)
    folder = splits_folder() / name
    folder.mkdir(exist_ok=True)
    hashes = {}
    for subset in facts.subsets:
        train, val = facts.rule.select(images.labels, len(facts.class_names), subset)
        text = "part,index,label\n" + "".join(
            f"{part},{row},{images.labels[row]}\n"
            for part, rows in (("train", train), ("val", val))
            for row in rows
        )
        (folder / f"subset-{subset}.csv").write_bytes(text.encode())
        hashes[subset] = SubsetHashes(
            train=len(train),
            val=len(val),
            csv_sha256=hashlib.sha256(text.encode()).hexdigest(),
            index_sha256=index_sha256(train, val),
            images_sha256=images_sha256(images.images, train, val),
            images_official=images.official,
        )
    derived = SplitHashes(subsets=hashes)
    text = json.dumps(derived.model_dump(mode="json"), indent=2) + "\n"
    (folder / "hashes.json").write_text(text, encoding="utf-8")
    return derived
