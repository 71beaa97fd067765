import math

import numpy as np
import pytest
import scipy.special
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import log_loss, mean_squared_error
from torchmetrics.functional.classification import (
    binary_calibration_error,
    multiclass_calibration_error,
)

from dcbench.errors import UsageError
from dcbench.metrics import (
    adaptive_calibration_error,
    brier_score,
    classwise_calibration_error,
    expected_calibration_error,
    log_softmax,
    negative_log_likelihood,
    softmax,
)

GOLDEN_LOGITS = np.array([[0, 0.5, 2], [1, 1, 2], [0.5, 0, 0.5], [2, 1, 1]])
GOLDEN_LABELS = np.array([0, 1, 2, 1])
CALIBRATION_ERRORS = [
    expected_calibration_error,
    adaptive_calibration_error,
    classwise_calibration_error,
]


def rows_with(confidences, correct, num_classes=3):
    """Rows whose largest probability is class 0's, and labels that make them right or wrong."""
    confidences = np.asarray(confidences)
    rest = (1 - confidences) / (num_classes - 1)
    probs = np.stack([confidences, *[rest] * (num_classes - 1)], axis=1)
    return probs, np.where(correct, 0, 1)


def random_rows(seed, num_rows=500, num_classes=6, scale=2.0):
    rng = np.random.default_rng(seed)
    logits = scale * rng.normal(size=(num_rows, num_classes))
    return logits, rng.integers(num_classes, size=num_rows)


def test_softmax_of_large_logits_does_not_overflow_and_agrees_with_scipy():
    logits = np.array([[1e4, 1e4 - 3, -1e4], [0.0, 1.0, 2.0]], dtype=np.float32)
    wide = logits.astype(np.float64)
    assert softmax(logits).dtype == np.float64
    np.testing.assert_allclose(softmax(logits), scipy.special.softmax(wide, axis=1))
    np.testing.assert_allclose(log_softmax(logits), scipy.special.log_softmax(wide, axis=1))


def test_ece_golden_vector_with_a_confidence_on_an_edge():
    # (lo, hi] bins: .34 | .55 .6 | .95 1 .95 -> (|1-.34| + |1-.55-.6| + |2-.95-1-.95|) / 6
    probs, labels = rows_with([0.34, 0.55, 0.95, 1, 0.95, 0.6], [1, 0, 1, 1, 0, 1])
    expected = (0.66 + 0.15 + 0.90) / 6
    assert expected == pytest.approx(0.285)
    assert expected_calibration_error(probs, labels) == pytest.approx(expected, abs=1e-12)


def test_ece_of_one_bin_is_the_gap_of_the_means():
    probs, labels = rows_with([0.5, 0.7, 0.9], [1, 0, 0])
    assert expected_calibration_error(probs, labels, num_bins=1) == pytest.approx(0.7 - 1 / 3)


@pytest.mark.parametrize("num_bins", [5, 15])
@pytest.mark.parametrize("scale", [0.5, 3.0])
def test_ece_agrees_with_torchmetrics_where_no_confidence_is_on_an_edge(scale, num_bins):
    logits, labels = random_rows(0, scale=scale)
    probs = softmax(logits)
    theirs = multiclass_calibration_error(
        torch.from_numpy(probs), torch.from_numpy(labels), num_classes=6, n_bins=num_bins
    )
    ours = expected_calibration_error(probs, labels, num_bins)
    assert ours == pytest.approx(theirs.item(), abs=1e-6)


def test_confidence_of_exactly_one_shares_the_last_bin():
    # One bin: the gaps cancel, |(1 - .95) + (0 - 1) + (1 - .95)| / 3. Two bins: 1.1 / 3.
    saturated = torch.softmax(torch.tensor([[0.0, 200.0, 0.0]]), dim=1).numpy()
    assert saturated.dtype == np.float32
    assert saturated.max() == 1.0
    probs = np.concatenate([saturated, [[0.025, 0.95, 0.025]] * 2])
    error = expected_calibration_error(probs, [0, 1, 1])
    assert error == pytest.approx(abs(0.05 - 1 + 0.05) / 3, abs=1e-7)


def test_float32_confidence_a_rounding_above_one_is_not_lost():
    probs = np.array([[np.nextafter(np.float32(1), np.float32(2)), 0.0]], dtype=np.float32)
    assert expected_calibration_error(probs, [1]) == 1.0


