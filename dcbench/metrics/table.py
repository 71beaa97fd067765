"""The one table of metrics: what each is called, how it is computed and how it is shown.

Whatever stores, checks, averages or shows metrics loops over these rows: a new metric is a function
and one row of `METRICS`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

from dcbench.errors import unknown
from dcbench.metrics.accuracy import accuracy, balanced_accuracy, group_accuracy
from dcbench.metrics.calibration import (
    adaptive_calibration_error,
    brier_score,
    classwise_calibration_error,
    expected_calibration_error,
    negative_log_likelihood,
)
from dcbench.metrics.metric import Metric
from dcbench.metrics.ood import ood_detection, ood_scores
from dcbench.metrics.shift import shift_metrics
from dcbench.metrics.temperature import HIGHEST, temperature_scaling


def _group(key: str, title: str, note: str, span: str) -> Metric:
    return Metric(
        key=key,
        compute=group_accuracy,
        takes="groups",
        title=title,
        short_title=title,
        note=note,
        meaning=f"accuracy over the classes with {span} training images; long-tailed splits alone",
        decimals=1,
        long_tailed=True,
    )


_TEMPERATURE = Metric(
    key="temperature",
    compute=temperature_scaling,
    takes="logits",
    title="Temperature",
    short_title="Temp.",
    meaning="temperature of the lowest negative log-likelihood, fitted on halves of the test set",
    unit="none",
    largest=HIGHEST,
    best="none",
)

METRICS: tuple[Metric, ...] = (
    Metric(
        key="accuracy",
        compute=accuracy,
        takes="logits",
        title="Accuracy",
        short_title="Accuracy",
        meaning="share of the test images that are correctly classified",
        required=True,
    ),
    Metric(
        key="balanced_accuracy",
        compute=balanced_accuracy,
        takes="logits",
        title="Balanced acc.",
        short_title="Balanced",
        note="accuracy",
        meaning="mean over the classes of the accuracy in the class",
        required=True,
    ),
    _group("accuracy_many", "Many", "> 100 images", "more than 100"),
    _group("accuracy_medium", "Medium", "20 to 100", "20 to 100"),
    _group("accuracy_few", "Few", "< 20 images", "under 20"),
    Metric(
        key="nll",
        compute=negative_log_likelihood,
        takes="logits",
        title="NLL",
        short_title="NLL",
        note="nats",
        meaning="mean negative log-likelihood of the labels, in nats",
        unit="nats",
        largest=None,
        decimals=3,
        best="lowest",
        required=True,
    ),
    Metric(
        key="brier",
        compute=brier_score,
        takes="probs",
        title="Brier",
        short_title="Brier",
        note="0 to 2",
        meaning="mean squared distance of the probabilities from the one-hot label",
        unit="none",
        largest=2,
        decimals=3,
        best="lowest",
        required=True,
    ),
    Metric(
        key="ece15",
        compute=expected_calibration_error,
        takes="probs",
        title="ECE",
        short_title="ECE-15",
        meaning="expected calibration error in 15 bins of equal width",
        decimals=1,
        best="lowest",
        required=True,
    ),
    Metric(
        key="adaptive_ece15",
        compute=adaptive_calibration_error,
        takes="probs",
        title="Adaptive ECE",
        short_title="Adaptive",
        note="ECE-15",
        meaning="the same in 15 bins of equally many images",
        decimals=1,
        best="lowest",
        required=True,
    ),
    Metric(
        key="classwise_ece15",
        compute=classwise_calibration_error,
        takes="probs",
        title="Classwise ECE",
        short_title="Classwise",
        note="ECE-15",
        meaning="the same of every class's probability, mean over classes",
        decimals=1,
        best="lowest",
        required=True,
    ),
    _TEMPERATURE,
    replace(
        _TEMPERATURE,
        key="nll_ts",
        title="NLL, scaled",
        short_title="NLL",
        note="scaled, nats",
        meaning="nll at that temperature, on the other half; mean over five splits in halves",
        unit="nats",
        largest=None,
        decimals=3,
        best="lowest",
    ),
    replace(
        _TEMPERATURE,
        key="brier_ts",
        title="Brier, scaled",
        short_title="Brier",
        note="scaled",
        meaning="brier in the same way",
        largest=2,
        decimals=3,
        best="lowest",
    ),
    replace(
        _TEMPERATURE,
        key="ece15_ts",
        title="ECE, scaled",
        short_title="ECE-15",
        note="scaled",
        meaning="ece15 in the same way",
        unit="fraction",
        largest=1,
        decimals=1,
        best="lowest",
    ),
)
"""The metrics of the test set, in the order of a record and of a leaderboard's columns."""


