"""What the initial weights of a training come to: which seed they are of, shown in two numbers."""

from __future__ import annotations

import hashlib

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from dcbench.errors import RunError
from dcbench.records.schema import InitialWeights

_SAME_TOTAL = 1e-3
"""Totals of one seed differ by far less, on any processor; those of two seeds by far more."""


def initial_weights(network: nn.Module) -> InitialWeights:
    """Hash and total of a network's state, tensor after tensor in the order of their names.

    Raises
    ------
    RunError
        Something of the state is no tensor, or has no shape yet.
    """
    digest, total = hashlib.sha256(), 0.0
    for name, tensor in sorted(network.state_dict().items()):
        if not isinstance(tensor, Tensor) or is_lazy(tensor):
            raise RunError(
                f"network {type(network).__name__}: '{name}' of its state is of type "
                f"{type(tensor).__name__}, and should be a tensor whose shape is known"
            )
        values = tensor.detach().cpu().contiguous()
        octets = values.reshape(-1).view(torch.uint8).numpy()
        digest.update(name.encode() + b"\0" + octets.tobytes())
        if values.dtype == torch.bfloat16:  # which NumPy does not have
            values = values.float()
        total += float(values.numpy().sum(dtype=np.float64))
    return InitialWeights(sha256=digest.hexdigest(), total=total)


def agree(one: InitialWeights, other: InitialWeights) -> bool:
    """Whether both are of one seed: the same to the bit, or but for a processor's last bits."""
    return one.sha256 == other.sha256 or abs(one.total - other.total) < _SAME_TOTAL
