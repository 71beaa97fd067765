"""What a method is: a set of settings, and how a batch becomes a gradient.

Whatever a method owns beside its loss is a hook with a default; the loop knows no method's name.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from dcbench.config.base import Config
from dcbench.draws import BetaMixing, Law
from dcbench.errors import RunError
from dcbench.methods.lazy import torch

if TYPE_CHECKING:
    from torch import Tensor, nn

Network = Callable[["Tensor"], "Tensor"]
"""Images [batch, 3, height, width] to logits [batch, classes]."""


@dataclass(frozen=True, eq=False)
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
    draws : dict of tensors
        What the method's `draws` name: [batch, ...], or [...] for a law that draws once a batch.
    progress : float32 []
        Share of the training's steps that were taken before this one; in [0, 1).
    epoch : int64 []
        Counted from 0.
    autocast : callable
        The context that forward passes run in under the recipe's precision.
    """

    images: Tensor
    labels: Tensor
    partners: Tensor
    coefficients: Tensor
    class_counts: Tensor
    draws: Mapping[str, Tensor] = field(default_factory=dict)
    progress: Tensor = field(default_factory=lambda: torch.zeros(()))
    epoch: Tensor = field(default_factory=lambda: torch.zeros((), dtype=torch.int64))
    autocast: Callable[[], contextlib.AbstractContextManager[Any]] = contextlib.nullcontext

    @property
    def num_classes(self) -> int:
        """Number of classes of the task."""
        return len(self.class_counts)


@dataclass(frozen=True, eq=False)
class Task:
    """What a network is built for.

    Attributes
    ----------
    image_size : (int, int)
        Height and width in pixels.
    class_counts : tuple of int
        Number of training images of each class.
    """

    image_size: tuple[int, int]
    class_counts: tuple[int, ...]

    @property
    def num_classes(self) -> int:
        """How many logits a network gives for an image, C."""
        return len(self.class_counts)


class Stage(Config):
    """A further training, after the recipe's: with other sampling, parts frozen, others new."""

    recipe: dict[str, Any] = Field({}, description="what differs from the recipe, such as epochs")
    order: Literal["shuffled", "class-balanced"] = Field(
        "shuffled", description="every image once an epoch, or every class as often as the others"
    )
    trainable: tuple[str, ...] = Field((), description="modules that learn; none named: all")
    reset: tuple[str, ...] = Field((), description="modules that get new initial weights")


class Method(Config):
    """Base class of all methods. The fields of a subclass are its settings.

    A method sees one batch and the network; it owns neither the optimizer nor the loop, and it
    never sees the test set. What it remembers from step to step lives in the network's modules and
    buffers, which are in every checkpoint.

    Attributes
    ----------
    paper : str
        Where it was published.
    family : str
        What it is drawn beside in figures, and draws its own random numbers with; else its name.
    twin : str
        The method that it is compared with: what an Infinite Class variant is a variant of.
    capturable : bool
        Whether a step may be captured as a CUDA graph. False for a method whose loss reads values
        back to the host, or branches on them.
    compilable : bool
        Whether the network may be compiled under it. False for a method that differentiates twice,
        or that exchanges hooks of the network's modules.
    ranges : dict
        Search ranges of settings, for tuning: (low, high), or a list of choices.
    extra_data : str
        What images the method learns from beside the split's, such as those that weights which it
        begins with were trained on: `imagenet-1k`. Its runs are custom, and stand on a track of
        their own.
    retired : dict
        Values of settings that published runs may have and new runs may not, each with the reason.
    """

    name: ClassVar[str] = ""
    paper: ClassVar[str] = ""
    family: ClassVar[str] = ""
    twin: ClassVar[str] = ""
    capturable: ClassVar[bool] = True
    compilable: ClassVar[bool] = True
    ranges: ClassVar[Mapping[str, tuple[float, float] | list[Any]]] = {}
    retired: ClassVar[Mapping[str, Mapping[Any, str]]] = {}
    extra_data: ClassVar[str] = ""
    source_sha256: ClassVar[str | None] = None
    distribution: ClassVar[str | None] = None

    @property
    def mixing(self) -> BetaMixing | None:
        """The law that the mixing coefficients are drawn from; None: the method does not mix."""
        return None

    @property
    def draws(self) -> Mapping[str, Law]:
        """Laws of further random numbers, drawn ahead; found by name in `Batch.draws`."""
        return {}

    @property
    def stages(self) -> tuple[Stage, ...]:
        """Further trainings, one after the other."""
        return ()

    def same_as(self, *, long_tailed: bool) -> Method | None:
        """The method that this one is, by construction, on such splits; None: no other."""
        return None

    def network(self, build: Callable[[], nn.Module], task: Task) -> nn.Module:
        """The network to train: the recipe's, by `build()`, changed or not."""
        return build()

    def loss(self, network: nn.Module, batch: Batch) -> Tensor:
        """The scalar to minimize."""
        raise NotImplementedError(f"{type(self).__name__} has no loss(network, batch)")

    def evaluate_loss(self, network: nn.Module, batch: Batch) -> Tensor:
        """The loss in the recipe's precision, if it is one."""
        with batch.autocast():
            loss = self.loss(network, batch)
        if not isinstance(loss, torch.Tensor) or loss.numel() != 1 or not loss.requires_grad:
            raise RunError(
                f"method {self.name}: loss(network, batch) should be a scalar tensor that depends "
                "on the weights"
            )
        return loss

    def backward(self, network: nn.Module, batch: Batch) -> Tensor:
        """Add the gradient of a batch to the parameters' `grad`; the loss [] is returned."""
        loss = self.evaluate_loss(network, batch)
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    def after_step(self, network: nn.Module, batch: Batch) -> None:
        """What is done once the optimizer has taken its step, such as moving averages."""

    def finish(self, network: nn.Module, images: Iterable[Tensor]) -> None:
        """What is done after training.

        Parameters
        ----------
        images : iterable of float32 [batch, 3, height, width]
            The training images, normalized and not augmented, shuffled by the run's seed.
        """

    def logits(self, network: nn.Module, images: Tensor) -> Tensor:
        """Logits [batch, classes] of images [batch, 3, height, width]: how the method predicts."""
        logits: Tensor = network(images)
        return logits

    @classmethod
    def default_settings(cls) -> dict[str, Any]:
        """Every setting that has a default, at it, as a plain value."""
        return cls.model_construct().model_dump(mode="json")

    @property
    def settings(self) -> dict[str, Any]:
        """The settings as plain values, for a record."""
        return self.model_dump(mode="json")
