"""dcbench's own loop: `Trainer.step` fed by its draws, as a run does."""

from __future__ import annotations

from collections.abc import Callable

import torch

from dcbench.bench.cases import Content, Pixels
from dcbench.training.augment import DeviceImages
from dcbench.training.precision import autocast
from dcbench.training.predict import predict
from dcbench.training.trainer import Trainer


class FastLoop:
    """The loop that `dcbench run` trains and evaluates with; `compiled` as it may be asked to."""

    def __init__(
        self, content: Content, pixels: Pixels, device: torch.device, *, compiled: bool = False
    ) -> None:
        recipe = content.recipe
        self._images = DeviceImages(
            pixels.images,
            mean=pixels.mean,
            std=pixels.std,
            device=device,
            padding=recipe.padding,
            border=recipe.border,
        )
        self.trainer = Trainer(
            self._images,
            pixels.labels,
            content.num_classes,
            content.method,
            recipe,
            seed=0,
            compiled=compiled,
        )
        self.trainer.network.train()
        self._recipe, self._pixels, self._device = recipe, pixels, device
        self._taken = 0

    def train(self, steps: int) -> None:
        """Take `steps` steps."""
        trainer = self.trainer
        for _ in range(steps):
            epoch, step = divmod(self._taken, trainer.steps_per_epoch)
            if step == 0:
                trainer.load(epoch)
            trainer.train_step.advance(self._recipe.batch_size)
            self._taken += 1

    def feed(self, steps: int) -> None:
        """Make the batches of `steps` steps, and do nothing with them."""
        labels = torch.from_numpy(self._pixels.labels).to(self._device)
        for epoch in range(-(-steps // self.trainer.steps_per_epoch)):
            draws = self.trainer.draws(epoch)
            addresses = torch.from_numpy(self._images.addresses(draws)).to(self._device)
            for rows in torch.split(addresses, self._recipe.batch_size)[:steps]:
                self._images.crops(rows)
                labels[rows[:, 1]]
            steps -= self.trainer.steps_per_epoch

    def evaluate(self, count: int) -> None:
        """Predict `count` images."""
        network, pixels = self.trainer.network, self._pixels
        with autocast(self._recipe, self._device):
            predict(network, pixels.images[:count], pixels.mean, pixels.std, self._device)
        network.train()

    def parts(self) -> dict[str, Callable[[], object]]:
        """What a step does beside forward and backward; `draws` is of a whole epoch.

        To be called after a step, so that there are gradients. The weights stay as they are.
        """
        trainer = self.trainer
        draws = next(trainer.draws(0).batches(self._recipe.batch_size))
        trainer.train_step.rate.zero_()
        return {
            "draws": lambda: trainer.load(0),
            "batch": lambda: self._images.batch(draws),
            "optimizer": trainer.train_step.optimizer.step,
        }