def test_adaptive_bins_hold_equally_many_rows():
    # sorted .4 .5 | .6 .7 | .9 with right = 0 1 | 1 1 | 0
    probs, labels = rows_with([0.9, 0.5, 0.7, 0.4, 0.6], [0, 1, 1, 0, 1])
    expected = (abs(1 - 0.9) + abs(2 - 1.3) + abs(0 - 0.9)) / 5
    error = adaptive_calibration_error(probs, labels, num_bins=3)
    assert error == pytest.approx(expected)


def test_adaptive_peer_form_drops_the_lowest_confidence():
    # edges at ranks 0, 2.5, 5 of .4 .5 .6 .7 .9: .4, .65, .9 -> .4 in no bin | .5 .6 | .7 .9
    probs, labels = rows_with([0.9, 0.5, 0.7, 0.4, 0.6], [0, 1, 1, 0, 1])
    expected = (abs(2 - 1.1) + abs(1 - 1.6)) / 5
    error = adaptive_calibration_error(probs, labels, num_bins=2, peer=True)
    assert error == pytest.approx(expected)


def test_adaptive_peer_form_keeps_equal_confidences_together():
    # edges at ranks 0, 2, 4 of .4 .6 .6 .6: .4, .6, .6 -> the three .6 share (.4, .6]
    probs, labels = rows_with([0.4, 0.6, 0.6, 0.6], [1, 1, 0, 0])
    error = adaptive_calibration_error(probs, labels, num_bins=2, peer=True)
    assert error == pytest.approx(abs(1 - 1.8) / 4)


def test_adaptive_error_with_fewer_rows_than_bins_gives_each_row_a_bin():
    probs, labels = rows_with([0.6, 0.8], [1, 0])
    assert adaptive_calibration_error(probs, labels) == pytest.approx((0.4 + 0.8) / 2)


def test_classwise_error_counts_every_class_and_every_row():
    # one bin: class 0 mean p .6 against 1/2, class 1 mean p .3 against 1/2, class 2 .1 against 0
    probs = [[0.7, 0.2, 0.1], [0.5, 0.4, 0.1]]
    error = classwise_calibration_error(probs, [0, 1], num_bins=1)
    assert error == pytest.approx((0.1 + 0.2 + 0.1) / 3)


def test_classwise_error_agrees_with_torchmetrics_one_class_at_a_time():
    logits, labels = random_rows(1)
    probs = softmax(logits)
    theirs = [
        binary_calibration_error(
            torch.from_numpy(probs[:, k].copy()), torch.from_numpy((labels == k).astype(int))
        ).item()
        for k in range(6)
    ]
    ours = classwise_calibration_error(probs, labels, num_bins=15)
    assert ours == pytest.approx(np.mean(theirs), abs=1e-6)


def test_probability_of_exactly_zero_is_in_no_classwise_bin():
    # class 0: p 1, wrong -> gap 1; class 1: p 0, yet the label -> no bin, no gap
    assert classwise_calibration_error([[1.0, 0.0]], [1]) == pytest.approx((1 + 0) / 2)


def test_nll_golden_vector():
    assert negative_log_likelihood(GOLDEN_LOGITS, GOLDEN_LABELS) == pytest.approx(
        1.591816, abs=1e-6
    )


def test_nll_is_in_nats():
    assert negative_log_likelihood([[0.0, 0.0]], [0]) == pytest.approx(math.log(2))


def test_nll_of_a_saturated_wrong_answer_is_finite_and_exact():
    logits = np.array([[0.0, 1000.0]], dtype=np.float32)
    assert negative_log_likelihood(logits, [0]) == pytest.approx(1000.0)


def test_nll_and_brier_agree_with_scikit_learn():
    logits, labels = random_rows(2)
    probs = softmax(logits)
    assert negative_log_likelihood(logits, labels) == pytest.approx(log_loss(labels, probs))
    expected = 6 * mean_squared_error(np.eye(6)[labels], probs)
    assert brier_score(probs, labels) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("probs", "expected"),
    [
        ([1.0, 0.0, 0.0], 0.0),
        ([0.0, 1.0, 0.0], 2.0),
        ([0.5, 0.3, 0.2], 0.25 + 0.09 + 0.04),
    ],
)
def test_brier_score_is_the_sum_over_classes_not_their_mean(probs, expected):
    assert brier_score([probs], [0]) == pytest.approx(expected)


