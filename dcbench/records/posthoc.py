"""What is fitted after training: numbers of their own, apart from those of the trained method.

For a run, `posthoc/<name>.json` beside its record, with the scores or logits that the numbers
follow from in `posthoc/<name>.npz`; for runs of several seeds, `ensemble.json` above their folders.
Each JSON file is written last.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from dcbench.config.base import Config, validated
from dcbench.config.reading import parse_json
from dcbench.errors import DataError
from dcbench.metrics.measure import detection
from dcbench.metrics.values import Detection, Metrics
from dcbench.records import files
from dcbench.records.arrays import Arrays
from dcbench.records.atomic import write_bytes, writing
from dcbench.records.files import POSTHOC, read_whole
from dcbench.records.schema import ImagesUsed, Record, StoredPredictions

ENSEMBLE = "ensemble.json"
TEST = "test"
"""The name of the test images among the scores."""


class Posthoc(Config):
    """The content of `posthoc/<name>.json`; metrics are fractions."""

    schema_version: Literal[1] = 1
    name: str
    kind: Literal["detector", "adjustment"]
    settings: dict[str, Any] = Field(description="of the detector, or of the adjustment")
    model_sha256: str = Field(description="of the weights: the record's")
    fit: ImagesUsed | None = Field(description="the images that it was fitted on; None: on none")
    predictions: StoredPredictions = Field(description="scores, larger for ID; or logits")
    ood: dict[str, Detection] = Field({}, description="of a detector: by OOD set")
    metrics: Metrics | None = Field(None, description="of adjusted logits")
    seconds: float
    device: str
    environment: dict[str, Any]
    finished: str


class Ensemble(Config):
    """The content of `ensemble.json`: the mean of the probabilities of several seeds."""

    schema_version: Literal[1] = 1
    protocol: str
    split: str
    subset: int
    label: str
    seeds: tuple[int, ...]
    predictions_sha256: tuple[str, ...] = Field(description="of the runs, in the order of seeds")
    metrics: Metrics
    finished: str


def detections_of(scores: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    """How well stored scores separate the test images from each set, by its name."""
    return {
        name: detection(scores[TEST], values) for name, values in scores.items() if name != TEST
    }


def write_posthoc(folder: Path, name: str, arrays: Arrays) -> StoredPredictions:
    """Store what the numbers follow from."""
    _make_room(folder)
    return files.write_arrays(folder, arrays, f"{POSTHOC}/{name}.npz")


def _make_room(folder: Path) -> None:
    with writing(folder / POSTHOC):
        (folder / POSTHOC).mkdir(exist_ok=True)


def finish_posthoc(folder: Path, found: Posthoc) -> None:
    """Write the numbers; from now on they are there."""
    write_bytes(folder / POSTHOC / f"{found.name}.json", files.json_text(found))


def read_posthoc(folder: Path, record: Record) -> list[Posthoc]:
    """What was fitted for a run, by name.

    Raises
    ------
    DataError
        A file is damaged, or of other weights than the record's.
    """
    found = []
    for path in sorted((folder / POSTHOC).glob("*.json")):
        each = validated(Posthoc, parse_json(read_whole(path), path), path, DataError)
        if each.model_sha256 != record.model.sha256:
            raise DataError(
                f"{path}: is of other weights than those of the record beside it; remove "
                f"{folder / POSTHOC}"
            )
        found.append(each)
    return found


def copy_posthoc(source: Path, target: Path, record: Record, *, dry_run: bool = False) -> list[str]:
    """Bring what was fitted for a run to the folder of the same run elsewhere; what is there stays.

    Returns
    -------
    list of str
        The names of what came, or would.

    Raises
    ------
    DataError
        A file is damaged in one of the folders.
    """
    there = {each.name for each in read_posthoc(target, record)}
    new = [each for each in read_posthoc(source, record) if each.name not in there]
    contents = {each.name: files.read_stored(source, each.predictions) for each in new}
    for each in [] if dry_run else new:
        _make_room(target)
        write_bytes(target / each.predictions.file, contents[each.name])
        finish_posthoc(target, each)
    return [each.name for each in new]


def write_ensemble(folder: Path, found: Ensemble) -> None:
    """Write the numbers of an ensemble, in one piece."""
    write_bytes(folder / ENSEMBLE, files.json_text(found))


def read_ensembles(results: Path) -> Iterator[tuple[Path, Ensemble]]:
    """Every ensemble under a results folder, in the order of their paths."""
    for path in sorted(results.rglob(ENSEMBLE)):
        yield path, validated(Ensemble, parse_json(read_whole(path), path), path, DataError)
