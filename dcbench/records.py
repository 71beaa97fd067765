"""What a run leaves on disk, and how it gets there whole.

Every file is written beside its place and renamed into it; `record.json` comes last, so a folder
that has it is done. The record names the SHA-256 of the other files.
"""

from __future__ import annotations

import contextlib
import csv
import hashlib
import io
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, BinaryIO, Literal

import filelock
import numpy as np
import torch
from pydantic import AfterValidator, Field

from dcbench.errors import DataError
from dcbench.evaluation import Predictions
from dcbench.files import write_whole, writing
from dcbench.training import EpochSummary
from dcbench.validation import Facts, validated

SCHEMA_VERSION: Literal[1] = 1
RECORD, PREDICTIONS, HISTORY = "record.json", "predictions.npz", "history.csv"
CHECKPOINT_VERSION = 2
WEIGHTS, CHECKPOINT, LOCK = "model.safetensors", "checkpoint.pt", ".lock"


class StoredFile(Facts):
    """A file of a run's folder."""

    file: str = Field(pattern=r"^(predictions\.npz|model\.safetensors)$")
    sha256: str


class ImagesUsed(Facts):
    """An image set that a run used."""

    images: int
    sha256: str
    official: bool = Field(description="its files have the official checksums")


class Cost(Facts):
    """What a run took."""

    train_seconds: float
    evaluate_seconds: float
    images_per_second: float = Field(description="training images, over all epochs")
    peak_memory_bytes: int = Field(description="of the device; on a CPU, of the whole process")
    device: str
    model_flops: int | None = Field(
        None, description="of all forward and backward passes, as flop counters count them"
    )
    ceiling_share: float | None = Field(
        None, description="model_flops a second, beside a large matrix product on the device"
    )
    runs_together: int = Field(1, description="that shared the device, each on its own stream")


class Detection(Facts):
    """How well one score parts an OOD set from the test set."""

    auroc: float
    aupr_in: float
    aupr_out: float
    fpr95_ood_pos: float
    fpr95_id_pos: float


class Metrics(Facts):
    """The metrics of a record, in fractions; None where one does not apply."""

    accuracy: float
    balanced_accuracy: float
    accuracy_many: float | None
    accuracy_medium: float | None
    accuracy_few: float | None
    nll: float
    brier: float
    ece15: float
    adaptive_ece15: float
    classwise_ece15: float
    ood: dict[str, dict[str, Detection] | None]


def _as_metrics(values: dict[str, Any]) -> dict[str, Any]:
    return Metrics.model_validate(values).model_dump()


class Record(Facts):
    """The content of `record.json`; metrics are fractions."""

    schema_version: Literal[1] = SCHEMA_VERSION
    protocol: str
    status: Literal["protocol", "custom"]
    departures: tuple[str, ...] = Field(description="why the status is custom")
    split: str
    subset: int
    index_sha256: str
    method: str
    settings: dict[str, Any]
    method_sha256: str | None = Field(description="of the method's file, if not dcbench's own")
    label: str = Field(description="the method with the settings that were asked for")
    seed: int
    recipe: dict[str, Any]
    data: dict[str, ImagesUsed | None] = Field(description="None: an OOD set that was not there")
    missing: dict[str, str] = Field(description="why an OOD set was not there")
    metrics: Annotated[dict[str, Any], AfterValidator(_as_metrics)]
    predictions: StoredFile
    model: StoredFile
    cost: Cost
    environment: dict[str, Any]
    started: str
    finished: str

    @property
    def unverified_data(self) -> list[str]:
        """Image sets whose files are not the official ones."""
        return [name for name, used in self.data.items() if used and not used.official]


CONFIGURATION = (
    *("protocol", "split", "subset", "index_sha256", "method", "settings"),
    *("method_sha256", "seed", "recipe"),
)
"""The fields of a record that decide its numbers."""


@contextlib.contextmanager
def locked(folder: Path, waiting: Callable[[str], None]) -> Iterator[None]:
    """Hold a run's folder; says so and waits while another process holds it."""
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        lock = filelock.FileLock(folder / LOCK)
        try:
            lock.acquire(timeout=0)
        except filelock.Timeout:
            waiting(f"another process is at work in {folder}; waiting for it to finish")
            lock.acquire()
    try:
        yield
    finally:
        lock.release()


def write_predictions(folder: Path, predictions: Predictions) -> StoredFile:
    """Store logits and labels; OOD sets as `ood_<name>`."""
    arrays = {f"ood_{name}": logits for name, logits in predictions.ood.items()}
    digest = write_whole(
        folder / PREDICTIONS,
        lambda file: np.savez_compressed(
            file,
            logits=predictions.logits,
            labels=predictions.labels,
            class_counts=predictions.class_counts,
            **arrays,  # type: ignore[arg-type]
        ),
    )
    return StoredFile(file=PREDICTIONS, sha256=digest)


