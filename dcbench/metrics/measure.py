"""Predictions to metrics, so that anyone can compute them again without the images or a GPU."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dcbench import metrics


@dataclass(frozen=True)
class Predictions:
    """What a trained network says of the test set and of the OOD sets.

    Attributes
    ----------
    logits : float32 [N, classes]
        Of the test images.
    labels : int64 [N]
    class_counts : int64 [classes]
        Number of images of each class that were trained on.
    ood : dict
        Logits float32 [M, classes] of each OOD set.
    """

    logits: NDArray[np.float32]
    labels: NDArray[np.int64]
    class_counts: NDArray[np.int64]
    ood: dict[str, NDArray[np.float32]]


def measure(
    predictions: Predictions, *, long_tailed: bool, ood_sets: tuple[str, ...]
) -> dict[str, Any]:
    """Every metric of a record, in fractions.

    Parameters
    ----------
    long_tailed
        Report accuracy over classes with many, medium and few training images.
    ood_sets
        All sets of the split; one without predictions is None.
    """
    logits, labels = predictions.logits, predictions.labels
    probs = metrics.softmax(logits)
    groups = metrics.group_accuracy(logits, labels, predictions.class_counts)
    inside = metrics.ood_scores(logits)
    return {
        "accuracy": metrics.accuracy(logits, labels),
        "balanced_accuracy": metrics.balanced_accuracy(logits, labels),
        **(groups if long_tailed else dict.fromkeys(groups)),
        "nll": metrics.negative_log_likelihood(logits, labels),
        "brier": metrics.brier_score(probs, labels),
        "ece15": metrics.expected_calibration_error(probs, labels),
        "adaptive_ece15": metrics.adaptive_calibration_error(probs, labels),
        "classwise_ece15": metrics.classwise_calibration_error(probs, labels),
        "ood": {name: _ood_metrics(inside, predictions.ood.get(name)) for name in ood_sets},
    }


def _ood_metrics(
    inside: dict[str, NDArray[np.float64]], logits: NDArray[np.float32] | None
) -> dict[str, dict[str, float]] | None:
    if logits is None:
        return None
    outside = metrics.ood_scores(logits)
    return {score: metrics.ood_detection(inside[score], outside[score]) for score in inside}


def flatten(metrics: Mapping[str, Any], prefix: str = "") -> dict[str, float | None]:
    """Metrics by dotted name, such as `ood.mnist.msp.auroc`; an OOD set that is missing is None."""
    flat: dict[str, float | None] = {}
    for key, value in metrics.items():
        if isinstance(value, Mapping):
            flat.update(flatten(value, f"{prefix}{key}."))
        else:
            flat[f"{prefix}{key}"] = value
    return flat
