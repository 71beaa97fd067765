"""Network and images to predictions; predictions to metrics.

Metrics follow from the stored predictions alone, so that anyone can compute them again without the
images or a GPU.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from dcbench import metrics
from dcbench.data.augment import normalise
from dcbench.data.images import SplitImages
from dcbench.errors import RunError

CPU_BATCH, GPU_BATCH = 100, 1000
"""Images of a batch, on a CPU at most."""

_THREAD_PIXELS = 20 * 32 * 32
"""Pixels of a batch on a CPU for each thread."""


@dataclass(frozen=True)
class Predictions:
    """What a trained network says of the test set and of the OOD sets.

    Attributes
    ----------
    logits : float32 [N, classes]
        Of the test images.
    labels : int64 [N]
    class_counts : int64 [classes]
        Number of images of each class that were trained on.
    ood : dict
        Logits float32 [M, classes] of each OOD set.
    """

    logits: NDArray[np.float32]
    labels: NDArray[np.int64]
    class_counts: NDArray[np.int64]
    ood: dict[str, NDArray[np.float32]]


def predict(
    network: nn.Module,
    images: NDArray[np.uint8],
    mean: NDArray[np.float32],
    std: NDArray[np.float32],
    device: torch.device,
    advance: Callable[[int], None] = lambda images: None,
) -> NDArray[np.float32]:
    """Logits [N, classes] of images [N, H, W, 3], in evaluation mode.

    `advance` is told the number of images of each batch that is done.
    """
    network.eval()
    size = batch_size(images.shape[1] * images.shape[2], device)
    centre, scale = torch.from_numpy(mean).to(device), torch.from_numpy(std).to(device)
    logits = []
    with torch.inference_mode():
        for first in range(0, len(images), size):
            pixels = torch.from_numpy(images[first : first + size]).to(device)
            batch = normalise(pixels, centre, scale).permute(0, 3, 1, 2)
            logits.append(network(batch).float().cpu().numpy())
            advance(len(batch))
    return np.concatenate(logits)


def batch_size(pixels: int, device: torch.device) -> int:
    """How many images of so many pixels are predicted at once.

    Few on a CPU: activations that outgrow the caches are slow, and those of a wide network beyond
    32 MB even more so, because glibc maps memory for them afresh each time.
    """
    if device.type == "cuda":
        return GPU_BATCH
    return max(1, min(CPU_BATCH, _THREAD_PIXELS * torch.get_num_threads() // pixels))


def predict_split(
    predict_images: Callable[[NDArray[np.uint8]], NDArray[np.float32]], images: SplitImages
) -> Predictions:
    """Predictions for the test set and every OOD set of a split.

    Raises
    ------
    RunError
        A logit is not finite.
    """
    logits = predict_images(images.test.images)
    ood = {name: predict_images(image_set.images) for name, image_set in images.ood.items()}
    for name, values in {"test set": logits, **ood}.items():
        if not np.isfinite(values).all():
            raise RunError(f"the network gives logits that are not finite on the {name}")
    counts = np.bincount(images.fit.labels, minlength=logits.shape[1])
    return Predictions(logits, images.test.labels, counts, ood)


def measure(
    predictions: Predictions, *, long_tailed: bool, ood_sets: tuple[str, ...]
) -> dict[str, Any]:
    """Every metric of a record, in fractions.

    Parameters
    ----------
    long_tailed
        Report accuracy over classes with many, medium and few training images.
    ood_sets
        All sets of the split; one without predictions is None.
    """
    logits, labels = predictions.logits, predictions.labels
    probs = metrics.softmax(logits)
    groups = metrics.group_accuracy(logits, labels, predictions.class_counts)
    inside = metrics.ood_scores(logits)
    return {
        "accuracy": metrics.accuracy(logits, labels),
        "balanced_accuracy": metrics.balanced_accuracy(logits, labels),
        **(groups if long_tailed else dict.fromkeys(groups)),
        "nll": metrics.negative_log_likelihood(logits, labels),
        "brier": metrics.brier_score(probs, labels),
        "ece15": metrics.expected_calibration_error(probs, labels),
        "adaptive_ece15": metrics.adaptive_calibration_error(probs, labels),
        "classwise_ece15": metrics.classwise_calibration_error(probs, labels),
        "ood": {name: _ood_metrics(inside, predictions.ood.get(name)) for name in ood_sets},
    }


def _ood_metrics(
    inside: dict[str, NDArray[np.float64]], logits: NDArray[np.float32] | None
) -> dict[str, dict[str, float]] | None:
    if logits is None:
        return None
    outside = metrics.ood_scores(logits)
    return {score: metrics.ood_detection(inside[score], outside[score]) for score in inside}


def flatten(metrics: Mapping[str, Any], prefix: str = "") -> dict[str, float | None]:
    """Metrics by dotted name, such as `ood.mnist.msp.auroc`; an OOD set that is missing is None."""
    flat: dict[str, float | None] = {}
    for key, value in metrics.items():
        if isinstance(value, Mapping):
            flat.update(flatten(value, f"{prefix}{key}."))
        else:
            flat[f"{prefix}{key}"] = value
    return flat
