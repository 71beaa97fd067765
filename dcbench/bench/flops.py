"""How many images a method sends through the network."""

from __future__ import annotations

import torch
from torch import Tensor

from dcbench.bench.cases import IMAGE_SIZE, Content
from dcbench.methods import Batch


def passes(content: Content) -> float:
    """How many images the method sends through the network for each one that it trains on."""
    seen, size, classes = 0, 4, content.num_classes
    weight = torch.ones((), requires_grad=True)

    def network(images: Tensor) -> Tensor:
        nonlocal seen
        seen += len(images)
        return images.flatten(1)[:, :classes] * weight

    batch = Batch(
        images=torch.zeros(size, 3, IMAGE_SIZE, IMAGE_SIZE),
        labels=torch.arange(size) % classes,
        partners=torch.arange(size).flip(0),
        coefficients=torch.full((size,), 0.5),
        class_counts=torch.ones(classes),
    )
    content.method.loss(network, batch)
    return seen / size
