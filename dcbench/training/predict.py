"""Network and images to predictions; predictions to metrics.

Metrics follow from the stored predictions alone, so that anyone can compute them again without the
images or a GPU.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from dcbench.data.load import SplitImages
from dcbench.errors import RunError
from dcbench.metrics.measure import Predictions
from dcbench.training.augment import normalize

CPU_BATCH, GPU_BATCH = 100, 1000
"""Images of a batch, on a CPU at most."""

_THREAD_PIXELS = 20 * 32 * 32
"""Pixels of a batch on a CPU for each thread."""


def predict(
    network: nn.Module,
    images: NDArray[np.uint8],
    mean: NDArray[np.float32],
    std: NDArray[np.float32],
    device: torch.device,
    advance: Callable[[int], None] = lambda images: None,
    *,
    logits_of: Callable[[nn.Module, Tensor], Tensor] = lambda network, images: network(images),
) -> NDArray[np.float32]:
    """Logits [N, classes] of images [N, H, W, 3], in evaluation mode.

    Parameters
    ----------
    advance
        Told the number of images of each batch that is done.
    logits_of
        How the network predicts: a method's `logits`.
    """
    network.eval()  # batch statistics of training, or predictions would depend on the batches
    size = batch_size(images.shape[1] * images.shape[2], device)
    logits = []
    with torch.inference_mode():
        for batch in normalized_batches(images, mean, std, device, size):
            logits.append(logits_of(network, batch).float().cpu().numpy())
            advance(len(batch))
    return np.concatenate(logits)


def normalized_batches(
    images: NDArray[np.uint8],
    mean: NDArray[np.float32],
    std: NDArray[np.float32],
    device: torch.device,
    size: int,
    order: NDArray[np.int64] | None = None,
) -> Iterator[Tensor]:
    """Images [N, H, W, 3] as float32 [size, 3, H, W] on the device, in their order or another."""
    center, scale = torch.from_numpy(mean).to(device), torch.from_numpy(std).to(device)
    for first in range(0, len(images), size):
        rows = slice(first, first + size)
        # A copy: memory maps cannot be written, of which `from_numpy` warns.
        pixels = torch.tensor(images[rows if order is None else order[rows]]).to(device)
        yield normalize(pixels, center, scale).permute(0, 3, 1, 2)


def batch_size(pixels: int, device: torch.device) -> int:
    """How many images of `pixels` pixels each are predicted at once.

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
