"""What is predicted of further image sets after a run, and the record with these sets in it.

The run's record and predictions stay as they were written, and so does every row that was made from
them; `completed` is the record with the sets.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import chain
from typing import Any, Literal

import numpy as np
from pydantic import Field

from dcbench.config.base import Config
from dcbench.config.image_sets import (
    ALL_CORRUPTIONS,
    CORRUPTIONS,
    OOD_MEANS,
    OPENOOD,
    mean_members,
)
from dcbench.metrics.measure import Predictions, detections
from dcbench.metrics.shift import Verdicts, shift_metrics
from dcbench.metrics.table import OOD_METRICS, SHIFT_METRICS
from dcbench.metrics.values import Detection, Metrics, ShiftValues
from dcbench.records.arrays import Arrays
from dcbench.records.schema import ImagesUsed, Record, StoredPredictions

Scores = Mapping[str, Detection]
OodNumbers = dict[str, Scores | None]


class FurtherSet(Config):
    """The content of `sets/<name>.json`; metrics are fractions."""

    schema_version: Literal[1] = 1
    name: str
    kind: Literal["ood", "corruption"]
    model_sha256: str = Field(description="of the weights that predicted: the record's")
    images: ImagesUsed
    predictions: StoredPredictions
    ood: Scores | None = Field(None, description="of an OOD set: by score, then by metric")
    severities: tuple[ShiftValues, ...] = Field((), description="of a corruption, mildest first")
    seconds: float
    device: str
    environment: dict[str, Any]
    finished: str

    @property
    def shift(self) -> ShiftValues:
        """Of a corruption, the mean over its severities."""
        return _mean(self.severities)


def missing_departure(name: str) -> str:
    """Why a run is custom whose split has an OOD set that was not there."""
    return f"OOD set {name} is missing"


def measure_set(
    kind: Literal["ood", "corruption"], arrays: Arrays, of_run: Predictions
) -> dict[str, Any]:
    """The metrics of a set from its stored predictions and those of the run, as fields.

    Raises
    ------
    UsageError, KeyError
        The predictions make no sense.
    """
    if kind == "ood":
        return {"ood": detections(of_run.logits, arrays["logits"])}
    each = zip(*(arrays[name] for name in Verdicts._fields), strict=True)
    return {"severities": [shift_metrics(Verdicts(*rows), of_run.labels) for rows in each]}


def completed(record: Record, sets: Iterable[FurtherSet]) -> Record:
    """A record with what was predicted later: its numbers, and no longer for want of a set custom.

    The means of a group are None unless all of its sets are there.
    """
    sets = _in_order(sets)
    if not sets:
        return record
    ood: OodNumbers = dict(record.metrics.ood)
    shift: dict[str, ShiftValues | None] = dict(record.metrics.shift)
    data = dict(record.data)
    for each in sets:
        if each.kind == "ood":
            ood[each.name] = each.ood
            data[f"ood.{each.name}"] = each.images
        else:
            shift[each.name] = each.shift
            data[f"shift.{each.name}"] = each.images
    ood |= _group_means(ood, {each.name for each in sets})
    if shift:
        whole = [found for name in CORRUPTIONS if (found := shift.get(name))]
        shift[ALL_CORRUPTIONS] = _mean(whole) if len(whole) == len(CORRUPTIONS) else None
    there = {missing_departure(each.name) for each in sets}
    departures = tuple(each for each in record.departures if each not in there)
    values = {key: record.metrics[key] for key in record.metrics.keys()}  # noqa: SIM118 - no dict
    if shift:
        values["shift"] = shift
    changes = {
        "metrics": Metrics.model_validate({**values, "ood": ood}),
        "data": data,
        "missing": {key: why for key, why in record.missing.items() if ood.get(key) is None},
        "departures": departures,
        "status": "custom" if departures else "protocol",
    }
    return record.model_copy(update=changes)


def _in_order(sets: Iterable[FurtherSet]) -> list[FurtherSet]:
    order = {name: place for place, name in enumerate((*OPENOOD, *CORRUPTIONS))}
    return sorted(sets, key=lambda each: (order.get(each.name, -1), each.name))


def _group_means(ood: OodNumbers, later: set[str]) -> OodNumbers:
    """The means over each group that one of the later sets is of."""
    there = {name: scores for name, scores in ood.items() if scores}
    return {
        group: _mean_scores([there[name] for name in members]) if members else None
        for group, names in OOD_MEANS.items()
        if later.intersection(chain(*names))
        for members in [mean_members(group, there)]
    }


def _mean_scores(sets: list[Scores]) -> Scores:
    return {
        score: Detection.model_validate(
            {
                metric.key: float(np.mean([each[score][metric.key] for each in sets]))
                for metric in OOD_METRICS
            }
        )
        for score in sets[0]
        if all(score in each for each in sets)
    }


def _mean(values: Iterable[ShiftValues]) -> ShiftValues:
    listed = list(values)
    means = {
        metric.key: float(np.mean([each[metric.key] for each in listed]))
        for metric in SHIFT_METRICS
    }
    return ShiftValues.model_validate(means)
