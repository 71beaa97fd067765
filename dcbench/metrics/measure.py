"""Predictions to metrics, so that anyone can compute them again without the images or a GPU."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dcbench.metrics.calibration import softmax
from dcbench.metrics.table import METRICS, OOD_METRICS, OOD_SCORES
from dcbench.metrics.values import Metrics, flatten

__all__ = ["Metrics", "Predictions", "flatten", "measure"]


@dataclass(frozen=True, eq=False)
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


def measure(predictions: Predictions, *, long_tailed: bool, ood_sets: tuple[str, ...]) -> Metrics:
    """Every metric of the table, in fractions.

    Parameters
    ----------
    long_tailed
        Report accuracy over classes with many, medium and few training images.
    ood_sets
        All sets of the split; one without predictions is None.

    Raises
    ------
    UsageError
        The predictions make no sense.
    """
    logits, labels = predictions.logits, predictions.labels
    arguments = {
        "logits": (logits, labels),
        "probs": (softmax(logits), labels),
        "groups": (logits, labels, predictions.class_counts),
    }
    values: dict[str, Any] = {}
    computed: dict[Callable[..., Any], Any] = {}
    for metric in METRICS:
        if metric.compute not in computed:
            computed[metric.compute] = metric.compute(*arguments[metric.takes])
        applies = long_tailed or not metric.long_tailed
        values[metric.key] = _one(computed[metric.compute], metric.key) if applies else None
    inside = _scores(logits)
    ood = {
        name: _detections(inside, predictions.ood[name]) if name in predictions.ood else None
        for name in ood_sets
    }
    return Metrics.model_validate({**values, "ood": ood})


def _one(result: Any, key: str) -> Any:
    """A function's result, or what it holds by the key if it computes several metrics."""
    return result[key] if isinstance(result, Mapping) else result


def _scores(logits: NDArray[np.float32]) -> dict[str, Any]:
    computed: dict[Callable[..., Any], Any] = {}
    for score in OOD_SCORES:
        if score.compute not in computed:
            computed[score.compute] = score.compute(logits)
    return {score.key: _one(computed[score.compute], score.key) for score in OOD_SCORES}


def detections(
    logits: NDArray[np.float32], ood_logits: NDArray[np.float32]
) -> dict[str, dict[str, float]]:
    """How well each score of the table separates test images [N, C] from others [M, C]."""
    return _detections(_scores(logits), ood_logits)


def _detections(inside: dict[str, Any], logits: NDArray[np.float32]) -> dict[str, dict[str, float]]:
    outside = _scores(logits)
    return {score: detection(inside[score], outside[score]) for score in inside}


def detection(id_scores: NDArray[Any], ood_scores: NDArray[Any]) -> dict[str, float]:
    """Every OOD metric of one score, larger for ID images [N] than for others [M]."""
    results = {
        metric: metric(id_scores, ood_scores)
        for metric in dict.fromkeys(metric.compute for metric in OOD_METRICS)
    }
    return {metric.key: _one(results[metric.compute], metric.key) for metric in OOD_METRICS}
