"""How a network holds under distribution shift: metrics from what is kept of each image."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from dcbench.metrics._checks import as_labels
from dcbench.metrics.calibration import (
    confidence_calibration_error,
    log_softmax,
)


class Verdicts(NamedTuple):
    """What is kept of the predictions of N images: a third of the logits of ten classes.

    Attributes
    ----------
    predicted : uint16 [N]
        The class of the largest logit.
    confidence : float32 [N]
        Its probability.
    nll : float32 [N]
        Negative log-likelihood of the label, in nats.
    """

    predicted: npt.NDArray[np.uint16]
    confidence: npt.NDArray[np.float32]
    nll: npt.NDArray[np.float32]


def verdicts(logits: npt.ArrayLike, labels: npt.ArrayLike) -> Verdicts:
    """What is kept of logits [N, C] of images with these labels [N].

    Raises
    ------
    UsageError
        As `negative_log_likelihood`.
    """
    log_probs = log_softmax(logits)
    rows = np.arange(len(log_probs))
    classes = as_labels(labels, log_probs)
    predicted = log_probs.argmax(axis=1)
    return Verdicts(
        predicted.astype(np.uint16),
        np.exp(log_probs[rows, predicted]).astype(np.float32),
        -log_probs[rows, classes].astype(np.float32),
    )


def shift_metrics(given: Verdicts, labels: npt.NDArray[np.int64]) -> dict[str, float]:
    """Accuracy, expected calibration error in 15 bins, and mean NLL of shifted test images.

    Parameters
    ----------
    labels : int64 [N]

    Notes
    -----
    For a corruption, the mean over its five severities; for all, the mean over the fifteen
    corruptions, as Hendrycks and Dietterich (2019) average errors before dividing by AlexNet's.
    """
    correct = given.predicted == labels
    return {
        "accuracy": float(correct.mean()),
        "ece15": confidence_calibration_error(given.confidence, correct),
        "nll": float(given.nll.mean(dtype=np.float64)),
    }
