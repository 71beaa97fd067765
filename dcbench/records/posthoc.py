"""What is fitted after training: numbers of their own, apart from those of the trained method.

For a run, `posthoc/<name>.json` beside its record, with the scores or logits that the numbers
follow from in `posthoc/<name>.npz`; for runs of several seeds, `ensemble.json` above their folders.
Each JSON file is written last.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from dcbench.config.base import Config, validated
from dcbench.config.paths import folders_in
from dcbench.config.reading import parse_json
from dcbench.errors import DataError
from dcbench.metrics.measure import detection
from dcbench.metrics.table import OOD_SCORES
from dcbench.metrics.values import Detection, Metrics
from dcbench.records import files
from dcbench.records.arrays import Arrays
from dcbench.records.atomic import write_bytes, writing
from dcbench.records.files import POSTHOC, RECORD, read_record, read_whole
from dcbench.records.schema import ImagesUsed, Record, StoredPredictions
from dcbench.records.store import paths_named

ENSEMBLE = "ensemble.json"
TEST = "test"
"""The name of the test images among the scores."""

_OF_LOGITS = {score.key for score in OOD_SCORES if score.of_logits}


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
    """The content of `ensemble.json`: the mean of the probabilities of several seeds.

    OOD sets have the scores that follow from probabilities. Earlier files have those of logits too,
    which a mean of probabilities has not; they are not read.
    """

    schema_version: Literal[1] = 1
    protocol: str
    split: str
    subset: int
    label: str
    seeds: tuple[int, ...]
    predictions_sha256: tuple[str, ...] = Field(description="of the runs, in the order of seeds")
    metrics: Metrics
    finished: str

    @model_validator(mode="after")
    def _one_hash_a_seed(self) -> Self:
        if len(self.seeds) != len(self.predictions_sha256):
            raise ValueError("seeds and predictions_sha256: should have one hash a seed")
        return self

    @field_validator("metrics")
    @classmethod
    def _without_scores_of_logits(cls, metrics: Metrics) -> Metrics:
        ood = {
            name: scores and {key: scores[key] for key in scores if key not in _OF_LOGITS}
            for name, scores in metrics.ood.items()
        }
        return metrics.model_copy(update={"ood": ood})


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
    """Bring what was fitted for a run to the folder of the same run elsewhere.

    What is there stays, unless what comes has scores of all its sets and of further ones.

    Returns
    -------
    list of str
        The names of what came, or would.

    Raises
    ------
    DataError
        A file is damaged in one of the folders; or each has scores of a set that the other lacks.
    """
    there = {each.name: each.ood.keys() for each in read_posthoc(target, record)}
    new = []
    for each in read_posthoc(source, record):
        here, known = each.ood.keys(), there.get(each.name)
        if known is None or here > known:
            new.append(each)
        elif not here <= known:
            raise DataError(
                f"{source / POSTHOC} and {target / POSTHOC} have scores of {each.name}, each of "
                f"sets that the other lacks ({', '.join(sorted(here ^ known))}): fit it "
                "for all of them, or remove one of the two, and collect again"
            )
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
    """Every ensemble under a results folder, in the order of their paths.

    Raises
    ------
    DataError
        A file is damaged, or of other predictions than those of the runs below it.
    """
    for path in paths_named(ENSEMBLE, results, lambda folder, reason: None):
        found = validated(Ensemble, parse_json(read_whole(path), path), path, DataError)
        _check_members(path, found)
        yield path, found


def _check_members(path: Path, found: Ensemble) -> None:
    """That the runs of an ensemble are there, and were not trained again since."""
    runs = [each for each in folders_in(path.parent) if (each / RECORD).is_file()]
    there = {(each.seed, each.predictions.recorded_sha256) for each in map(read_record, runs)}
    members = zip(found.seeds, found.predictions_sha256, strict=True)
    other = ", ".join(str(seed) for seed, digest in members if (seed, digest) not in there)
    if other:
        raise DataError(
            f"{path}: is of other predictions than those of the runs below it, by seed: {other}; "
            f"measure it again with `dcbench posthoc {path.parent}`, or remove it where fewer than "
            "two runs are left"
        )
