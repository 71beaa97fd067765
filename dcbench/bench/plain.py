"""A plain PyTorch loop, as repositories of the field write it: what dcbench is compared with.

Images pass one by one through torchvision's transforms on PIL images, in a `DataLoader` without
worker processes; the network has the default memory layout, SGD its defaults, and the loss is read
after every step. Network, batch size, precision, augmentation and method are those of the recipe.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from dcbench.bench.cases import Content, Pixels
from dcbench.config.recipe import Recipe
from dcbench.methods import Batch
from dcbench.training.precision import autocast, configure_precision
from dcbench.training.stages import new_network

Transform = Callable[[Any], Tensor]


def train_transforms(recipe: Recipe, size: int) -> list[Callable[[Any], Any]]:
    """The recipe's augmentation as torchvision's transforms of a PIL image."""
    from torchvision import transforms

    found: list[Callable[[Any], Any]] = []
    if recipe.padding:
        mode = "constant" if recipe.border == "zero" else "reflect"
        found.append(transforms.RandomCrop(size, padding=recipe.padding, padding_mode=mode))
    if recipe.flip:
        found.append(transforms.RandomHorizontalFlip())
    if recipe.rotation:
        found.append(transforms.RandomRotation(recipe.rotation))
    return found


class PlainImages(Dataset[tuple[Tensor, int]]):
    """Images that are augmented, turned into tensors and normalized when they are asked for."""

    def __init__(self, pixels: Pixels, augmentation: list[Callable[[Any], Any]]) -> None:
        from torchvision import transforms

        self.images: NDArray[np.uint8] = pixels.images
        self.labels: NDArray[np.int64] = pixels.labels
        self.transform: Transform = transforms.Compose(
            [
                *augmentation,
                transforms.ToTensor(),
                transforms.Normalize(pixels.mean.tolist(), pixels.std.tolist()),
            ]
        )

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        from PIL import Image

        return self.transform(Image.fromarray(self.images[index])), int(self.labels[index])


class PlainLoop:
    """The loop that dcbench is compared with."""

    def __init__(self, content: Content, pixels: Pixels, device: torch.device) -> None:
        recipe = content.recipe
        configure_precision(recipe, device)
        self._recipe, self._method, self._device = recipe, content.method, device
        augmentation = train_transforms(recipe, pixels.images.shape[1])
        self.train_images = PlainImages(pixels, augmentation)
        self.test_images = PlainImages(pixels, [])
        counts = np.bincount(pixels.labels, minlength=content.num_classes)
        self._class_counts = torch.from_numpy(counts.astype(np.float32)).to(device)
        self.network = new_network(content.method, recipe, content.task, seed=0).to(device)
        self.optimizer = torch.optim.SGD(
            self.network.parameters(),
            lr=recipe.learning_rate,
            momentum=recipe.momentum,
            nesterov=recipe.nesterov,
            weight_decay=recipe.weight_decay,
        )
        self.network.train()
        size = recipe.batch_size
        self._unmixed = torch.arange(size, device=device), torch.ones(size, device=device)
        self._batches = self._endless()

    def _endless(self) -> Iterator[tuple[Tensor, Tensor]]:
        loader = DataLoader(self.train_images, self._recipe.batch_size, shuffle=True)
        while True:
            yield from loader

    def batch(self, images: Tensor, labels: Tensor) -> Batch:
        """What the method sees, with partners and coefficients drawn step by step if it mixes."""
        partners, coefficients = self._mixture(len(labels))
        return Batch(
            images=images.to(self._device),
            labels=labels.to(self._device),
            partners=partners,
            coefficients=coefficients,
            class_counts=self._class_counts,
        )

    def _mixture(self, size: int) -> tuple[Tensor, Tensor]:
        mixing = self._method.mixing
        if mixing is None:
            partners, coefficients = self._unmixed
            return partners[:size], coefficients[:size]
        drawn = np.random.beta(  # noqa: NPY002
            mixing.alpha, mixing.alpha, size=1 if mixing.per == "batch" else size
        )
        shares = torch.tensor(np.broadcast_to(drawn, size), dtype=torch.float32)
        return torch.randperm(size).to(self._device), shares.to(self._device)

    def step(self, batch: Batch) -> float:
        """Take one step and return its loss."""
        with autocast(self._recipe, self._device):
            loss = self._method.loss(self.network, batch)
        self.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        return loss.item()

    def train(self, steps: int) -> None:
        """Take `steps` steps."""
        for images, labels in itertools.islice(self._batches, steps):
            self.step(self.batch(images, labels))

    def feed(self, steps: int) -> None:
        """Make the batches of `steps` steps, and do nothing with them."""
        for images, labels in itertools.islice(self._batches, steps):
            self.batch(images, labels)

    def evaluate(self, count: int) -> None:
        """Predict `count` images, in batches of the training's size."""
        self.network.eval()
        wanted = torch.utils.data.Subset(self.test_images, range(count))
        with torch.no_grad(), autocast(self._recipe, self._device):
            for images, _ in DataLoader(wanted, self._recipe.batch_size):
                self.network(images.to(self._device)).float().cpu()
        self.network.train()
