"""Which metrics the page shows, out of the table of metrics, and what its OOD sets are called."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import pandas as pd

from dcbench.data.catalogue import DATASETS
from dcbench.metrics.table import METHODS_VIEW, METRICS, Metric, find_metric, metrics_of, ood_key
from dcbench.reports.absent import has_values

_NEAR = ("cifar10", "cifar100")


def ood_distance(name: str) -> Literal["near", "far", "noise"]:
    """How far an OOD set is from CIFAR's images: the other CIFAR is near, noise is no image."""
    if name in _NEAR:
        return "near"
    return "far" if name in DATASETS else "noise"


def ood_title(name: str) -> str:
    """An OOD set as the literature calls it."""
    return DATASETS[name].title if name in DATASETS else f"{name.capitalize()} noise"


def _detection(name: str) -> Metric:
    metric = find_metric(ood_key(name))
    assert metric is not None, "the headline number of an OOD set is in the table"
    distance = ood_distance(name)
    note = ood_title(name) + ("" if distance == "noise" else f", {distance}")
    return replace(metric, note=note)


def metrics_of_methods(summary: pd.DataFrame, ood: Sequence[str]) -> list[Metric]:
    """The metrics in the table of methods: those with a value, without noise as an OOD set."""
    sets = [_detection(name) for name in ood if ood_distance(name) != "noise"]
    wanted = [*metrics_of(METHODS_VIEW), *sets]
    return [metric for metric in wanted if has_values(summary, f"{metric.key}_mean")]


def metrics_of_runs(runs: pd.DataFrame, ood: Sequence[str]) -> list[Metric]:
    """The metrics in the tables of single runs: all with a value, those of methods first."""
    first = metrics_of(METHODS_VIEW)
    wanted = [*first, *(each for each in METRICS if each not in first), *map(_detection, ood)]
    return [metric for metric in wanted if has_values(runs, metric.key)]
