"""Metrics at the optimal temperature: calibration with what one number can mend taken out."""

from __future__ import annotations

import math
from collections.abc import Iterator

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
    # Whoever only reads tables or needs accuracies does not wait for SciPy.
    from scipy.optimize import brentq

    # Softmax ignores what a row has in common; without it nothing overflows at small T.
    scores = scores - scores.max(axis=1, keepdims=True)
    if not scores.any():
        return 1.0
    own = float(scores[np.arange(len(classes)), classes].mean())
    weights = np.empty_like(scores)

    def slope(log_temperature: float) -> float:
        """Of the mean NLL by 1 / T: the expected logit minus that of the label; falls with T."""
        np.multiply(scores, math.exp(-log_temperature), out=weights)
        np.exp(weights, out=weights)
        expected = np.einsum("nc,nc->n", weights, scores) / weights.sum(axis=1)
        return float(expected.mean()) - own

    bounds = math.log(LOWEST), math.log(HIGHEST)
    for span in (math.log(1.1), math.inf):
        low = max(math.log(near) - span, bounds[0])
        high = min(math.log(near) + span, bounds[1])
        at_low, at_high = slope(low), slope(high)
        if at_low > 0 > at_high:
            return math.exp(brentq(slope, low, high, xtol=1e-12, rtol=1e-14))
    return LOWEST if at_low <= 0 else HIGHEST


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
