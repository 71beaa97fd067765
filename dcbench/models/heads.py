"""Classifiers in the place of `fc` that compare directions: cosine and t-vMF similarity."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import linear, normalize, softplus


class CosineHead(nn.Module):
    """A learned scale times the cosine between features and the vector of each class.

    The scale is 1 + softplus(r) of a learned r that starts at 0, so 1.693; there is no bias. The
    logits carry the scale, and so does all that is computed from them.

    Parameters
    ----------
    in_features, num_classes : int

    Attributes
    ----------
    weight : [classes, in_features]
        Starts as that of `torch.nn.Linear`. Its length has no effect on the logits.
    raw_scale : scalar
        r.
    """

    def __init__(self, in_features: int, num_classes: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(num_classes, in_features))
        self.raw_scale = nn.Parameter(torch.zeros(()))
        nn.init.kaiming_uniform_(self.weight, a=5**0.5)

    @property
    def scale(self) -> Tensor:
        """What the similarities are multiplied with; more than 1."""
        return 1 + softplus(self.raw_scale)

    def similarity(self, cosine: Tensor) -> Tensor:
        """The similarity of a cosine; here itself."""
        return cosine

    def forward(self, features: Tensor) -> Tensor:
        """Logits [batch, classes] of features [batch, in_features]; float32 at least."""
        # Near cosine 1 the similarity is steep: in bfloat16 its steps would be seen.
        with torch.autocast(features.device.type, enabled=False):
            precise = features.to(torch.promote_types(features.dtype, torch.float32))
            weight = self.weight.to(precise.dtype)
            cosine = linear(normalize(precise), normalize(weight))
            return self.scale * self.similarity(cosine)


def t_vmf_similarity(cosine: Tensor, kappa: float) -> Tensor:
    """(1 + cos) / (1 + kappa (1 - cos)) - 1: from -1 at the opposite to 1 at the same direction.

    Kobayashi, T-vMF Similarity for Regularizing Intra-Class Feature Distribution, CVPR 2021. With
    kappa 0 it is the cosine; the larger kappa, the closer a feature has to be.
    """
    return (1 + cosine) / (1 + kappa * (1 - cosine)) - 1


class TvMFHead(CosineHead):
    """A learned scale times the t-vMF similarity of features and the vector of each class.

    The official code returns similarities and applies the scale in the loss alone; that is the
    same for the predicted class, not for probabilities.
    """

    def __init__(self, in_features: int, num_classes: int, kappa: float = 16.0) -> None:
        super().__init__(in_features, num_classes)
        self.kappa = kappa

    def similarity(self, cosine: Tensor) -> Tensor:
        """`t_vmf_similarity`."""
        return t_vmf_similarity(cosine, self.kappa)