def read_stored(folder: Path, stored: StoredFile) -> bytes:
    """The content of a file that a record names.

    Raises
    ------
    DataError
        The file is missing, cut off, or not the one that the record names.
    """
    path = folder / stored.file
    try:
        content = read_whole(path)
    except DataError as problem:
        raise DataError(f"{problem}; the record names SHA-256 {stored.sha256}") from None
    found = hashlib.sha256(content).hexdigest()
    if found != stored.sha256:
        raise DataError(
            f"{path}: SHA-256 is {found}, the record names {stored.sha256}; the file "
            "is damaged or of another run: restore it, or run again with --restart"
        )
    return content


def read_predictions(folder: Path, record: Record) -> Predictions:
    """The stored predictions of a record; errors as for `read_stored`."""
    path, content = folder / record.predictions.file, read_stored(folder, record.predictions)
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            ood = {key[4:]: arrays[key] for key in arrays.files if key.startswith("ood_")}
            return Predictions(arrays["logits"], arrays["labels"], arrays["class_counts"], ood)
    except Exception as problem:  # whatever NumPy makes of bytes that are no such archive
        raise DataError(f"{path}: not a predictions file: {problem}") from None


def write_weights(folder: Path, content: bytes) -> StoredFile:
    """Store the weights, which are serialised already."""
    digest = write_whole(folder / WEIGHTS, lambda file: file.write(content))
    return StoredFile(file=WEIGHTS, sha256=digest)


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
    text = json.dumps(record.model_dump(mode="json"), indent=2, allow_nan=False) + "\n"
    finish(folder, text.encode())


def finish(folder: Path, record: bytes) -> None:
    """Finish a run by a record that is text already."""
    write_whole(folder / RECORD, lambda file: file.write(record))
    remove(folder, CHECKPOINT)


def read_record(path: Path) -> Record:
    """A record from its file or its folder.

    Raises
    ------
    DataError
        There is none, it is cut off, or it is of another schema.
    """
    path = path / RECORD if path.is_dir() else path
    return parse_record(read_whole(path), path)


def parse_record(text: bytes, path: Path) -> Record:
    """A record from the content of its file; `path` is for the error, as for `read_record`."""
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as problem:
        raise DataError(
            f"{path}: cut off or not JSON: {problem}; run again with --restart"
        ) from None
    version = content.get("schema_version") if isinstance(content, dict) else None
    if version != SCHEMA_VERSION:
        raise DataError(
            f"{path}: schema_version={version!r}: this dcbench reads {SCHEMA_VERSION}; it was "
            "written by another version"
        )
    return validated(Record, content, path, DataError)


def write_checkpoint(folder: Path, configuration: dict[str, Any], state: dict[str, Any]) -> None:
    """Store a state of training with the configuration it belongs to, behind its SHA-256."""
    payload = io.BytesIO()
    stored = {"version": CHECKPOINT_VERSION, "configuration": _canonical(configuration)}
    torch.save({**stored, "state": state}, payload)
    content = payload.getvalue()
    digest = hashlib.sha256(content).digest()
    write_whole(folder / CHECKPOINT, lambda file: file.write(digest + content))


def read_checkpoint(folder: Path, configuration: dict[str, Any]) -> dict[str, Any] | None:
    """The stored state of training, or None where there is none.

    Raises
    ------
    DataError
        It is damaged, or belongs to another configuration.
    """
    path = folder / CHECKPOINT
    if not path.exists():
        return None
    stored = read_whole(path)
    digest, payload = stored[:32], stored[32:]
    if hashlib.sha256(payload).digest() != digest:
        raise DataError(f"{path}: the checkpoint is damaged; begin again with --restart")
    content = torch.load(io.BytesIO(payload), map_location="cpu", weights_only=True)
    if content.get("version") != CHECKPOINT_VERSION:
        raise DataError(f"{path}: written by another version; begin again with --restart")
    if content["configuration"] != _canonical(configuration):
        raise DataError(
            f"{path}: the checkpoint is of a run with another recipe, settings or code; begin "
            "again with --restart, or choose another folder with --results"
        )
    return dict(content["state"])


def _canonical(configuration: dict[str, Any]) -> str:
    return json.dumps(configuration, sort_keys=True)


def clear(folder: Path) -> None:
    """Remove what a run left, record first."""
    remove(folder, RECORD, CHECKPOINT, PREDICTIONS, HISTORY, WEIGHTS)


def remove(folder: Path, *names: str) -> None:
    """Remove files, and whatever was being written when an earlier process was killed."""
    with writing(folder):
        for name in names:
            (folder / name).unlink(missing_ok=True)
        for unfinished in folder.glob(".*.unfinished"):
            unfinished.unlink(missing_ok=True)


def read_whole(path: Path) -> bytes:
    """The content of a file; `DataError` where there is none or it cannot be read."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    except OSError as problem:
        raise DataError(f"{path}: cannot be read: {problem.strerror}") from None
