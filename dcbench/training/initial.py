"""What the initial weights of a training come to: which seed they are of, shown in two numbers."""

from __future__ import annotations

import hashlib

import numpy as np
from torch import nn

from dcbench.records.schema import InitialWeights

_SAME_TOTAL = 1e-3
"""Totals of one seed differ by far less, on any processor; those of two seeds by far more."""


def initial_weights(network: nn.Module) -> InitialWeights:
    """Hash and total of a network's state, tensor after tensor in the order of their names."""
    digest, total = hashlib.sha256(), 0.0
    for name, tensor in sorted(network.state_dict().items()):
        values = np.ascontiguousarray(tensor.detach().cpu().numpy())
        digest.update(name.encode() + b"\0" + values.tobytes())
        total += float(values.sum(dtype=np.float64))
    return InitialWeights(sha256=digest.hexdigest(), total=total)


def agree(one: InitialWeights, other: InitialWeights) -> bool:
    """Whether both are of one seed: the same to the bit, or but for a processor's last bits."""
    return one.sha256 == other.sha256 or abs(one.total - other.total) < _SAME_TOTAL
