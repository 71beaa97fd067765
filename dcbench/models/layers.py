"""What the networks share: their outline, normalization, 3x3 convolution, exchange of layers."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import batch_norm

from dcbench.errors import UsageError


class Network(nn.Module):
    """A classifier: features of an image, then one linear layer, `fc`."""

    fc: nn.Linear

    @property
    def stage_ends(self) -> tuple[nn.Module, nn.Module]:
        """The modules that the first two stages end with, whose outputs are maps."""
        raise NotImplementedError

    def features(self, images: Tensor) -> Tensor:
        """Feature vectors [batch, D] of images [batch, 3, height, width]."""
        raise NotImplementedError

    def forward(self, images: Tensor) -> Tensor:
        """Logits [batch, classes] of images [batch, 3, height, width]."""
        logits: Tensor = self.fc(self.features(images))
        return logits


class BatchNorm2d(nn.Module):
    """Batch normalization with `torch.nn.BatchNorm2d`'s defaults and no count of batches.

    The count matters only to a cumulative average (`momentum=None`); without it a training step
    launches one kernel less a layer. `state_dict` has no `num_batches_tracked`.

    Parameters
    ----------
    num_channels : int
    affine : bool
        Whether the normalized maps get a learned scale and offset.
    """

    running_mean: Tensor
    running_var: Tensor

    def __init__(self, num_channels: int, *, affine: bool = True) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(num_channels)) if affine else None
        self.bias = nn.Parameter(torch.zeros(num_channels)) if affine else None
        self.register_buffer("running_mean", torch.zeros(num_channels))
        self.register_buffer("running_var", torch.ones(num_channels))

    def forward(self, x: Tensor) -> Tensor:
        """Normalize each channel of maps [batch, channels, height, width]."""
        return batch_norm(
            x, self.running_mean, self.running_var, self.weight, self.bias, self.training
        )

    def extra_repr(self) -> str:
        """Show the number of channels."""
        return str(len(self.running_mean))


def conv3x3(in_channels: int, out_channels: int, stride: int = 1) -> nn.Conv2d:
    """Make a 3x3 convolution that keeps the size at stride 1; no bias, as normalization has one."""
    return nn.Conv2d(in_channels, out_channels, 3, stride=stride, padding=1, bias=False)


def global_average(maps: Tensor) -> Tensor:
    """Mean of each channel: [batch, channels, height, width] to [batch, channels]."""
    return maps.mean(dim=(2, 3))


def replace_module(network: nn.Module, name: str, new: nn.Module) -> None:
    """Put `new` where `network.get_submodule(name)` stands."""
    parent, _, last = name.rpartition(".")
    setattr(network.get_submodule(parent), last, new)


def classifier_of(network: nn.Module, method: str) -> nn.Linear:
    """The linear layer `fc` that a method replaces.

    Raises
    ------
    UsageError
        The network has none.
    """
    classifier = getattr(network, "fc", None)
    if not isinstance(classifier, nn.Linear):
        raise UsageError(
            f"method {method}: the model should have a linear layer `fc`; {type(network).__name__} "
            "has none"
        )
    return classifier
