"""What follows the last step of a training: what the method does then, and how it predicts."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from dcbench.draws import stream
from dcbench.methods.failures import named
from dcbench.training.generators import draws_noted
from dcbench.training.precision import arithmetic
from dcbench.training.predict import normalized_batches, predict
from dcbench.training.trainer import Trainer


def finish_training(
    trainer: Trainer,
    images: NDArray[np.uint8],
    mean: NDArray[np.float32],
    std: NDArray[np.float32],
) -> None:
    """What the method does once training is over, with the training images [N, H, W, 3] before it.

    They are shuffled: a split lists class after class, and variances within a class are smaller.
    """
    method, device = trainer.method, trainer.device
    order = stream(trainer.seed, "finish").permutation(len(images))
    batches = normalized_batches(images, mean, std, device, trainer.recipe.batch_size, order)
    with named(method), draws_noted(trainer.progress.global_draws, device):
        method.finish(trainer.network, batches)


def predict_by_method(
    trainer: Trainer,
    images: NDArray[np.uint8],
    mean: NDArray[np.float32],
    std: NDArray[np.float32],
    advance: Callable[[int], None] = lambda images: None,
) -> NDArray[np.float32]:
    """Logits [N, classes] of images [N, H, W, 3] by the network as it is; see `predict`."""
    method, device = trainer.method, trainer.device
    noted = draws_noted(trainer.progress.global_draws, device)
    with named(method), noted, arithmetic(trainer.recipe, device):
        return predict(
            *(trainer.network, images, mean, std, device, advance), logits_of=method.logits
        )
