"""A small convolutional network for 8x8 digits, quick enough for a CPU."""

from __future__ import annotations

from torch import Tensor, nn

from dcbench.models.layers import BatchNorm2d, Network, conv3x3, global_average
from dcbench.models.registry import register_model


@register_model("digits-cnn")
class DigitsCNN(Network):
    """Three 3x3 convolutions of 16, 32 and 32 channels, the second with stride 2.

    Each is normalized and followed by ReLU. All initial weights are PyTorch's defaults.

    Parameters
    ----------
    num_classes : int
        Width of the logits.
    """

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for in_channels, out_channels, stride in [(3, 16, 1), (16, 32, 2), (32, 32, 1)]:
            convolution = conv3x3(in_channels, out_channels, stride)
            layers += [convolution, BatchNorm2d(out_channels), nn.ReLU()]
        self.layers = nn.Sequential(*layers)
        self.fc = nn.Linear(32, num_classes)

    @property
    def stage_ends(self) -> tuple[nn.Module, nn.Module]:
        """The modules that the first two stages end with."""
        return self.layers[2], self.layers[5]

    def features(self, images: Tensor) -> Tensor:
        """Feature vectors [batch, 32] of images [batch, 3, height, width]."""
        return global_average(self.layers(images))
