"""The metrics of a finished run again, from its stored predictions alone."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from dcbench.errors import DataError, UsageError
from dcbench.metrics.measure import Metrics, Predictions, flatten, measure
from dcbench.metrics.table import METRICS
from dcbench.records.files import read_predictions, read_record
from dcbench.records.set_files import read_arrays, read_sets
from dcbench.records.sets import FurtherSet, completed, measure_set


@dataclass(frozen=True)
class Recomputed:
    """The metrics of a run, computed again.

    Attributes
    ----------
    metrics : Metrics
    differing : list of str
        Dotted names of the metrics that are not what the record says, to 1e-9.
    new : list of str
        Dotted names of those that the record lacks, for it is older than they are.
    later : list of str
        Dotted names of those of image sets that were predicted after the run.
    """

    metrics: Metrics
    differing: list[str]
    new: list[str]
    later: list[str]


def measure_again(folder: Path) -> Recomputed:
    """Compute the metrics of a run again, on a CPU and without the images.

    Raises
    ------
    DataError
        The record or the predictions are missing, damaged, or make no sense.
    """
    record = read_record(folder)
    sets = read_sets(folder, record)
    predictions = read_predictions(folder, record)
    groups = [metric.key for metric in METRICS if metric.long_tailed]
    try:
        metrics = measure(
            predictions,
            long_tailed=any(record.metrics[group] is not None for group in groups),
            ood_sets=tuple(record.metrics.ood),
        )
    except UsageError as problem:
        raise DataError(f"{folder / record.predictions.file}: {problem}") from None
    of_run = set(flatten(metrics))
    again_sets = [_set_again(folder, each, predictions) for each in sets]
    metrics = completed(record.model_copy(update={"metrics": metrics}), again_sets).metrics
    recorded, again = flatten(completed(record, sets).metrics), flatten(metrics)
    absent = {key for key, value in recorded.items() if value is None}
    # A set that the record says was not there is no newer metric if its predictions are there.
    new = [
        key
        for key in again
        if key not in recorded and key.rpartition(".")[0].rpartition(".")[0] not in absent
    ]
    differing = [
        key
        for key in {**recorded, **again}
        if key not in new and not _same(recorded.get(key), again.get(key))
    ]
    return Recomputed(metrics, differing, new, [key for key in again if key not in of_run])


def _set_again(folder: Path, found: FurtherSet, predictions: Predictions) -> FurtherSet:
    arrays = read_arrays(folder, found.predictions)
    try:
        values = measure_set(found.kind, arrays, predictions)
    except (UsageError, KeyError, ValueError) as problem:
        raise DataError(f"{folder / found.predictions.file}: {problem}") from None
    return FurtherSet.model_validate({**found.model_dump(), **values})


def _same(one: float | None, other: float | None) -> bool:
    if one is None or other is None:
        return one is other
    return math.isclose(one, other, rel_tol=0, abs_tol=1e-9)
