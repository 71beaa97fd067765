"""How well a network tells images of its own distribution (ID) from others (OOD)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from dcbench.metrics._checks import FloatArray, as_floats
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
    """How well one score parts ID from OOD images.

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
    """
    from sklearn.metrics import auc, precision_recall_curve, roc_auc_score  # takes a second

    inside = as_floats("id_scores", id_scores, "N")
    outside = as_floats("ood_scores", ood_scores, "M")
    scores = np.concatenate([inside, outside])
    is_id = np.arange(len(scores)) < len(inside)

    def aupr(positive: npt.NDArray[np.bool_], values: FloatArray) -> float:
        precision, recall, _ = precision_recall_curve(positive, values)
        return float(auc(recall, precision))

    return {
        "auroc": float(roc_auc_score(is_id, scores)),
        "aupr_in": aupr(is_id, scores),
        "aupr_out": aupr(~is_id, -scores),
        "fpr95_ood_pos": _fpr_at_recall(-outside, -inside),
        "fpr95_id_pos": _fpr_at_recall(inside, outside),
    }


def _fpr_at_recall(positives: FloatArray, negatives: FloatArray) -> float:
    """Share of the negatives at or above the highest threshold that 95% of positives reach."""
    reached = np.arange(1, len(positives) + 1) / len(positives) >= _RECALL
    threshold = np.sort(positives)[::-1][reached.argmax()]
    return float(np.mean(negatives >= threshold))
