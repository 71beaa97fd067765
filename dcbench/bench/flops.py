"""How many images a method sends through the network."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dcbench.bench.cases import IMAGE_SIZE, Content
from dcbench.methods import Batch


class _Counting(nn.Module):
    """A network that counts the images it is given."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(()))
        self.num_classes, self.seen = num_classes, 0

    def forward(self, images: Tensor) -> Tensor:
        """Logits of some kind."""
        self.seen += len(images)
        return images.flatten(1)[:, : self.num_classes] * self.weight


def passes(content: Content) -> float:
    """How many images the method sends through the network for each one that it trains on."""
    size, classes = 4, content.num_classes
    network = _Counting(classes)
    batch = Batch(
        images=torch.zeros(size, 3, IMAGE_SIZE, IMAGE_SIZE),
        labels=torch.arange(size) % classes,
        partners=torch.arange(size).flip(0),
        coefficients=torch.full((size,), 0.5),
        class_counts=torch.ones(classes),
    )
    content.method.loss(network, batch)
    return network.seen / size
