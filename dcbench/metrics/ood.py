"""How well a network tells images of its own distribution (ID) from others (OOD)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from dcbench.metrics._checks import FloatArray, IntArray, as_floats
from dcbench.metrics.calibration import log_softmax

_RECALL = 0.95


def ood_scores(logits: npt.ArrayLike) -> dict[str, FloatArray]:
    """Four scores of each image, all larger for images that look more in-distribution.

    Parameters
    ----------
    logits : array [N, C]
        Scores before softmax.

    Returns
    -------
    dict of float64 arrays [N]
        `msp`, the largest softmax probability (Hendrycks and Gimpel, 2017); `max_logit`
        (Hendrycks et al., 2022); `entropy`, the negative entropy sum p log p in nats; `energy`,
        log sum exp of the logits, the negative free energy at temperature 1 (Liu et al., 2020).

    Raises
    ------
    UsageError
        For a wrong shape, or empty or non-finite logits.
    """
    log_probs = log_softmax(logits)
    max_logit = np.asarray(logits, dtype=np.float64).max(axis=1)
    max_log_prob = log_probs.max(axis=1)
    return {
        "msp": np.exp(max_log_prob),
        "max_logit": max_logit,
        "entropy": (np.exp(log_probs) * log_probs).sum(axis=1),
        "energy": max_logit - max_log_prob,
    }


def ood_detection(id_scores: npt.ArrayLike, ood_scores: npt.ArrayLike) -> dict[str, float]:
    """How well one score separates ID from OOD images.

    Parameters
    ----------
    id_scores : array [N]
        Scores of ID images; larger means more in-distribution.
    ood_scores : array [M]
        The same score of OOD images.

    Returns
    -------
    dict
        Fractions in [0, 1]. `auroc`: area under the ROC curve, 0.5 by chance. `aupr_in` and
        `aupr_out`: area under the precision-recall curve with ID, or OOD, images as the
        positives, by trapezoids. `fpr95_ood_pos`: share of the ID images rejected at the first
        threshold that catches 95% of the OOD images. `fpr95_id_pos`: share of the OOD images
        accepted at the first threshold that accepts 95% of the ID images.

    Raises
    ------
    UsageError
        For scores that are not one-dimensional, are empty or are not finite.

    Notes
    -----
    The definitions of OpenOOD v1.5 (Zhang et al., 2023), whose FPR@95 is `fpr95_ood_pos`; most
    papers before it report `fpr95_id_pos`. OpenOOD leaves out thresholds on straight parts of
    the ROC curve, all of them are used here; FPR@95 can differ only where many scores are equal.

    Every distinct score s is a threshold, and one sort counts for each the n ID and m OOD images
    that score at least s, of N and M. ID images are accepted there at recall n / N, precision
    n / (n + m) and false positive rate m / M; OOD images are rejected below it, where M - m and
    N - n stand for n and m. Equal scores are never separated.
    """
    accepted_id, accepted_ood = _accepted(
        as_floats("id_scores", id_scores, "N"), as_floats("ood_scores", ood_scores, "M")
    )
    rejected_id, rejected_ood = (
        counts[-1] - counts[::-1] for counts in (accepted_id, accepted_ood)
    )
    return {
        "auroc": _area(_shares(accepted_ood), _shares(accepted_id)),
        "aupr_in": _aupr(accepted_id, accepted_ood),
        "aupr_out": _aupr(rejected_ood, rejected_id),
        "fpr95_ood_pos": _fpr_at_recall(rejected_ood, rejected_id),
        "fpr95_id_pos": _fpr_at_recall(accepted_id, accepted_ood),
    }


def _accepted(inside: FloatArray, outside: FloatArray) -> tuple[IntArray, IntArray]:
    """Numbers of ID and OOD scores that reach each distinct score, from none to all: [K + 1]."""
    scores = np.concatenate([inside, outside])
    descending = scores.argsort()[::-1]
    ordered = scores[descending]
    last_of_equals = np.append(ordered[1:] != ordered[:-1], True)
    is_id = descending < len(inside)
    return (
        np.append(0, is_id.cumsum()[last_of_equals]),
        np.append(0, (~is_id).cumsum()[last_of_equals]),
    )


def _shares(counts: IntArray) -> FloatArray:
    """Counts as shares of the last one, which is that of all."""
    shares: FloatArray = counts / counts[-1]
    return shares


def _area(x: FloatArray, y: FloatArray) -> float:
    """Area under the straight lines from point to point."""
    return float((np.diff(x) * (y[1:] + y[:-1])).sum() / 2)


def _aupr(hits: IntArray, false_alarms: IntArray) -> float:
    """Area under the precision-recall curve, which starts at precision 1 and recall 0."""
    precision = hits[1:] / (hits[1:] + false_alarms[1:])
    return _area(_shares(hits), np.append(1.0, precision))


def _fpr_at_recall(hits: IntArray, false_alarms: IntArray) -> float:
    """False positive rate at the first threshold whose recall is at least 95%."""
    first = (_shares(hits) >= _RECALL).argmax()
    return float(_shares(false_alarms)[first])
