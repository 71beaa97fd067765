"""Ensembles of the seeds of a method: the mean of their probabilities, from what is stored."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dcbench.errors import DataError
from dcbench.metrics.calibration import softmax
from dcbench.metrics.measure import Predictions, measure
from dcbench.metrics.table import METRICS
from dcbench.records.files import read_predictions
from dcbench.records.posthoc import TEST, Ensemble, write_ensemble
from dcbench.records.schema import Record
from dcbench.records.set_files import read_arrays, read_completed, read_sets

_SMALLEST = np.finfo(np.float64).tiny


class Member(NamedTuple):
    """A run of an ensemble."""

    folder: Path
    record: Record


def ensembles(folders: Sequence[Path]) -> list[tuple[Path, Ensemble]]:
    """Measure and write the ensemble of each method that has two seeds or more among some runs.

    Returns
    -------
    list of (Path, Ensemble)
        The folder of the method, where `ensemble.json` now lies, and what it holds.

    Raises
    ------
    DataError
        A run is damaged, or was tested on other images than another.
    """
    found: dict[Path, list[Member]] = defaultdict(list)
    for folder in folders:
        found[folder.parent].append(Member(folder, read_completed(folder)))
    made = []
    for home, members in sorted(found.items()):
        if len(members) > 1:
            members.sort(key=lambda each: each.record.seed)
            made.append((home, _ensemble(members)))
            write_ensemble(*made[-1])
    return made


def _ensemble(members: Sequence[Member]) -> Ensemble:
    record = members[0].record
    runs = [_all_predictions(each) for each in members]
    for other, predictions in zip(members, runs, strict=True):
        same = other.record.data.get(TEST) == record.data.get(TEST)
        if not same or not np.array_equal(predictions.labels, runs[0].labels):
            raise DataError(
                f"{other.folder}: was tested on other images than {members[0].folder}; an ensemble "
                "is of runs that share them"
            )
    together = _together(runs)
    groups = [metric.key for metric in METRICS if metric.long_tailed]
    metrics = measure(
        together,
        long_tailed=any(record.metrics[group] is not None for group in groups),
        ood_sets=tuple(together.ood),
    )
    return Ensemble(
        protocol=record.protocol,
        split=record.split,
        subset=record.subset,
        label=record.label,
        seeds=tuple(each.record.seed for each in members),
        predictions_sha256=tuple(each.record.predictions.recorded_sha256 for each in members),
        metrics=metrics,
        finished=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def _all_predictions(member: Member) -> Predictions:
    """The predictions of a run, with those of the OOD sets that came later."""
    folder, record = member
    own = read_predictions(folder, record)
    later = {
        each.name: np.asarray(read_arrays(folder, each.predictions)["logits"])
        for each in read_sets(folder, record)
        if each.kind == "ood"
    }
    return Predictions(own.logits, own.labels, own.class_counts, {**own.ood, **later})


def _together(runs: Sequence[Predictions]) -> Predictions:
    """The mean of probabilities, as logits; of OOD sets, those that every run has."""
    first = runs[0]
    shared = [name for name in first.ood if all(name in each.ood for each in runs)]
    return Predictions(
        _mean_logits([each.logits for each in runs]),
        first.labels,
        first.class_counts,
        {name: _mean_logits([each.ood[name] for each in runs]) for name in shared},
    )


def _mean_logits(logits: Sequence[NDArray[Any]]) -> NDArray[Any]:
    mean = np.mean([softmax(each) for each in logits], axis=0)
    shown: NDArray[Any] = np.log(np.maximum(mean, _SMALLEST))
    return shown
