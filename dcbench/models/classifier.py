"""The last layer of a network: where it is, and the normalized one of LDAM."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import linear, normalize

from dcbench.errors import UsageError


def linear_classifier(network: nn.Module) -> nn.Linear:
    """The last layer of a network, `fc`.

    Raises
    ------
    UsageError
        The network has no linear layer of that name.
    """
    classifier = getattr(network, "fc", None)
    if not isinstance(classifier, nn.Linear):
        raise UsageError(
            f"network {type(network).__name__}: the method needs a torch.nn.Linear named `fc` as "
            "its last layer"
        )
    return classifier


class NormedLinear(nn.Module):
    """The cosine between features and the vector of each class, times a fixed scale; no bias.

    That of the official code of LDAM (Cao et al., NeurIPS 2019): the components of the vectors
    start uniform in [-1, 1], and the vectors are scaled to length 1. There the factor is in the
    loss; here the logits carry it, so that probabilities are those that were trained.

    Parameters
    ----------
    in_features, num_classes : int
    scale : float
    """

    def __init__(self, in_features: int, num_classes: int, scale: float = 30.0) -> None:
        super().__init__()
        self.scale = scale
        initial = torch.empty(num_classes, in_features).uniform_(-1, 1)
        self.weight = nn.Parameter(normalize(initial))

    def forward(self, features: Tensor) -> Tensor:
        """Logits [batch, classes] of features [batch, in_features]; float32 at least."""
        # bfloat16 would round a cosine times 30 to steps of an eighth.
        with torch.autocast(features.device.type, enabled=False):
            precise = features.to(torch.promote_types(features.dtype, torch.float32))
            cosine = linear(normalize(precise), normalize(self.weight.to(precise.dtype)))
            return self.scale * cosine
