"""What is measured: the recipes of protocol v1, on images of random bytes."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from dcbench import methods
from dcbench.config.base import Config
from dcbench.config.names import parse_method
from dcbench.config.protocol import load_protocol
from dcbench.config.recipe import Recipe
from dcbench.draws import stream
from dcbench.errors import UsageError, unknown
from dcbench.methods import Method, method_class
from dcbench.models.checks import check_network
from dcbench.runs.plan import choose, with_named_model
from dcbench.training.augment import normalization_statistics

NUM_IMAGES, IMAGE_SIZE = 2000, 32


class Origin(NamedTuple):
    """Where a case comes from.

    Attributes
    ----------
    recipe : str
        Of protocol v1.
    train_images, test_images, ood_images : int
        Of the split that the case stands for: what its share of a whole run is taken from.
    """

    recipe: str
    num_classes: int
    train_images: int
    test_images: int
    ood_images: int


CASES = {
    "wrn-16-8": Origin("cifair10", 10, 500, 10_000, 50_032),
    "resnet-32": Origin("cifar10-lt", 10, 12_406, 10_000, 50_032),
    "resnet-34": Origin("cifar100", 100, 50_000, 10_000, 50_032),
}
"""Each case by its network, with the recipe of protocol v1 that trains it. The OOD images are those
of the other CIFAR, MNIST, SVHN and two sets of noise."""


class Comparison(Config):
    """A case with a method and settings, as they are asked for.

    Attributes
    ----------
    case : str
        One of `CASES`.
    method : str
        As on the command line: a name, with settings in brackets or not.
    settings : dict
        Settings of the method or of the recipe that differ from protocol v1's.
    """

    case: str
    method: str = "erm"
    settings: dict[str, Any] = Field({})


class Content(NamedTuple):
    """A task with everything looked up and checked."""

    label: str
    method: Method
    recipe: Recipe
    num_classes: int

    @property
    def task(self) -> methods.Task:
        """What the network is built for; the images are of all classes alike."""
        counts = (NUM_IMAGES // self.num_classes,) * self.num_classes
        return methods.Task((IMAGE_SIZE, IMAGE_SIZE), counts)


def content_of(task: Comparison) -> Content:
    """Look a task up.

    Raises
    ------
    UsageError
        An unknown name or key, or a value out of its range.
    """
    if task.case not in CASES:
        raise unknown("case", task.case, CASES)
    source = CASES[task.case]
    spec = parse_method(task.method)
    asked = with_named_model({**spec.settings, **task.settings})
    choice = choose(load_protocol("v1").entry(source.recipe), method_class(spec.name), asked)
    if choice.recipe.batch_size > NUM_IMAGES:
        raise UsageError(
            f"batch_size={choice.recipe.batch_size}: the bench has only {NUM_IMAGES} images"
        )
    check_network(choice.recipe.model, source.num_classes, (IMAGE_SIZE, IMAGE_SIZE))
    return Content(choice.label, choice.method, choice.recipe, source.num_classes)


class Pixels(NamedTuple):
    """Random images and labels, a whole number of batches of them.

    Attributes
    ----------
    images : uint8 [N, 32, 32, 3]
    labels : int64 [N]
    mean, std : float32 [3]
        What the recipe normalizes by.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    mean: NDArray[np.float32]
    std: NDArray[np.float32]


def random_pixels(content: Content) -> Pixels:
    """The images that every loop is fed; batches are all full, so all steps are alike."""
    recipe = content.recipe
    count = NUM_IMAGES - NUM_IMAGES % recipe.batch_size
    shape = (NUM_IMAGES, IMAGE_SIZE, IMAGE_SIZE, 3)
    images = stream(0, "bench-images").randint(256, size=shape, dtype=np.uint8)[:count]
    labels = stream(0, "bench-labels").randint(content.num_classes, size=NUM_IMAGES)[:count]
    return Pixels(images, labels, *normalization_statistics(recipe.normalization, images))