def test_brier_score_leaves_its_input_as_it_was():
    probs = np.array([[0.5, 0.5]])
    brier_score(probs, [0])
    np.testing.assert_array_equal(probs, [[0.5, 0.5]])


@given(st.integers(0, 2**32 - 1), st.floats(0, 50), st.integers(1, 30))
def test_scores_stay_in_their_range(seed, scale, num_bins):
    logits, labels = random_rows(seed, num_rows=30, num_classes=4, scale=scale)
    probs = softmax(logits)
    for error in CALIBRATION_ERRORS:
        assert 0 <= error(probs, labels, num_bins) <= 1 + 1e-12
    assert 0 <= adaptive_calibration_error(probs, labels, num_bins, peer=True) <= 1 + 1e-12
    assert 0 <= brier_score(probs, labels) <= 2 + 1e-12
    assert negative_log_likelihood(logits, labels) >= 0


@given(st.integers(0, 2**32 - 1))
def test_order_of_rows_does_not_matter(seed):
    logits, labels = random_rows(seed, num_rows=60, num_classes=4)
    order = np.random.default_rng(seed).permutation(len(labels))
    probs = softmax(logits)
    for score in (*CALIBRATION_ERRORS, brier_score):
        assert score(probs[order], labels[order]) == pytest.approx(score(probs, labels))
    shuffled = negative_log_likelihood(logits[order], labels[order])
    assert shuffled == pytest.approx(negative_log_likelihood(logits, labels))


@given(st.integers(0, 2**32 - 1))
def test_names_of_the_classes_do_not_matter(seed):
    logits, labels = random_rows(seed, num_rows=60, num_classes=4)
    renamed = np.random.default_rng(seed).permutation(4)
    probs = softmax(logits)
    moved = np.empty_like(probs)
    moved[:, renamed] = probs
    for score in (*CALIBRATION_ERRORS, brier_score):
        assert score(moved, renamed[labels]) == pytest.approx(score(probs, labels))


def test_labels_drawn_from_the_probabilities_are_nearly_calibrated():
    rng = np.random.default_rng(0)
    probs = softmax(rng.normal(size=(20_000, 3)))
    labels = (probs.cumsum(axis=1) < rng.random((20_000, 1))).sum(axis=1)
    for error in CALIBRATION_ERRORS:
        assert error(probs, labels) < 0.02


@pytest.mark.parametrize("error", [*CALIBRATION_ERRORS, brier_score])
@pytest.mark.parametrize(
    ("probs", "labels", "message"),
    [
        ([[2.0, -1.0]], [0], "must not be negative; got -1"),
        ([[0.5, 0.5], [0.5, 0.6]], [0, 0], "must sum to one in each row; row 1 sums to 1.1"),
        ([0.5, 0.5], [0, 0], r"probs must have shape \[N, C\]; got \(2,\)"),
        (np.empty((0, 3)), np.empty(0, dtype=int), "must not be empty"),
        ([[np.inf, 0.0]], [0], "must be finite"),
        ([[0.5, 0.5]], [2], r"labels must lie in 0\.\.1; got 2"),
    ],
)
def test_bad_probabilities_are_refused_with_what_is_wrong(error, probs, labels, message):
    with pytest.raises(UsageError, match=message):
        error(probs, labels)


@pytest.mark.parametrize("error", CALIBRATION_ERRORS)
def test_zero_bins_are_refused(error):
    with pytest.raises(UsageError, match="num_bins must be at least 1; got 0"):
        error([[0.5, 0.5]], [0], num_bins=0)


def test_half_precision_probabilities_are_within_tolerance():
    probs = softmax(random_rows(3, num_classes=100)[0]).astype(np.float16)
    assert 0 <= expected_calibration_error(probs, np.zeros(500, dtype=int)) <= 1


def test_nll_refuses_labels_outside_the_classes():
    with pytest.raises(UsageError, match=r"labels must lie in 0\.\.2; got 3"):
        negative_log_likelihood(GOLDEN_LOGITS, [0, 1, 2, 3])
