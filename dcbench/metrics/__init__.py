"""Pure functions of numpy arrays that turn predictions into numbers; fractions, not percent.

`table` lists all metrics with what is said of them; `measure` computes them from predictions, and
`values` holds the result.
"""

from dcbench.metrics.accuracy import accuracy, balanced_accuracy, class_recall, group_accuracy
from dcbench.metrics.calibration import (
    adaptive_calibration_error,
    brier_score,
    calibration_bins,
    classwise_calibration_error,
    expected_calibration_error,
    log_softmax,
    negative_log_likelihood,
    softmax,
)
from dcbench.metrics.ood import ood_detection, ood_scores
from dcbench.metrics.temperature import fit_temperature, temperature_scaling

__all__ = [
    "accuracy",
    "adaptive_calibration_error",
    "balanced_accuracy",
    "brier_score",
    "calibration_bins",
    "class_recall",
    "classwise_calibration_error",
    "expected_calibration_error",
    "fit_temperature",
    "group_accuracy",
    "log_softmax",
    "negative_log_likelihood",
    "ood_detection",
    "ood_scores",
    "softmax",
    "temperature_scaling",
]
