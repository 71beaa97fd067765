"""The features of a network are what its last layer is given."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from dcbench.methods import build_method
from dcbench.runs.representations import Representation, Tap


class Attending(nn.Module):
    """Channels weighed by a layer `fc` of a part of the network, then a classifier of some name."""

    def __init__(self, classifier: str) -> None:
        super().__init__()
        self.attention = nn.ModuleDict({"fc": nn.Linear(3, 3)})
        self.classifier = classifier
        self.add_module(classifier, nn.Linear(12, 4))

    def forward(self, images: Tensor) -> Tensor:
        weighed = images * self.attention["fc"](images.mean((2, 3)))[:, :, None, None]
        return getattr(self, self.classifier)(input=weighed.flatten(1))


def seen_of(network: nn.Module) -> Representation:
    given = {"method": build_method("erm", {}), "mean": torch.zeros(3), "std": torch.ones(3)}
    images = np.ones((5, 2, 2, 3), np.uint8)
    return Tap(SimpleNamespace(network=network, **given)).represent(images, lambda count: None)


@pytest.mark.parametrize(("classifier", "shape"), [("fc", (5, 12)), ("head", None)])
def test_layer_fc_of_a_part_of_the_network_gives_no_features(classifier, shape):
    features = seen_of(Attending(classifier)).features
    assert (None if features is None else tuple(features.shape)) == shape
