"""Metrics at the optimal temperature: calibration with what one number can mend taken out."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt

from dcbench.draws import stream
from dcbench.metrics._checks import FloatArray, IntArray, as_labels, as_logits
from dcbench.metrics.calibration import (
    brier_score,
    expected_calibration_error,
    negative_log_likelihood,
    softmax,
)

LOWEST, HIGHEST = 0.01, 100.0
"""Bounds of a fitted temperature; predictions that are all correct have the lowest."""

NUM_SPLITS = 5

_MOST_STEPS, _LAST_STEP = 100, 1e-9


def fit_temperature(logits: npt.ArrayLike, labels: npt.ArrayLike) -> float:
    """The temperature T at which softmax(logits / T) has the lowest negative log-likelihood.

    Parameters
    ----------
    logits : array [N, C]
        Scores before softmax.
    labels : integer array [N]
        Classes in 0..C-1.

    Returns
    -------
    float
        From 0.01 to 100; a bound, where the likelihood still grows beyond it, and 1 for logits
        that are equal in every row, which no temperature changes.

    Raises
    ------
    UsageError
        As `negative_log_likelihood`.

    Notes
    -----
    Guo et al. (2017), "On Calibration of Modern Neural Networks". The likelihood is concave in
    1 / T, so its slope is zero once; the zero of a slope, unlike the position of a minimum, is
    found to the last digits, and so is the same on every processor.
    """
    scores = as_logits(logits)
    classes = as_labels(labels, scores)
    return _fit(scores, classes, 1.0)


def _fit(scores: FloatArray, classes: IntArray, near: float) -> float:
    """`fit_temperature`, faster where the temperature is `near`."""
    # Softmax ignores what a row has in common; without it nothing overflows at small T.
    scores = scores - scores.max(axis=1, keepdims=True)
    if not scores.any():
        return 1.0
    own = float(scores[np.arange(len(classes)), classes].mean())
    weights = np.empty_like(scores)

    def slope(log_temperature: float) -> tuple[float, float]:
        """Of the mean NLL by 1 / T, the expected logit minus the label's, which falls with T.

        The second value is by how much: its derivative, the variance of the logit over T.
        """
        inverse = math.exp(-log_temperature)
        np.multiply(scores, inverse, out=weights)
        np.exp(weights, out=weights)
        total = weights.sum(axis=1)
        expected = np.einsum("nc,nc->n", weights, scores) / total
        squares = np.einsum("nc,nc,nc->n", weights, scores, scores) / total
        variance = float((squares - expected**2).mean())
        return float(expected.mean()) - own, -inverse * variance

    low, high = math.log(LOWEST), math.log(HIGHEST)
    if slope(low)[0] <= 0:
        return LOWEST
    if slope(high)[0] >= 0:
        return HIGHEST
    return math.exp(_zero_of_falling(slope, low, high, math.log(near)))


def _zero_of_falling(
    slope: Callable[[float], tuple[float, float]], low: float, high: float, at: float
) -> float:
    """Where a falling function is zero, by Newton's steps; bisection where one leads outside.

    SciPy's solvers find the same zero; to import them takes longer than all fits of a run.
    """
    for _ in range(_MOST_STEPS):
        value, derivative = slope(at)
        low, high = (at, high) if value > 0 else (low, at)
        ahead = at - value / derivative if derivative else math.inf
        # Steps shrink quadratically: after one of 1e-9, the last digits are right.
        if abs(ahead - at) < _LAST_STEP:
            return ahead
        at = ahead if low < ahead < high else (low + high) / 2
    return at


def temperature_scaling(logits: npt.ArrayLike, labels: npt.ArrayLike) -> dict[str, float | None]:
    """NLL, Brier score and ECE after temperature scaling, without held-out data.

    The temperature is fitted on one half of the rows by their likelihood, the metrics are taken on
    the other half, both ways, and averaged over five splits in halves. The splits are
    class-stratified and fixed: they depend on the labels alone.

    Parameters
    ----------
    logits : array [N, C]
        Scores of the test images, before softmax.
    labels : integer array [N]
        Classes in 0..C-1.

    Returns
    -------
    dict
        `temperature`, the mean of the ten fitted ones, above 1 for a network that is
        overconfident; `nll_ts` in nats, `brier_ts` in [0, 2], `ece15_ts` in [0, 1]. All are None
        for a single row, which has no halves.

    Raises
    ------
    UsageError
        As `negative_log_likelihood`.

    Notes
    -----
    "Test-time cross-validation" of Ashukha et al. (2020), "Pitfalls of In-Domain Uncertainty
    Estimation and Ensembling in Deep Learning", who draw the halves anew each time and do not
    stratify them.
    """
    scores = as_logits(logits)
    classes = as_labels(labels, scores)
    if len(classes) < 2:
        return dict.fromkeys(("temperature", "nll_ts", "brier_ts", "ece15_ts"))
    found, temperature = [], 1.0
    for fitted_on, taken_on in _halves(classes):
        temperature = _fit(scores[fitted_on], classes[fitted_on], near=temperature)
        scaled, truth = scores[taken_on] / temperature, classes[taken_on]
        probs = softmax(scaled)
        found.append(
            {
                "temperature": temperature,
                "nll_ts": negative_log_likelihood(scaled, truth),
                "brier_ts": brier_score(probs, truth),
                "ece15_ts": expected_calibration_error(probs, truth),
            }
        )
    return {key: math.fsum(each[key] for each in found) / len(found) for key in found[0]}


def _halves(labels: IntArray) -> Iterator[tuple[IntArray, IntArray]]:
    """The rows of one half and of the other, each pair in both orders.

    A class's rows, and all rows, differ by one at most between the halves.
    """
    for number in range(NUM_SPLITS):
        shuffled = stream(0, "temperature", number).permutation(len(labels))
        # Every second row of the shuffled rows in the order of their classes.
        by_class = shuffled[np.argsort(labels[shuffled], kind="stable")]
        one, other = by_class[::2], by_class[1::2]
        yield one, other
        yield other, one
