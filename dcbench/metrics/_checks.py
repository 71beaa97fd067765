"""What every metric asks of its arrays; the one place where bad ones are refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from dcbench.errors import UsageError

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

# Half-precision softmax rows miss one by this much at most.
_SUM_TOLERANCE = 1e-3


_LARGEST = 1e150
"""Of logits; differences of larger ones, divided by a temperature, may leave float64."""


def as_floats(name: str, values: npt.ArrayLike, *axes: str) -> FloatArray:
    """`values` as finite float64 numbers, none of whose named `axes` is empty."""
    array = _as_array(name, values)
    if array.dtype.kind not in "fiu":
        raise UsageError(f"{name} must be an array of numbers; got {array.dtype}")
    array = array.astype(np.float64, copy=False)
    if array.ndim != len(axes):
        raise UsageError(f"{name} must have shape [{', '.join(axes)}]; got {array.shape}")
    if array.size == 0:
        raise UsageError(f"{name} must not be empty; got shape {array.shape}")
    if not np.isfinite(array).all():
        raise UsageError(f"{name} must be finite; {np.sum(~np.isfinite(array))} values are not")
    return array


def as_logits(logits: npt.ArrayLike) -> FloatArray:
    """`logits` as float64 [N, C] whose differences are numbers too."""
    array = as_floats("logits", logits, "N", "C")
    largest = np.abs(array).max()
    if largest > _LARGEST:
        raise UsageError(f"logits must not exceed {_LARGEST:g}; got {largest:g}")
    return array


def _as_array(name: str, values: npt.ArrayLike) -> npt.NDArray[Any]:
    """`values` as NumPy makes them, or a `UsageError` with its objection."""
    try:
        return np.asarray(values)
    # Ragged lists are a ValueError, a CUDA tensor a TypeError, one with a gradient a RuntimeError.
    except (TypeError, ValueError, RuntimeError) as error:
        raise UsageError(f"{name} must be an array of numbers: {error}") from None


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
    array = _as_array("labels", labels)
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
    array = _as_array("class_counts", class_counts)
    if array.shape != (num_classes,):
        raise UsageError(f"class_counts must have shape ({num_classes},); got {array.shape}")
    if array.dtype.kind not in "iu":
        raise UsageError(f"class_counts must be integers; got {array.dtype}")
    if (array < 0).any():
        raise UsageError(f"class_counts must not be negative; got {array.min()}")
    return array.astype(np.int64)


def check_num_bins(num_bins: int) -> None:
    """Refuse anything but a whole number of at least one bin."""
    if isinstance(num_bins, bool) or not isinstance(num_bins, (int, np.integer)):
        raise UsageError(f"num_bins must be a whole number; got {num_bins!r}")
    if num_bins < 1:
        raise UsageError(f"num_bins must be at least 1; got {num_bins}")
