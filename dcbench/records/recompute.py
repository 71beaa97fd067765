"""The metrics of a finished run again, from its stored predictions alone."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from dcbench.errors import DataError, UsageError
from dcbench.metrics.measure import Metrics, flatten, measure
from dcbench.metrics.table import METRICS
from dcbench.records.files import read_predictions, read_record


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
    """

    metrics: Metrics
    differing: list[str]
    new: list[str]


def measure_again(folder: Path) -> Recomputed:
    """Compute the metrics of a run again, on a CPU and without the images.

    Raises
    ------
    DataError
        The record or the predictions are missing, damaged, or make no sense.
    """
    record = read_record(folder)
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
    recorded, again = flatten(record.metrics), flatten(metrics)
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
    return Recomputed(metrics, differing, new)


def _same(one: float | None, other: float | None) -> bool:
    if one is None or other is None:
        return one is other
    return math.isclose(one, other, rel_tol=0, abs_tol=1e-9)
