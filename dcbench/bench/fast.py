"""dcbench's own loop: `Trainer.step` fed by its draws, as a run does."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

import torch

from dcbench.bench.cases import Content, Pixels
from dcbench.data.augment import DeviceImages
from dcbench.draws import Draws
from dcbench.evaluation import predict
from dcbench.training import Trainer, autocast


class FastLoop:
    """The loop that `dcbench run` trains and evaluates with."""

    def __init__(self, content: Content, pixels: Pixels, device: torch.device) -> None:
        recipe = content.recipe
        images = DeviceImages(
            pixels.images,
            mean=pixels.mean,
            std=pixels.std,
            device=device,
            padding=recipe.padding,
            border=recipe.border,
        )
        self.trainer = Trainer(
            images, pixels.labels, content.num_classes, content.method, recipe, seed=0
        )
        self.trainer.network.train()
        self._recipe, self._pixels, self._device = recipe, pixels, device
        self._batches = self._endless()

    def _endless(self) -> Iterator[Draws]:
        for epoch in itertools.count():
            yield from self.trainer.draws(epoch).batches(self._recipe.batch_size)

    def train(self, steps: int) -> None:
        """Take so many steps."""
        for draws in itertools.islice(self._batches, steps):
            self.trainer.step(draws, self._recipe.learning_rate)

    def feed(self, steps: int) -> None:
        """Make the batches of so many steps, and do nothing with them."""
        for draws in itertools.islice(self._batches, steps):
            self.trainer.images.batch(draws)
            self.trainer.labels[torch.from_numpy(draws.order).to(self._device)]

    def evaluate(self, count: int) -> None:
        """Predict so many images."""
        network, pixels = self.trainer.network, self._pixels
        with autocast(self._recipe, self._device):
            predict(network, pixels.images[:count], pixels.mean, pixels.std, self._device)
        network.train()

    def parts(self) -> dict[str, Callable[[], object]]:
        """What a step does beside forward and backward; `draws` is of a whole epoch.

        To be called after a step, so that there are gradients. The weights stay as they are.
        """
        trainer = self.trainer
        batch = next(self._batches)
        for group in trainer.optimiser.param_groups:
            group["lr"] = 0.0
        return {
            "draws": lambda: trainer.draws(0),
            "batch": lambda: trainer.images.batch(batch),
            "optimiser": trainer.optimiser.step,
        }
