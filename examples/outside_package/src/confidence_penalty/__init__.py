"""The confidence penalty of Pereyra et al. as a method of dcbench."""

from collections.abc import Mapping
from typing import ClassVar

from pydantic import Field
from torch import Tensor
from torch.nn.functional import cross_entropy, log_softmax

from dcbench.methods import Batch, Method, Network


class ConfidencePenalty(Method):
    """Cross-entropy, from which beta times the entropy of the predictions is taken.

    Pereyra et al., Regularizing Neural Networks by Penalizing Confident Output Distributions, ICLR
    2017 workshops.
    """

    paper: ClassVar[str] = "Pereyra et al., ICLR 2017 workshops (arXiv 1701.06548)"
    twin: ClassVar[str] = "erm"
    ranges: ClassVar[Mapping[str, tuple[float, float]]] = {"beta": (0.01, 1.0)}

    beta: float = Field(0.1, ge=0, description="weight of the entropy")

    def loss(self, network: Network, batch: Batch) -> Tensor:
        """The scalar to minimize."""
        logits = network(batch.images)
        log_probs = log_softmax(logits, dim=1)
        entropy = -(log_probs.exp() * log_probs).sum(dim=1).mean()
        return cross_entropy(logits, batch.labels) - self.beta * entropy
