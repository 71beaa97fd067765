"""Which metrics the page shows, out of the table of metrics, and what its OOD sets are called."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import pandas as pd

from dcbench.config.image_sets import ALL_CORRUPTIONS, FURTHER_OOD, NEAR, OOD_MEANS
from dcbench.data.catalogue import DATASETS
from dcbench.metrics.metric import Metric
from dcbench.metrics.table import (
    METHODS_VIEW,
    METRICS,
    SHIFT_METRICS,
    find_metric,
    metrics_of,
    ood_key,
    shift_key,
)
from dcbench.reports.absent import has_values

_FURTHER = (*FURTHER_OOD, *OOD_MEANS)
"""What is predicted later: shown where a run has it."""


def ood_distance(name: str) -> Literal["near", "far", "noise"]:
    """How far an OOD set is from CIFAR's images; noise is no image."""
    near = {member for names in OOD_MEANS[NEAR] for member in names}
    if name in near:
        return "near"
    return "far" if name in DATASETS else "noise"


def ood_title(name: str) -> str:
    """An OOD set as the literature calls it; `near` and `far` are means over sets."""
    if name in OOD_MEANS:
        return f"mean over {name} sets"
    return DATASETS[name].title if name in DATASETS else f"{name.capitalize()} noise"


def _detection(name: str) -> Metric:
    metric = find_metric(ood_key(name))
    assert metric is not None, "the headline number of an OOD set is in the table"
    plain = name in OOD_MEANS or ood_distance(name) == "noise"
    note = ood_title(name) + ("" if plain else f", {ood_distance(name)}")
    return replace(metric, note=note)


def _on_corruptions(key: str) -> Metric:
    metric = find_metric(shift_key(ALL_CORRUPTIONS, key))
    assert metric is not None, "it is one of the metrics of shifted images"
    return replace(metric, note="corruptions")


def metrics_of_methods(summary: pd.DataFrame, ood: Sequence[str]) -> list[Metric]:
    """The metrics in the table of methods: those with a value, without noise as an OOD set."""
    sets = [_detection(name) for name in ood if ood_distance(name) != "noise"]
    further = [*map(_detection, _FURTHER), _on_corruptions("accuracy")]
    wanted = [*metrics_of(METHODS_VIEW), *sets, *further]
    return [metric for metric in wanted if has_values(summary, f"{metric.key}_mean")]


def metrics_of_runs(runs: pd.DataFrame, ood: Sequence[str]) -> list[Metric]:
    """The metrics in the tables of single runs: all with a value, those of methods first."""
    first = metrics_of(METHODS_VIEW)
    others = [each for each in METRICS if each not in first]
    shifted = [_on_corruptions(metric.key) for metric in SHIFT_METRICS]
    wanted = [*first, *others, *map(_detection, (*ood, *_FURTHER)), *shifted]
    return [metric for metric in wanted if has_values(runs, metric.key)]
