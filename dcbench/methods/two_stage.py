"""Representation first, classifier afterwards: cRT, tau-normalization."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from dcbench.methods.base import Stage, Task
from dcbench.methods.lazy import torch
from dcbench.methods.mixup import ERM
from dcbench.methods.registry import register

if TYPE_CHECKING:
    from torch import Tensor, nn

_PAPER = (
    "Kang et al., Decoupling Representation and Classifier for Long-Tailed Recognition, ICLR 2020 "
    "(arXiv 1910.09217)"
)


@register("crt")
class CRT(ERM):
    """cRT: the classifier is trained again from new weights, on classes that come equally often.

    Kang et al., Decoupling Representation and Classifier for Long-Tailed Recognition, ICLR 2020.
    All else stays as ERM has trained it, running statistics too. The learning rate begins at the
    recipe's again and falls to zero as a cosine.
    """

    paper: ClassVar[str] = _PAPER
    twin: ClassVar[str] = "erm"
    ranges: ClassVar = {"classifier_epochs": [5, 10, 20]}

    classifier_epochs: int = Field(10, ge=1, description="of the classifier's own training")

    @property
    def stages(self) -> tuple[Stage, ...]:
        """The classifier's training."""
        recipe = {
            "epochs": self.classifier_epochs,
            "schedule": "cosine",
            "milestones": (),
            "warmup_epochs": 0,
        }
        return (Stage(recipe=recipe, order="class-balanced", trainable=("fc",), reset=("fc",)),)


def tau_normalized(weight: Tensor, tau: float) -> Tensor:
    """Weights [classes, D] of a classifier, each vector divided by its length to the power tau."""
    lengths: Tensor = torch.linalg.vector_norm(weight, dim=1, keepdim=True)
    return weight / lengths**tau


@register("tau-norm")
class TauNorm(ERM):
    """tau-normalization: after training, the weights of each class lose some of their length.

    Kang et al., Decoupling Representation and Classifier for Long-Tailed Recognition, ICLR 2020.
    Classes with more images have longer weights. As in the official code the bias is left out. That
    code reports tau from 0 to 2 in steps of 0.1. With 0 it is ERM without its bias.
    """

    paper: ClassVar[str] = _PAPER
    twin: ClassVar[str] = "erm"
    ranges: ClassVar = {"tau": (0.0, 2.0)}

    tau: float = Field(1.0, ge=0, description="0 changes no length, 1 makes all of them 1")

    def network(self, build: Callable[[], nn.Module], task: Task) -> nn.Module:
        """The recipe's network, which needs a linear classifier."""
        from dcbench.models.classifier import linear_classifier

        network = build()
        linear_classifier(network)
        return network

    def finish(self, network: nn.Module, images: Iterable[Tensor]) -> None:
        """Normalize the classifier."""
        from dcbench.models.classifier import linear_classifier

        classifier = linear_classifier(network)
        with torch.no_grad():
            classifier.weight.copy_(tau_normalized(classifier.weight, self.tau))
            if classifier.bias is not None:
                classifier.bias.zero_()
