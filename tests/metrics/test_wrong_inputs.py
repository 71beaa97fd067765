"""Whatever cannot be measured is refused, as one error that is a `ValueError` too."""

import numpy as np
import pytest
import torch

from dcbench import metrics
from dcbench.errors import UsageError

PROBS = [[0.5, 0.5], [0.2, 0.8]]
LABELS = [0, 1]
OF_PROBS = [
    metrics.accuracy,
    metrics.adaptive_calibration_error,
    metrics.brier_score,
    metrics.calibration_bins,
    metrics.classwise_calibration_error,
    metrics.expected_calibration_error,
]
OF_LOGITS = [
    metrics.balanced_accuracy,
    metrics.class_recall,
    metrics.fit_temperature,
    metrics.negative_log_likelihood,
    metrics.temperature_scaling,
]
BINNED = [
    metrics.adaptive_calibration_error,
    metrics.calibration_bins,
    metrics.classwise_calibration_error,
    metrics.expected_calibration_error,
]
BAD_SCORES = {
    "with a gradient": torch.tensor(PROBS, requires_grad=True),
    "bfloat16": torch.tensor(PROBS, dtype=torch.bfloat16),
    "ragged": [[0.5, 0.5], [1.0]],
    "strings": [["0.5", "0.5"], ["0.2", "0.8"]],
    "bools": [[True, False], [False, True]],
    "complex": np.array(PROBS) + 0j,
    "none": [[0.5, None], [0.2, 0.8]],
    "nan": [[0.5, 0.5], [np.nan, 0.8]],
    "inf": [[0.5, 0.5], [np.inf, 0.8]],
    "empty": np.zeros((0, 2)),
    "no classes": np.zeros((2, 0)),
    "one axis": [0.5, 0.5],
    "dates": np.array([["2020-01-01"] * 2] * 2, dtype="datetime64[D]"),
}
BAD_LABELS = {
    "ragged": [[0], [1, 2]],
    "strings": ["0", "1"],
    "bools": [False, True],
    "fractions": [0.0, 1.0],
    "nan": [np.nan, 1.0],
    "none": [None, 1],
    "one-hot": [[1, 0], [0, 1]],
    "too many": [0, 1, 1],
    "none at all": [],
    "too large": [0, 2],
    "negative": [0, -1],
    "with a gradient": torch.tensor([0.0, 1.0], requires_grad=True),
}


@pytest.mark.parametrize("scores", BAD_SCORES.values(), ids=BAD_SCORES)
@pytest.mark.parametrize("metric", [*OF_PROBS, *OF_LOGITS], ids=lambda metric: metric.__name__)
def test_scores_that_are_none_are_refused(metric, scores):
    with pytest.raises(UsageError) as error:
        metric(scores, LABELS)
    assert isinstance(error.value, ValueError)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("labels", BAD_LABELS.values(), ids=BAD_LABELS)
@pytest.mark.parametrize("metric", [*OF_PROBS, *OF_LOGITS], ids=lambda metric: metric.__name__)
def test_labels_that_are_none_are_refused(metric, labels):
    with pytest.raises(UsageError, match="labels"):
        metric(PROBS, labels)


@pytest.mark.parametrize("num_bins", [0, -1, 1.5, 15.0, True, "15", None, [15], np.float64(15)])
@pytest.mark.parametrize("metric", BINNED, ids=lambda metric: metric.__name__)
def test_number_of_bins_is_a_whole_number_of_at_least_one(metric, num_bins):
    with pytest.raises(UsageError, match="num_bins"):
        metric(PROBS, LABELS, num_bins)


def test_number_of_bins_may_be_numpys():
    assert metrics.expected_calibration_error(
        PROBS, LABELS, np.int32(15)
    ) == metrics.expected_calibration_error(PROBS, LABELS, 15)


@pytest.mark.parametrize("counts", [[1.0, 2.0], [True, False], ["1", "2"], [1], [-1, 2], [[1], 2]])
def test_class_counts_that_are_none_are_refused(counts):
    with pytest.raises(UsageError, match="class_counts"):
        metrics.group_accuracy(PROBS, LABELS, counts)


@pytest.mark.parametrize(
    "scores", [[True, False], ["1"], [np.nan], [], [[1.0]], torch.ones(2, requires_grad=True)]
)
def test_ood_scores_that_are_none_are_refused(scores):
    with pytest.raises(UsageError):
        metrics.ood_detection([1.0, 2.0], scores)
    with pytest.raises(UsageError):
        metrics.ood_detection(scores, [1.0, 2.0])


def test_logits_whose_differences_are_no_numbers_are_refused():
    logits = [[1e308, -1e308], [0.0, 0.0]]
    with pytest.raises(UsageError, match="must not exceed"):
        metrics.negative_log_likelihood(logits, LABELS)
    assert metrics.accuracy(logits, [0, 0]) == 1.0
