"""What the columns of the page are called, mean and look like."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import pandas as pd

from dcbench import metrics
from dcbench.data.catalogue import DATASETS


@dataclass(frozen=True)
class Metric:
    """A metric as a column shows it.

    Attributes
    ----------
    key : str
        Its column in the rows of a leaderboard.
    title, note : str
        Head of the column, and a word on it in smaller type.
    computed_by : callable
        The function whose documentation defines it.
    digits : int
        Decimals, in the unit that is shown.
    percent : bool
        Shown in percent, or as it is stored.
    best : str
        Whether the highest or the lowest value is the best.
    """

    key: str
    title: str
    computed_by: Callable[..., Any]
    note: str = ""
    digits: int = 2
    percent: bool = True
    best: Literal["highest", "lowest"] = "highest"

    @property
    def definition(self) -> str:
        """The function's documentation above its parameters."""
        text = (inspect.getdoc(self.computed_by) or "").partition("\n\nParameters\n")[0]
        return " ".join(text.replace("`", "").split())

    def shown(self, value: float) -> float:
        """A stored value in the unit that is shown."""
        return value * 100 if self.percent else value

    def text(self, value: float) -> str:
        """A stored value as it is shown."""
        return f"{self.shown(value):.{self.digits}f}"


ACCURACY = Metric("accuracy", "Accuracy %", metrics.accuracy)
_GROUPS = (
    Metric("accuracy_many", "Many %", metrics.group_accuracy, "> 100 images", 1),
    Metric("accuracy_medium", "Medium %", metrics.group_accuracy, "20 to 100", 1),
    Metric("accuracy_few", "Few %", metrics.group_accuracy, "< 20 images", 1),
)
_ECE = Metric("ece15", "ECE-15 %", metrics.expected_calibration_error, digits=1, best="lowest")
_NLL = Metric("nll", "NLL", metrics.negative_log_likelihood, "nats", 3, False, "lowest")
_OTHERS = (
    Metric("balanced_accuracy", "Balanced %", metrics.balanced_accuracy, "accuracy"),
    Metric("brier", "Brier", metrics.brier_score, "0 to 2", 3, False, "lowest"),
    replace(
        _ECE,
        key="adaptive_ece15",
        title="Adaptive %",
        note="ECE-15",
        computed_by=metrics.adaptive_calibration_error,
    ),
    replace(
        _ECE,
        key="classwise_ece15",
        title="Classwise %",
        note="ECE-15",
        computed_by=metrics.classwise_calibration_error,
    ),
)
METRICS = {metric.key: metric for metric in (ACCURACY, *_GROUPS, _ECE, _NLL, *_OTHERS)}
OOD_SCORE = "msp"
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
    distance = ood_distance(name)
    note = ood_title(name) + ("" if distance == "noise" else f", {distance}")
    return Metric(f"ood.{name}.{OOD_SCORE}.auroc", "AUROC %", metrics.ood_detection, note, 1)


def metrics_of_methods(summary: pd.DataFrame, ood: Sequence[str]) -> list[Metric]:
    """The metrics in the table of methods: those with a value, without noise as an OOD set."""
    sets = [_detection(name) for name in ood if ood_distance(name) != "noise"]
    wanted = [ACCURACY, *_GROUPS, _ECE, _NLL, *sets]
    return [metric for metric in wanted if _has_values(summary, f"{metric.key}_mean")]


def metrics_of_runs(runs: pd.DataFrame, ood: Sequence[str]) -> list[Metric]:
    """The metrics in the tables of single runs: all with a value."""
    wanted = [ACCURACY, *_GROUPS, _ECE, _NLL, *_OTHERS, *(_detection(name) for name in ood)]
    return [metric for metric in wanted if _has_values(runs, metric.key)]


def _has_values(table: pd.DataFrame, column: str) -> bool:
    return column in table.columns and bool(table[column].notna().any())
