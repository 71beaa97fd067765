"""What a trained network makes of images on the way to its logits: the features before `fc`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from dcbench.runs.trained import TrainedNetwork
from dcbench.training.predict import batch_size, normalized_batches


@dataclass(frozen=True, eq=False)
class Representation:
    """Features and logits of images, on the device.

    Attributes
    ----------
    logits : float32 [N, classes]
        As the method predicts.
    features : float32 [N, D], or None
        What the last layer `fc` is given; None: the network has no such layer.
    """

    logits: Tensor
    features: Tensor | None


class Tap:
    """A trained network that shows the features of its last layer.

    Attributes
    ----------
    head : nn.Module or None
        The `fc` that predicts: of a network beside an average of its weights, the one that is used.
    """

    def __init__(self, trained: TrainedNetwork) -> None:
        self.trained = trained
        self.head: nn.Module | None = None
        self._seen: list[Tensor] = []
        modules = dict(trained.network.named_modules())
        for name in ("fc", "average.fc"):
            if name in modules:
                modules[name].register_forward_pre_hook(self._keep, with_kwargs=True)

    def _keep(self, module: nn.Module, args: tuple[Tensor, ...], kwargs: dict[str, Tensor]) -> None:
        self.head = module
        self._seen[:] = [*args, *kwargs.values()][:1]

    def logits(self, normalized: Tensor) -> Tensor:
        """Logits [batch, classes] of normalized images, as the run predicts; gradients pass."""
        return self.trained.logits(normalized)

    def represent(
        self, images: NDArray[np.uint8], advance: Callable[[int], None]
    ) -> Representation:
        """Features and logits of images [N, H, W, 3]."""
        logits, features = [], []
        with torch.no_grad():
            for batch in self.batches(images):
                self._seen.clear()
                logits.append(self.logits(batch))
                features += [each.float() for each in self._seen]
                advance(len(batch))
        return Representation(torch.cat(logits), torch.cat(features) if features else None)

    def batches(self, images: NDArray[np.uint8]) -> Iterator[Tensor]:
        """Images as normalized batches on the device."""
        trained = self.trained
        trained.network.eval()
        device = trained.mean.device
        size = batch_size(images.shape[1] * images.shape[2], device)
        mean, std = trained.mean.cpu().numpy(), trained.std.cpu().numpy()
        return normalized_batches(images, mean, std, device, size)
