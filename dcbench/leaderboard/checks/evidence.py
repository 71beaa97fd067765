"""What a record says, held to its row, to the protocol and to what the split publishes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from dcbench.config.names import EXTRA, as_text
from dcbench.data.lists import labels_sha256
from dcbench.data.splits import Split, load_split
from dcbench.errors import DataError, UsageError
from dcbench.leaderboard.checks.read import RowsFile
from dcbench.leaderboard.columns import OF_THE_ROW
from dcbench.leaderboard.rows import Row, key_of, row_of, run_title
from dcbench.leaderboard.rules_lock import departures
from dcbench.leaderboard.tracks import is_taken, provenance_problem
from dcbench.methods import build_method
from dcbench.metrics.table import find_metric
from dcbench.records.files import WEIGHTS, read_predictions, read_stored
from dcbench.records.schema import ImagesUsed, Record
from dcbench.records.sets import missing_departure


class Stored(NamedTuple):
    """A run that is given: its folder and its record."""

    folder: Path
    record: Record


class Used(NamedTuple):
    """A row with the run that it is of."""

    file: RowsFile
    row: Row
    stored: Stored

    @property
    def title(self) -> str:
        """The row, as sentences name it."""
        return self.file.row_title(self.file.rows.index(self.row))


def weights_are_there(stored: Stored) -> bool:
    """Whether a run's weights were kept and are given; nobody asks for them."""
    return stored.record.model.kept and (stored.folder / WEIGHTS).exists()


def record_problems(file: RowsFile, row: Row, record: Record) -> Iterator[str]:
    """What a record says against its row, or against the protocol."""
    for column, cell in row_of(record).items():
        # Metrics are held to the predictions; a table may be older than a column.
        if column in OF_THE_ROW or find_metric(column) is not None or column not in row:
            continue
        if row[column] != cell:
            yield f"{column}='{row[column]}', but its record gives '{cell}'"
    if record.status != "protocol" and not is_taken(record):
        yield f"is custom, and no leaderboard takes it: {'; '.join(record.departures)}"
    elif record.status == "protocol" and record.departures:
        yield f"its record says protocol, and names departures: {'; '.join(record.departures)}"
    tuned = provenance_problem(record)
    if tuned is not None:
        yield tuned
    for departure in departures(record, file.entry):
        yield f"ran under other rules than the protocol's: {departure}"
    yield from _label_problems(record, file)
    yield from _image_problems(record, file)


def _label_problems(record: Record, file: RowsFile) -> Iterator[str]:
    """Where the settings of a record are not those that its name says."""
    if record.tuned is not None:  # its name is that of the search, which the record holds
        return
    if ".py:" in record.method:  # a file that somebody sends, which `build_method` would run
        return
    given = file.entry.methods.get(record.method, {})
    try:
        method = build_method(record.method, {**given})
    except UsageError:
        return  # a method that is not installed here
    usual = {**method.settings, **file.entry.training.model_dump(mode="json")}
    used = {**record.settings, **record.recipe.model_dump(mode="json")}
    pairs = [
        f"{key}={as_text(used[key])}"
        for key in sorted(used)
        if key in usual and used[key] != usual[key]
    ]
    if method.extra_data:
        pairs = sorted([*pairs, f"{EXTRA}={as_text(method.extra_data)}"])
    label = f"{record.method}[{','.join(pairs)}]" if pairs else record.method
    if label != record.label:
        yield f"its settings are those of {label}, and its name says {record.label}"


def _image_problems(record: Record, file: RowsFile) -> Iterator[str]:
    """Where the images of a run are not those of the split."""
    split = _split(record.split, record.subset)
    if split is None:
        return
    if record.index_sha256 != split.hashes.index_sha256:
        yield "its record names other training images than the split's list"
    if record.recipe.fit == "trainval":
        hashes = split.hashes
        yield from _compared(
            "trained",
            record.data.get("fit"),
            hashes.train + hashes.val,
            hashes.images_sha256,
            hashes.images_official,
        )
    tested = split.test_hashes
    if tested is not None:
        published = (tested.images, tested.images_sha256, tested.official)
        yield from _compared("tested", record.data.get("test"), *published)
    for name in file.split.ood:
        there = record.data.get(f"ood.{name}")
        if there is None and name not in file.rules.optional_ood:
            yield missing_departure(name)


def _compared(
    verb: str, used: ImagesUsed | None, images: int, sha256: str, official: bool
) -> Iterator[str]:
    if used is None:
        yield f"its record does not say what it was {verb} on"
    elif used.images != images:
        yield f"{verb} on {used.images} images; should be the split's {images}"
    elif used.official == official and used.sha256 != sha256:
        yield f"{verb} on other images than the split's: {used.sha256[:16]}… is not {sha256[:16]}…"


@cache
def _split(name: str, subset: int) -> Split | None:
    try:
        return load_split(name, subset)
    except (DataError, UsageError):
        return None  # said of the row


def prediction_problems(stored: Stored) -> Iterator[str]:
    """Where stored labels and class counts are not the split's, or the weights not the record's."""
    record, split = stored.record, _split(stored.record.split, stored.record.subset)
    try:
        predictions = read_predictions(stored.folder, record)
    except DataError:
        return  # said of the metrics
    if split is not None:
        counts = split.counts_of(record.recipe.fit)
        if not np.array_equal(predictions.class_counts, counts):
            yield "its predictions name other class counts than the split has"
        tested = split.test_hashes
        if tested is not None and len(predictions.labels) != tested.images:
            found = len(predictions.labels)
            yield f"has predictions of {found} test images; should be the split's {tested.images}"
        elif tested is not None and labels_sha256(predictions.labels) != tested.labels_sha256:
            yield "its predictions have other labels than the test images, or in another order"
    if weights_are_there(stored):
        try:
            read_stored(stored.folder, record.model)
        except DataError as problem:
            yield str(problem)


def same_weights(used: Iterable[Used]) -> Iterator[str]:
    """Runs of different seeds or subsets with the same weights: one training, copied."""
    first: dict[str, Used] = {}
    for each in used:
        before = first.setdefault(each.stored.record.model.sha256, each)
        one, other = key_of(before.row), key_of(each.row)
        if before is not each and (one[0], one[2]) != (other[0], other[2]):
            yield f"{each.title}: has the weights of {run_title(one)}"
