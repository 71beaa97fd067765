"""How many test images are correctly classified: over all, per class and per group of classes."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from dcbench.metrics._checks import FloatArray, as_class_counts, as_floats, as_labels

FEW_BELOW = 20
MANY_ABOVE = 100
"""Training images that separate the classes with few, medium and many."""


def accuracy(probs_or_logits: npt.ArrayLike, labels: npt.ArrayLike) -> float:
    """Fraction of rows whose largest score is that of their label.

    Parameters
    ----------
    probs_or_logits : array [N, C]
        Scores; softmax does not change their order. Of equal scores the lowest class wins.
    labels : integer array [N]
        Classes in 0..C-1.

    Returns
    -------
    float
        In [0, 1].

    Raises
    ------
    UsageError
        A `ValueError` too: for wrong shapes or types, empty or non-finite scores, or labels that
        are not whole numbers in 0..C-1.
    """
    scores = as_floats("scores", probs_or_logits, "N", "C")
    return float(np.mean(scores.argmax(axis=1) == as_labels(labels, scores)))


def class_recall(logits: npt.ArrayLike, labels: npt.ArrayLike) -> FloatArray:
    """Fraction of each class's rows that are classified as that class.

    Parameters
    ----------
    logits : array [N, C]
        Scores, or probabilities.
    labels : integer array [N]
        Classes in 0..C-1.

    Returns
    -------
    float64 array [C]
        In [0, 1]; NaN for a class that no label names.

    Raises
    ------
    UsageError
        As `accuracy`.
    """
    scores = as_floats("logits", logits, "N", "C")
    classes = as_labels(labels, scores)
    num_classes = scores.shape[1]
    right = scores.argmax(axis=1) == classes
    rows = np.bincount(classes, minlength=num_classes)
    hits = np.bincount(classes[right], minlength=num_classes)
    recall = np.full(num_classes, np.nan)
    np.divide(hits, rows, out=recall, where=rows > 0)
    return recall


def balanced_accuracy(logits: npt.ArrayLike, labels: npt.ArrayLike) -> float:
    """Mean of the per-class recalls over the classes that the labels name.

    Equal to `accuracy` on a balanced test set. Classes without a test image are left out, where
    the data-efficient benchmark of Brigato et al. (2022) divides by the number of classes.

    Parameters
    ----------
    logits : array [N, C]
        Scores, or probabilities.
    labels : integer array [N]
        Classes in 0..C-1.

    Returns
    -------
    float
        In [0, 1].

    Raises
    ------
    UsageError
        As `accuracy`.
    """
    return float(np.nanmean(class_recall(logits, labels)))


def group_accuracy(
    logits: npt.ArrayLike, labels: npt.ArrayLike, class_counts: npt.ArrayLike
) -> dict[str, float | None]:
    """Mean per-class recall of the classes with many, medium and few training images.

    The groups are those of `shot_acc` in Kang et al. (2020), "Decoupling Representation and
    Classifier": more than 100 training images, 20 to 100 inclusive, fewer than 20. Their code
    gives an empty group 0; here it has no accuracy.

    Parameters
    ----------
    logits : array [N, C]
        Scores of the test images, or probabilities.
    labels : integer array [N]
        Test labels in 0..C-1.
    class_counts : integer array [C]
        Training images of each class.

    Returns
    -------
    dict
        `accuracy_many`, `accuracy_medium` and `accuracy_few`, each in [0, 1]; None for a group
        without a class, or none of whose classes is among the test labels.

    Raises
    ------
    UsageError
        As `accuracy`, and for counts that are not C integers of at least 0.
    """
    recall = class_recall(logits, labels)
    counts = as_class_counts(class_counts, len(recall))
    groups = {
        "accuracy_many": counts > MANY_ABOVE,
        "accuracy_medium": (counts >= FEW_BELOW) & (counts <= MANY_ABOVE),
        "accuracy_few": counts < FEW_BELOW,
    }
    tested = ~np.isnan(recall)
    return {
        name: float(recall[group & tested].mean()) if (group & tested).any() else None
        for name, group in groups.items()
    }
