"""Methods as somebody outside the package writes them, from the documentation alone."""

import copy
import random
import time
from typing import ClassVar

import numpy as np
import torch
from pydantic import Field
from torch import nn
from torch.nn.functional import cross_entropy, linear, normalize

from dcbench.draws import Beta, Uniform
from dcbench.methods import Method, Stage


class CosineClassifier(nn.Module):
    """Cosines of features and class weights, times a learned scale."""

    def __init__(self, in_features: int, num_classes: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(num_classes, in_features))
        self.scale = nn.Parameter(torch.tensor(10.0))

    def forward(self, features):
        return self.scale * linear(normalize(features), normalize(self.weight))


class CosineHead(Method):
    """ERM with a cosine classifier."""

    def network(self, build, task):
        network = build()
        network.fc = CosineClassifier(network.fc.in_features, task.num_classes)
        return network

    def loss(self, network, batch):
        return cross_entropy(network(batch.images), batch.labels)


class Deferred(Method):
    """Classes are weighted by the inverse of their size in the last part of training."""

    begin: float = Field(0.8, ge=0, le=1)

    def loss(self, network, batch):
        weights = 1 / batch.class_counts.clamp(min=1)
        weights = weights / weights.mean()
        late = (batch.progress >= self.begin).to(weights.dtype)
        weights = late * weights + (1 - late)
        return cross_entropy(network(batch.images), batch.labels, weight=weights)


class CutMixed(Method):
    """CutMix: a box of the partner's image is pasted, and the label mixed by its area."""

    @property
    def draws(self):
        return {"share": Beta(1.0, 1.0, per="batch"), "center": Uniform(shape=(2,), per="batch")}

    def loss(self, network, batch):
        height, width = batch.images.shape[2:]
        side = (1 - batch.draws["share"]).sqrt()
        rows = torch.arange(height, device=batch.images.device) + 0.5
        columns = torch.arange(width, device=batch.images.device) + 0.5
        center = batch.draws["center"]
        inside_rows = (rows - center[0] * height).abs() < side * height / 2
        inside_columns = (columns - center[1] * width).abs() < side * width / 2
        box = inside_rows[:, None] & inside_columns[None, :]
        images = torch.where(box, batch.images[batch.partners], batch.images)
        own = 1 - box.float().mean()
        logits = network(images)
        mine = cross_entropy(logits, batch.labels)
        other = cross_entropy(logits, batch.labels[batch.partners])
        return own * mine + (1 - own) * other


class Averaged(nn.Module):
    """A network, and the moving average of its weights, which predicts."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.average = copy.deepcopy(network).requires_grad_(False)

    def forward(self, images):
        return self.network(images)


class MovingAverage(Method):
    """An exponential moving average of the weights predicts."""

    decay: float = Field(0.9, ge=0, lt=1)

    def network(self, build, task):
        return Averaged(build())

    def loss(self, network, batch):
        return cross_entropy(network(batch.images), batch.labels)

    @torch.no_grad()
    def after_step(self, network, batch):
        now = network.network.state_dict()
        for name, value in network.average.state_dict().items():
            value.lerp_(now[name], 1 - self.decay)

    def logits(self, network, images):
        return network.average(images)


class TwoStages(Method):
    """The classifier alone is trained again, on classes that come equally often."""

    @property
    def stages(self):
        recipe = {"epochs": 2, "learning_rate": 0.01}
        return (Stage(recipe=recipe, order="class-balanced", trainable=("fc",), reset=("fc",)),)

    def loss(self, network, batch):
        return cross_entropy(network(batch.images), batch.labels)


class Sharpness(Method):
    """Sharpness-aware steps: the gradient is taken where the loss is worst nearby."""

    rho: float = Field(0.05, gt=0)

    def loss(self, network, batch):
        return cross_entropy(network(batch.images), batch.labels)

    def backward(self, network, batch):
        loss = self.evaluate_loss(network, batch)
        loss.backward()
        moved = [each for each in network.parameters() if each.grad is not None]
        norm = torch.stack([each.grad.norm() for each in moved]).norm() + 1e-12
        steps = [self.rho * each.grad / norm for each in moved]
        with torch.no_grad():
            for each, step in zip(moved, steps, strict=True):
                each.add_(step)
                each.grad = None
        self.evaluate_loss(network, batch).backward()
        with torch.no_grad():
            for each, step in zip(moved, steps, strict=True):
                each.sub_(step)
        return loss


class Noisy(Method):
    """Draws from torch's own generator, which no seed of the run decides."""

    def loss(self, network, batch):
        noise = torch.randn_like(batch.images)
        return cross_entropy(network(batch.images + 0.1 * noise), batch.labels)


class NoisyStart(Deferred):
    """Draws initial weights from NumPy's generator."""

    def network(self, build, task):
        network = build()
        drawn = np.random.normal(0, 0.1, network.fc.weight.shape)  # noqa: NPY002
        with torch.no_grad():
            network.fc.weight.copy_(torch.from_numpy(drawn))
        return network


class NoisyFinish(Deferred):
    """Draws from torch's own generator once training is over."""

    @torch.no_grad()
    def finish(self, network, images):
        network.fc.weight.add_(0.3 * torch.randn_like(network.fc.weight))


class NoisyLogits(Deferred):
    """Draws from Python's generator when it predicts."""

    def logits(self, network, images):
        return network(images) + random.random()


class Unfinished(Deferred):
    """Takes the training images for a list once training is over."""

    def finish(self, network, images):
        network(images[0])


class Counting(Method):
    """Keeps count on its class, and so trains otherwise the second time."""

    steps: ClassVar[list[int]] = [0]

    def loss(self, network, batch):
        self.steps[0] += 1
        return cross_entropy(network(batch.images), batch.labels) * (1 + 0.01 * self.steps[0])


class Overwriting(Method):
    """Changes the batch in place."""

    def loss(self, network, batch):
        batch.images.mul_(0.5)
        return cross_entropy(network(batch.images), batch.labels)


class Timed(Method):
    """Reads the clock."""

    def loss(self, network, batch):
        now = time.monotonic()
        return cross_entropy(network(batch.images), batch.labels) * (1 + 1e-9 * now)


class Detached(Method):
    """Learns from the features alone, though all weights are said to learn."""

    def loss(self, network, batch):
        return network.features(batch.images).square().mean()


class Reading(Method):
    """Reads its loss back to the host, and does not say so."""

    def loss(self, network, batch):
        loss = cross_entropy(network(batch.images), batch.labels)
        return loss * 2 if loss.item() > 1 else loss


class Misspelled(Method):
    """Says of a setting that it does not have where it is searched."""

    beta: float = 0.1
    ranges: ClassVar = {"betta": (0.1, 0.2)}

    def loss(self, network, batch):
        return cross_entropy(network(batch.images), batch.labels)
