"""How far a network's probabilities can be believed: calibration errors and proper scores."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from dcbench.metrics._checks import (
    FloatArray,
    IntArray,
    as_labels,
    as_logits,
    as_probs,
    check_num_bins,
)


def log_softmax(logits: npt.ArrayLike) -> FloatArray:
    """Natural logarithm of the softmax of each row, in float64.

    Parameters
    ----------
    logits : array [N, C]
        Scores of any float type.

    Returns
    -------
    float64 array [N, C]
        Values of at most 0.

    Raises
    ------
    UsageError
        For a wrong shape, or empty or non-finite logits.
    """
    scores = as_logits(logits)
    shifted: FloatArray = scores - scores.max(axis=1, keepdims=True)
    log_total: FloatArray = np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return shifted - log_total


def softmax(logits: npt.ArrayLike) -> FloatArray:
    """Softmax of each row, in float64: what the calibration errors should be given.

    Parameters
    ----------
    logits : array [N, C]
        Scores of any float type.

    Returns
    -------
    float64 array [N, C]
        Probabilities; each row sums to one.

    Raises
    ------
    UsageError
        As `log_softmax`.
    """
    return np.exp(log_softmax(logits))


def expected_calibration_error(
    probs: npt.ArrayLike, labels: npt.ArrayLike, num_bins: int = 15
) -> float:
    """Mean gap between confidence and accuracy over bins: the expected calibration error (ECE).

    ``sum_b n_b / N * |accuracy_b - confidence_b|``, the confidence being a row's largest
    probability, with bins of equal width (lo, hi] and edges in float64.

    Parameters
    ----------
    probs : array [N, C]
        Probabilities, best in float64 (`softmax`): a float32 value next to an edge may fall in
        the neighbouring bin.
    labels : integer array [N]
        Classes in 0..C-1.
    num_bins : int
        Bins over [0, 1].

    Returns
    -------
    float
        In [0, 1]; a fraction, not percent.

    Raises
    ------
    UsageError
        For wrong shapes, empty arrays, labels outside 0..C-1, rows that do not sum to one, or
        `num_bins` that is no whole number of at least 1.

    Notes
    -----
    Guo et al. (2017), "On Calibration of Modern Neural Networks", and the official code of
    RegMixup, focal calibration and MiSLAS. torchmetrics has bins [lo, hi) and a bin of their own
    for confidences of exactly 1; OpenOOD bins the largest logit. Neither is followed.
    """
    return confidence_calibration_error(*_confidence(probs, labels, num_bins), num_bins)


def confidence_calibration_error(
    confidence: npt.ArrayLike, correct: npt.ArrayLike, num_bins: int = 15
) -> float:
    """`expected_calibration_error` of rows of which no more is known.

    Parameters
    ----------
    confidence : array [N]
        The largest probability of each row.
    correct : array [N]
        Whether the row is correctly classified.
    """
    largest, hits = (np.asarray(each, dtype=np.float64) for each in (confidence, correct))
    edges = np.linspace(0.0, 1.0, num_bins + 1)
    return _mean_gap(hits - largest, _bins(largest, edges), num_bins)


class CalibrationBins(NamedTuple):
    """The bins of `expected_calibration_error`, as sums, so that those of several runs add up.

    Attributes
    ----------
    rows, confidence, correct : float64 [num_bins]
        Numbers of rows, sums of their confidences, and numbers of correctly classified rows.
    """

    rows: FloatArray
    confidence: FloatArray
    correct: FloatArray


def calibration_bins(
    probs: npt.ArrayLike, labels: npt.ArrayLike, num_bins: int = 15
) -> CalibrationBins:
    """What a reliability diagram shows; parameters and errors as `expected_calibration_error`."""
    confidence, correct = _confidence(probs, labels, num_bins)
    bins = _bins(confidence, np.linspace(0.0, 1.0, num_bins + 1))

    def summed(values: FloatArray) -> FloatArray:
        return np.bincount(bins, weights=values, minlength=num_bins).astype(np.float64)

    return CalibrationBins(summed(np.ones_like(confidence)), summed(confidence), summed(correct))


def adaptive_calibration_error(
    probs: npt.ArrayLike, labels: npt.ArrayLike, num_bins: int = 15, *, peer: bool = False
) -> float:
    """ECE over bins that hold equally many rows each.

    Parameters
    ----------
    probs : array [N, C]
        Probabilities.
    labels : integer array [N]
        Classes in 0..C-1.
    num_bins : int
        Bins; with fewer rows than bins some stay empty.
    peer : bool
        False: the rows, stably sorted by confidence, are cut into `num_bins` chunks whose sizes
        differ by one at most. Rows of equal confidence may then fall in two chunks, by their
        order in the arrays.
        True: as the official code of RegMixup and focal calibration, bins (lo, hi] between edges
        interpolated on the sorted confidences. The lowest confidence falls in no bin, and equal
        confidences share one.

    Returns
    -------
    float
        In [0, 1]; a fraction, not percent.

    Raises
    ------
    UsageError
        As `expected_calibration_error`.

    Notes
    -----
    Nguyen and O'Connor (2015) and Mukhoti et al. (2020), "Calibrating Deep Neural Networks using
    Focal Loss". The official code of both peers works in float32, this in float64.
    """
    confidence, correct = _confidence(probs, labels, num_bins)
    order = confidence.argsort(kind="stable")
    num_rows = len(order)
    if peer:
        cuts = np.linspace(0, num_rows, num_bins + 1)
        bins = _bins(confidence, np.interp(cuts, np.arange(num_rows), confidence[order]))
    else:
        bins = np.empty(num_rows, dtype=np.int64)
        for index, chunk in enumerate(np.array_split(order, num_bins)):
            bins[chunk] = index
    return _mean_gap(correct - confidence, bins, num_bins)


def classwise_calibration_error(
    probs: npt.ArrayLike, labels: npt.ArrayLike, num_bins: int = 15
) -> float:
    """Mean over classes of the calibration error of that class's probability on all rows.

    For class k the rows are binned by p_k with bins (lo, hi]; a bin's gap is that between its
    mean p_k and its share of rows labeled k. A p_k of exactly 0 is in no bin and adds nothing.

    Parameters
    ----------
    probs : array [N, C]
        Probabilities.
    labels : integer array [N]
        Classes in 0..C-1.
    num_bins : int
        Bins over [0, 1].

    Returns
    -------
    float
        In [0, 1]; a fraction, not percent.

    Raises
    ------
    UsageError
        As `expected_calibration_error`.

    Notes
    -----
    Kumar et al. (2019), "Verified Uncertainty Calibration", in the form of `ClasswiseECELoss` of
    the focal calibration code; that takes the largest label + 1 for the number of classes, this
    the width of `probs`.
    """
    check_num_bins(num_bins)
    columns = as_probs(probs)
    classes = as_labels(labels, columns)
    edges = np.linspace(0.0, 1.0, num_bins + 1)
    gaps = [
        _mean_gap((classes == k) - column, _bins(column, edges), num_bins)
        for k, column in enumerate(columns.T)
    ]
    return float(np.mean(gaps))


def negative_log_likelihood(logits: npt.ArrayLike, labels: npt.ArrayLike) -> float:
    """Mean of -log p of the label, in nats, from logits by `log_softmax` in float64.

    Parameters
    ----------
    logits : array [N, C]
        Scores before softmax; from probabilities, pass their logarithm.
    labels : integer array [N]
        Classes in 0..C-1.

    Returns
    -------
    float
        At least 0.

    Raises
    ------
    UsageError
        For wrong shapes, empty or non-finite logits, or labels outside 0..C-1.
    """
    log_probs = log_softmax(logits)
    classes = as_labels(labels, log_probs)
    return float(-log_probs[np.arange(len(classes)), classes].mean())


def brier_score(probs: npt.ArrayLike, labels: npt.ArrayLike) -> float:
    """Mean over rows of ``sum_k (p_k - [k = label])^2`` (Brier, 1950).

    The sum over classes is not divided by C, as some libraries do.

    Parameters
    ----------
    probs : array [N, C]
        Probabilities.
    labels : integer array [N]
        Classes in 0..C-1.

    Returns
    -------
    float
        In [0, 2].

    Raises
    ------
    UsageError
        For wrong shapes, empty arrays, labels outside 0..C-1, or rows that do not sum to one.
    """
    errors = as_probs(probs).copy()
    classes = as_labels(labels, errors)
    errors[np.arange(len(classes)), classes] -= 1.0
    return float(np.square(errors).sum(axis=1).mean())


def _confidence(
    probs: npt.ArrayLike, labels: npt.ArrayLike, num_bins: int
) -> tuple[FloatArray, FloatArray]:
    """Largest probability of each row [N], and 1 where its class is the label, else 0 [N]."""
    check_num_bins(num_bins)
    rows = as_probs(probs)
    correct = rows.argmax(axis=1) == as_labels(labels, rows)
    return rows.max(axis=1), correct.astype(np.float64)


def _bins(values: FloatArray, edges: FloatArray) -> IntArray:
    """Index of the bin (lo, hi] of each value; -1 for one at or below the first edge."""
    return np.searchsorted(edges, values, side="left").astype(np.int64) - 1


def _mean_gap(gaps: FloatArray, bins: IntArray, num_bins: int) -> float:
    """``sum_b n_b / N * |mean of the gaps in bin b|``; rows in bin -1 count in N alone."""
    binned = bins >= 0
    sums = np.bincount(bins[binned], weights=gaps[binned], minlength=num_bins)
    return float(np.abs(sums).sum() / len(gaps))
