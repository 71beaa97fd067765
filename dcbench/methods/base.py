"""What a method is: a set of settings, and how a batch becomes a loss."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor

from dcbench.config.base import Config
from dcbench.draws import BetaMixing

Network = Callable[[Tensor], Tensor]
"""Images [batch, 3, height, width] to logits [batch, classes]."""


@dataclass(frozen=True)
class Batch:
    """What a method sees of a training step.

    Attributes
    ----------
    images : float32 [batch, 3, height, width]
        Augmented and normalized.
    labels : int64 [batch]
    partners : int64 [batch]
        With which image of the batch each image is to be mixed: a permutation.
    coefficients : float32 [batch]
        The share of the image itself in the mixture, drawn by the method's `mixing` law.
    class_counts : float32 [classes]
        Number of training images of each class in the whole training set.
    """

    images: Tensor
    labels: Tensor
    partners: Tensor
    coefficients: Tensor
    class_counts: Tensor

    @property
    def num_classes(self) -> int:
        """Number of classes of the task."""
        return len(self.class_counts)


class Method(Config):
    """Base class of all methods. The fields of a subclass are its settings.

    A method sees one batch and the network; it owns neither the optimizer nor the loop, and it
    never sees the test set.

    Attributes
    ----------
    capturable : bool
        Whether a step may be captured as a CUDA graph. False for a method whose loss reads values
        back to the host, branches on them, or keeps state of its own from step to step.
    """

    name: ClassVar[str] = ""
    capturable: ClassVar[bool] = True
    source_sha256: ClassVar[str | None] = None

    @property
    def mixing(self) -> BetaMixing | None:
        """The law that the mixing coefficients are drawn from; None: the method does not mix."""
        return None

    def loss(self, network: Network, batch: Batch) -> Tensor:
        """The scalar to minimize."""
        raise NotImplementedError(f"{type(self).__name__} has no loss(network, batch)")

    @classmethod
    def default_settings(cls) -> dict[str, Any]:
        """Every setting at its default, as a plain value."""
        return {key: field.get_default() for key, field in cls.model_fields.items()}

    @property
    def settings(self) -> dict[str, Any]:
        """The settings as plain values, for a record."""
        return self.model_dump(mode="json")
