"""The metrics of a finished run again, from its stored predictions alone."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from dcbench.errors import DataError, UsageError
from dcbench.metrics.measure import flatten, measure
from dcbench.records.files import read_predictions, read_record


def measure_again(folder: Path) -> tuple[dict[str, Any], list[str]]:
    """Compute the metrics of a run again, on a CPU and without the images.

    Returns
    -------
    metrics : dict
    differing : list of str
        Dotted names of the metrics that are not what the record says, to 1e-9.

    Raises
    ------
    DataError
        The record or the predictions are missing, damaged, or make no sense.
    """
    record = read_record(folder)
    predictions = read_predictions(folder, record)
    groups = ("accuracy_many", "accuracy_medium", "accuracy_few")
    try:
        metrics = measure(
            predictions,
            long_tailed=any(record.metrics[group] is not None for group in groups),
            ood_sets=tuple(record.metrics["ood"]),
        )
    except UsageError as problem:
        raise DataError(f"{folder / record.predictions.file}: {problem}") from None
    recorded, again = flatten(record.metrics), flatten(metrics)
    return metrics, [key for key in {**recorded, **again} if not _same(recorded, again, key)]


def _same(recorded: dict[str, Any], again: dict[str, Any], key: str) -> bool:
    one, other = recorded.get(key), again.get(key)
    if one is None or other is None:
        return one is other
    return math.isclose(one, other, rel_tol=0, abs_tol=1e-9)