@dataclass(frozen=True)
class OodScore:
    """A score that separates ID from OOD images, larger for ID.

    Attributes
    ----------
    compute : callable
        Gives the scores of logits [N, C], or several kinds at once as a mapping by key.
    required : bool
        As of a `Metric`.
    of_logits : bool
        Whether it takes logits: those that give the same probabilities may differ in it.
    """

    key: str
    compute: Callable[..., Any]
    title: str
    required: bool = False
    of_logits: bool = False


OOD_SCORES: tuple[OodScore, ...] = (
    OodScore("msp", ood_scores, "maximum probability", required=True),
    OodScore("max_logit", ood_scores, "maximum logit", required=True, of_logits=True),
    OodScore("entropy", ood_scores, "negative entropy", required=True),
    OodScore("energy", ood_scores, "negative free energy", required=True, of_logits=True),
)
"""The scores that OOD sets are detected by."""


def _detection(key: str, title: str, meaning: str, *, lowest: bool = False) -> Metric:
    return Metric(
        key=key,
        compute=ood_detection,
        takes="scores",
        title=title,
        short_title=title,
        meaning=meaning,
        decimals=1,
        best="lowest" if lowest else "highest",
        required=True,
    )


OOD_METRICS: tuple[Metric, ...] = (
    _detection("auroc", "AUROC", "area under the ROC curve"),
    _detection("aupr_in", "AUPR-in", "area under the precision-recall curve, ID as the positives"),
    _detection(
        "aupr_out", "AUPR-out", "area under the precision-recall curve, OOD as the positives"
    ),
    _detection(
        "fpr95_ood_pos", "FPR95, OOD", "ID images rejected where 95% of OOD are", lowest=True
    ),
    _detection("fpr95_id_pos", "FPR95, ID", "OOD images accepted where 95% of ID are", lowest=True),
)
"""How well a score detects an OOD set; stored as `ood.<set>.<score>.<metric>`."""

HEADLINE_SCORE, HEADLINE_OOD_METRIC = "msp", "auroc"
"""Of the OOD numbers, a summary has this metric by this score."""

SHIFT_METRICS: tuple[Metric, ...] = tuple(
    replace(
        metric,
        compute=shift_metrics,
        takes="verdicts",
        title=f"{metric.title}, shifted",
        meaning=f"{metric.key} on shifted test images, mean over kinds and severities",
    )
    for metric in METRICS
    if metric.key in ("accuracy", "ece15", "nll")
)
"""How a network holds under a shift; stored as `shift.<set>.<metric>`."""

TERMINAL = ("accuracy", "accuracy_few", "accuracy_medium", "ece15", "nll")
"""The metrics that the terminal shows of a summary, in this order."""

METHODS_VIEW = (
    *("accuracy", "accuracy_many", "accuracy_medium", "accuracy_few"),
    *("ece15", "nll"),
)
"""The metrics that the page's table of methods shows, in this order."""

_BY_KEY = {metric.key: metric for metric in METRICS}


def ood_key(image_set: str, score: str = HEADLINE_SCORE, metric: str = HEADLINE_OOD_METRIC) -> str:
    """The dotted name of a number of an OOD set."""
    return f"ood.{image_set}.{score}.{metric}"


def is_headline_ood(key: str) -> bool:
    """Whether a dotted name is that of an OOD number that a summary has."""
    return key.startswith("ood.") and key.endswith(f".{HEADLINE_SCORE}.{HEADLINE_OOD_METRIC}")


def shift_key(image_set: str, metric: str) -> str:
    """The dotted name of a number of a shifted test set."""
    return f"shift.{image_set}.{metric}"


def find_metric(key: str) -> Metric | None:
    """The row of a metric by its key, such as `ece15` or `ood.mnist.msp.auroc`, or None.

    That of a number of another image set has the dotted name as its key.
    """
    if key in _BY_KEY:
        return _BY_KEY[key]
    parts = key.split(".")
    if len(parts) == 3 and parts[0] == "shift":
        found = next((each for each in SHIFT_METRICS if each.key == parts[2]), None)
        return found and replace(found, key=key)
    if len(parts) != 4 or parts[0] != "ood":
        return None
    score = next((each for each in OOD_SCORES if each.key == parts[2]), None)
    metric = next((each for each in OOD_METRICS if each.key == parts[3]), None)
    if score is None or metric is None:
        return None
    return replace(metric, key=key, required=metric.required and score.required)


def metric_of(key: str) -> Metric:
    """The row of a metric, as `find_metric` finds it.

    Raises
    ------
    UsageError
        There is no such metric.
    """
    found = find_metric(key)
    if found is None:
        raise unknown("metric", key, _BY_KEY)
    return found


def metrics_of(keys: Iterable[str]) -> list[Metric]:
    """The rows of some keys, in the order given."""
    return [_BY_KEY[key] for key in keys]
