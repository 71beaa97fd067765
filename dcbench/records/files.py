"""The files of a run, and how they get there whole.

Every file is written beside its place and renamed into it; `record.json` comes last, so a folder
that has it is done. The record names the SHA-256 of the weights' bytes and of the arrays of the
predictions; of old predictions, that of the bytes.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

from pydantic import BaseModel

from dcbench.config.base import validated
from dcbench.config.reading import GIB, MOST_TEXT, is_folder, parse_json, read_file
from dcbench.config.text import in_brief
from dcbench.errors import DataError
from dcbench.metrics.measure import Predictions
from dcbench.records.arrays import Arrays, arrays_sha256, pack, unpack
from dcbench.records.atomic import undisturbed, write_bytes, write_whole, writing
from dcbench.records.schema import (
    SCHEMA_VERSION,
    EpochSummary,
    Record,
    StoredFile,
    StoredPredictions,
    StoredWeights,
)

RECORD, PREDICTIONS, HISTORY = "record.json", "predictions.npz", "history.csv"
WEIGHTS, CHECKPOINT = "model.safetensors", "checkpoint.pt"
SETS = "sets"
"""The folder of what is predicted after the run."""
POSTHOC = "posthoc"
"""The folder of what is fitted after the run."""
FEATURES = "features"
"""The folder of stored features."""

MOST_BYTES = {PREDICTIONS: GIB, WEIGHTS: 4 * GIB, CHECKPOINT: 16 * GIB}
"""Bytes of a file beyond which it is refused unread; of those that are not named, `MOST_TEXT`."""


def write_predictions(folder: Path, predictions: Predictions) -> StoredPredictions:
    """Store logits and labels; OOD sets as `ood_<name>`."""
    return write_arrays(
        folder,
        {
            "logits": predictions.logits,
            "labels": predictions.labels,
            "class_counts": predictions.class_counts,
            **{f"ood_{name}": logits for name, logits in predictions.ood.items()},
        },
    )


def write_arrays(folder: Path, arrays: Arrays, file: str = PREDICTIONS) -> StoredPredictions:
    """Store predictions, which are arrays already."""
    write_whole(folder / file, lambda target: pack(target, arrays))
    return StoredPredictions(file=file, sha256=arrays_sha256(arrays), hash="arrays")


def read_predictions(folder: Path, record: Record) -> Predictions:
    """The stored predictions of a record; errors as for `read_stored`."""
    _, arrays = read_arrays(folder, record.predictions)
    try:
        ood = {key[4:]: each for key, each in arrays.items() if key.startswith("ood_")}
        return Predictions(arrays["logits"], arrays["labels"], arrays["class_counts"], ood)
    except KeyError as problem:
        path = folder / record.predictions.file
        raise DataError(f"{path}: not a predictions file: holds no {problem}") from None


def read_arrays(folder: Path, stored: StoredPredictions) -> tuple[bytes, Arrays]:
    """The content of a file of predictions, and the arrays in it; errors as for `read_stored`."""
    path, content = folder / stored.file, _named(folder, stored)
    if stored.hash == "bytes":
        _compare(path, hashlib.sha256(content).hexdigest(), stored)
    try:
        arrays = unpack(content)
    except Exception as problem:  # whatever NumPy makes of bytes that are no such archive
        raise DataError(
            f"{path}: not a predictions file, or damaged: {in_brief(problem)}; restore it, or run "
            "again with --restart"
        ) from None
    if stored.hash == "arrays":
        _compare(path, arrays_sha256(arrays), stored)
    return content, arrays


def write_weights(folder: Path, content: bytes, *, keep: bool = True) -> StoredWeights:
    """Store the weights, which are serialized already; or, of those not to be kept, the hash."""
    if keep:
        digest = write_bytes(folder / WEIGHTS, content)
    else:
        digest = hashlib.sha256(content).hexdigest()
        remove(folder, WEIGHTS)
    return StoredWeights(file=WEIGHTS, sha256=digest, kept=keep)


def stored_files(record: Record) -> list[StoredFile]:
    """The files that lie beside a record and that it has a hash of."""
    return [record.predictions, *([record.model] if record.model.kept else [])]


def read_stored(folder: Path, stored: StoredFile) -> bytes:
    """The content of a file that a record names.

    Raises
    ------
    DataError
        The file was not kept, is missing, cut off, or not the one that the record names.
    """
    if isinstance(stored, StoredPredictions):
        return read_arrays(folder, stored)[0]
    if isinstance(stored, StoredWeights) and not stored.kept:
        raise DataError(
            f"{folder}: the weights of this run were not kept; to have them, run it again with "
            "--restart --weights keep"
        )
    content = _named(folder, stored)
    _compare(folder / stored.file, hashlib.sha256(content).hexdigest(), stored)
    return content


def _named(folder: Path, stored: StoredFile) -> bytes:
    try:
        return read_whole(folder / stored.file)
    except DataError as problem:
        raise DataError(f"{problem}; the record names SHA-256 {stored.sha256}") from None


def _compare(path: Path, found: str, stored: StoredFile) -> None:
    if found != stored.sha256:
        raise DataError(
            f"{path}: SHA-256 is {found}, the record names {stored.sha256}; the file "
            "is damaged or of another run: restore it, or run again with --restart"
        )


def write_history(folder: Path, history: Sequence[EpochSummary]) -> None:
    """One row an epoch: its mean loss, the last learning rate, seconds."""

    def write(file: BinaryIO) -> None:
        text = io.StringIO(newline="")
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(EpochSummary._fields)
        writer.writerows(history)
        file.write(text.getvalue().encode())

    write_whole(folder / HISTORY, write)


def write_record(folder: Path, record: Record) -> None:
    """Finish a run: the record, then away with the checkpoint."""
    finish(folder, json_text(record))


def json_text(content: BaseModel) -> bytes:
    """The JSON file of a record, or of what lies beside one."""
    text = json.dumps(content.model_dump(mode="json"), indent=2, allow_nan=False)
    return f"{text}\n".encode()


def finish(folder: Path, record: bytes) -> None:
    """Finish a run by a record that is text already."""
    with undisturbed():  # or a checkpoint would lie beside a record
        write_bytes(folder / RECORD, record)
        remove(folder, CHECKPOINT)


def read_record(path: Path) -> Record:
    """A record from its file or its folder.

    Raises
    ------
    DataError
        There is none, it is cut off, or it is of another schema.
    """
    path = path / RECORD if is_folder(path) else path
    return parse_record(read_whole(path), path)


def parse_record(text: bytes, path: Path) -> Record:
    """A record from the content of its file; `path` is for the error, as for `read_record`."""
    content = parse_json(text, path, hint="; run again with --restart")
    version = content.get("schema_version") if isinstance(content, dict) else None
    if version != SCHEMA_VERSION:
        raise DataError(
            f"{path}: schema_version={version!r}: this dcbench reads {SCHEMA_VERSION}; it was "
            "written by another version"
        )
    return validated(Record, content, path, DataError)


def clear(folder: Path) -> None:
    """Remove what a run left, record first."""
    remove(folder, RECORD, CHECKPOINT, PREDICTIONS, HISTORY, WEIGHTS)
    with writing(folder):
        for later in (SETS, POSTHOC, FEATURES):
            if (folder / later).is_dir():
                shutil.rmtree(folder / later)


def remove(folder: Path, *names: str) -> None:
    """Remove files, and whatever was being written when an earlier process was killed."""
    with writing(folder):
        for name in names:
            (folder / name).unlink(missing_ok=True)
        for unfinished in folder.glob(".*.unfinished"):
            unfinished.unlink(missing_ok=True)


def read_whole(path: Path) -> bytes:
    """The content of a file; `DataError` where there is none or it cannot be read."""
    return read_file(path, most=MOST_BYTES.get(path.name, MOST_TEXT))
