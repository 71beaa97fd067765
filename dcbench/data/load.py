"""The images of a split: what a run trains on, is tested on, and must detect as foreign."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dcbench.data.lists import labels_sha256
from dcbench.data.ood_sets import load_ood_set
from dcbench.data.parts import ImageSet, MissingData, Source, UnverifiedData
from dcbench.data.places import asked_for
from dcbench.data.rules import Rows
from dcbench.data.splits import Fit, Split, SplitConfig, excluded_rows
from dcbench.errors import DataError, UsageError


@dataclass(frozen=True, eq=False)
class SplitImages:
    """The images of one subset of a split.

    Attributes
    ----------
    fit
        What is trained on: the training part, or training and validation parts together.
    test
    ood
        Sets for out-of-distribution detection, by name.
    missing_ood
        Why a set of the split is not in `ood`, by name.
    """

    fit: ImageSet
    test: ImageSet
    ood: dict[str, ImageSet]
    missing_ood: dict[str, str]


def load_images(split: Split, source: Source, *, fit: Fit = "trainval") -> SplitImages:
    """Read the images of a split.

    Raises
    ------
    UsageError
        The split has no name for a class that it is tested on.
    DataError
        Training or test images are missing, damaged, not the ones that were hashed, or not the
        official ones where the source takes no others; or a file of an OOD set is damaged.
    """
    listed = load_listed(split, source)
    fitted = listed if fit == "trainval" else listed.rows(split.fitted(fit))
    test = load_test(split, source)
    ood, missing = {}, {}
    for name in split.config.ood:
        try:
            ood[name] = load_ood_set(name, split.config, source)
        except (MissingData, UnverifiedData) as problem:
            missing[name] = str(problem)
    return SplitImages(fitted, test, ood, missing)


def load_tuning_images(split: Split, source: Source, *, fit: Fit = "train") -> SplitImages:
    """Read what settings are tuned on, of the dataset's training part alone.

    In the place of the test set stands what is held out of the training: the validation part, or
    where there is none, the held-out training images. Nothing else is opened.

    Raises
    ------
    UsageError
        The split holds nothing out, or it is to be trained on.
    DataError
        As for `load_images`.
    """
    if fit != "train":
        raise UsageError(f"fit={fit}: what settings are tuned on is not trained on; give fit=train")
    if not len(split.val) and not len(split.held_out):
        raise UsageError(
            f"split {split.name} holds nothing out of its training to tune on: it has neither a "
            "validation part nor a list of held-out images"
        )
    listed, fitted = load_listed(split, source), split.fitted(fit)
    return SplitImages(listed.rows(fitted), listed.rows(~fitted), {}, {})


def load_listed(split: Split, source: Source) -> ImageSet:
    """The images of `train`, then of `val`, which are those that were hashed.

    Raises
    ------
    DataError
        As for `load_images`.
    """
    whole = source.part(split.config.dataset, "train")
    listed = whole.take(np.concatenate([split.train, split.val]))
    _check_hash(split, listed)
    return listed


def load_test(split: Split, source: Source) -> ImageSet:
    """Read the images that a split is tested on; errors as for `load_images`."""
    images = tested_images(split.config, split.path, source)
    recorded = split.hashes.test_sha256
    if recorded is not None and images_and_labels_sha256(images) != recorded:
        raise DataError(
            f"{images.name}: the images that split {split.name} is tested on, or their labels, do "
            f"not hash to the recorded {recorded[:16]}…; {_see(split)}"
        )
    published = split.test_hashes
    if published is not None and published.official == images.official:
        found = (images.sha256(), labels_sha256(images.labels))
        if found != (published.images_sha256, published.labels_sha256):
            raise DataError(
                f"{images.name}: the images that split {split.name} is tested on, or their labels, "
                f"do not hash to the recorded {published.images_sha256[:16]}…; {_see(split)}"
            )
    check_named(images.labels, images.name, split.config, split.path)
    return images


def tested_images(config: SplitConfig, path: Path, source: Source) -> ImageSet:
    """The images that the split in a file is tested on, compared with nothing that is recorded."""
    whole = source.part(config.test.dataset, "test")
    return whole.take(np.setdiff1d(np.arange(len(whole.labels)), excluded_rows(config, path)))


def check_named(labels: Rows, where: str, config: SplitConfig, path: Path) -> None:
    """Refuse labels that the split in a file has no names for.

    Raises
    ------
    UsageError
        There are.
    """
    largest, names = int(labels.max(initial=-1)), len(config.class_names)
    if largest >= names:
        raise UsageError(
            f"{path}: class_names: label {largest} of {where} has no name among the {names}; "
            "should be one for each class"
        )


def images_and_labels_sha256(images: ImageSet) -> str:
    """SHA-256 of images, then of their labels as little-endian int64."""
    digest = hashlib.sha256(np.ascontiguousarray(images.images).data)
    digest.update(images.labels.astype("<i8").tobytes())
    return digest.hexdigest()


def _check_hash(split: Split, listed: ImageSet) -> None:
    """Refuse images that are not those that were hashed when the subset was listed."""
    if split.hashes.images_official != listed.official:
        return
    labels = np.concatenate([split.train_labels, split.val_labels])
    if not np.array_equal(listed.labels, labels):
        raise DataError(
            f"{listed.name}: the labels are not those that split {split.name}, subset "
            f"{split.subset}, lists; {_see(split)}"
        )
    if listed.sha256() != split.hashes.images_sha256:
        raise DataError(
            f"{listed.name}: the images of split {split.name}, subset {split.subset}, do not hash "
            f"to the recorded {split.hashes.images_sha256[:16]}…; {_see(split)}"
        )


def _see(split: Split) -> str:
    return f"see `dcbench splits verify {asked_for(split.path)}`"
