"""What every metric asks of its arrays; the one place where bad ones are refused."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from dcbench.errors import UsageError

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

# Half-precision softmax rows miss one by this much at most.
_SUM_TOLERANCE = 1e-3


def as_floats(name: str, values: npt.ArrayLike, *axes: str) -> FloatArray:
    """`values` as finite float64 numbers, none of whose named `axes` is empty."""
    try:
        array = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise UsageError(f"{name} must be an array of numbers: {error}") from None
    if array.ndim != len(axes):
        raise UsageError(f"{name} must have shape [{', '.join(axes)}]; got {array.shape}")
    if array.size == 0:
        raise UsageError(f"{name} must not be empty; got shape {array.shape}")
    if not np.isfinite(array).all():
        raise UsageError(f"{name} must be finite; {np.sum(~np.isfinite(array))} values are not")
    return array


def as_probs(probs: npt.ArrayLike) -> FloatArray:
    """`probs` as float64 [N, C] in [0, 1], each row summing to one."""
    array = as_floats("probs", probs, "N", "C")
    if array.min() < 0:
        raise UsageError(f"probs must not be negative; got {array.min():g} (are these logits?)")
    sums = array.sum(axis=1)
    worst = int(np.abs(sums - 1).argmax())
    if abs(sums[worst] - 1) > _SUM_TOLERANCE:
        raise UsageError(f"probs must sum to one in each row; row {worst} sums to {sums[worst]:g}")
    return np.minimum(array, 1.0)


def as_labels(labels: npt.ArrayLike, scores: FloatArray) -> IntArray:
    """`labels` as int64 [N] in 0..C-1, for `scores` of shape [N, C]."""
    num_rows, num_classes = scores.shape
    array = np.asarray(labels)
    if array.shape != (num_rows,):
        raise UsageError(f"labels must have shape ({num_rows},), a row each; got {array.shape}")
    if array.dtype.kind not in "iu":
        raise UsageError(f"labels must be integers; got {array.dtype}")
    outside = array[(array < 0) | (array >= num_classes)]
    if outside.size:
        raise UsageError(f"labels must lie in 0..{num_classes - 1}; got {outside[0]}")
    return array.astype(np.int64)


def as_class_counts(class_counts: npt.ArrayLike, num_classes: int) -> IntArray:
    """`class_counts` as int64 [C], none negative."""
    array = np.asarray(class_counts)
    if array.shape != (num_classes,):
        raise UsageError(f"class_counts must have shape ({num_classes},); got {array.shape}")
    if array.dtype.kind not in "iu":
        raise UsageError(f"class_counts must be integers; got {array.dtype}")
    if (array < 0).any():
        raise UsageError(f"class_counts must not be negative; got {array.min()}")
    return array.astype(np.int64)


def check_num_bins(num_bins: int) -> None:
    """Refuse fewer than one bin."""
    if num_bins < 1:
        raise UsageError(f"num_bins must be at least 1; got {num_bins}")
