"""ImageNet's residual networks (He et al., 2016) with a stem for small images.

The stem is a 3x3 convolution without pooling, as the official code of Infinite Class Mixup has
it. All initial weights are PyTorch's defaults.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn.functional import relu

from dcbench.models.layers import BatchNorm2d, Network, conv3x3, global_average
from dcbench.models.registry import register_model


class BasicBlock(nn.Module):
    """Two 3x3 convolutions, normalized; ReLU after the first and after adding the shortcut.

    Where the width changes, the shortcut is a 1x1 convolution, normalized.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = conv3x3(in_channels, out_channels, stride)
        self.bn1 = BatchNorm2d(out_channels)
        self.conv2 = conv3x3(out_channels, out_channels)
        self.bn2 = BatchNorm2d(out_channels)
        self.shortcut: nn.Module = nn.Identity()
        if in_channels != out_channels:
            self.shortcut = nn.Sequential(
                nn.Conv2d(in_channels, out_channels, 1, stride=stride, bias=False),
                BatchNorm2d(out_channels),
            )

    def forward(self, x: Tensor) -> Tensor:
        """Turn [batch, in_channels, H, W] into [batch, out_channels, H / stride, W / stride]."""
        residual: Tensor = self.bn2(self.conv2(relu(self.bn1(self.conv1(x)))))
        return relu(residual + self.shortcut(x))


class ResNet(Network):
    """Four stages of basic blocks, of 64, 128, 256 and 512 channels.

    Parameters
    ----------
    blocks_per_stage : tuple of four ints
        Depth of the stages; each but the first halves the maps.
    num_classes : int
        Width of the logits.
    """

    def __init__(self, blocks_per_stage: tuple[int, int, int, int], num_classes: int) -> None:
        super().__init__()
        blocks: list[nn.Module] = []
        channels = 64
        for out_channels, num_blocks in zip((64, 128, 256, 512), blocks_per_stage, strict=True):
            for _ in range(num_blocks):
                stride = 1 if channels == out_channels else 2
                blocks.append(BasicBlock(channels, out_channels, stride))
                channels = out_channels
        self.conv = conv3x3(3, 64)
        self.bn = BatchNorm2d(64)
        self.blocks = nn.Sequential(*blocks)
        self.fc = nn.Linear(512, num_classes)
        first, second = blocks_per_stage[:2]
        self._stage_ends = (first - 1, first + second - 1)

    @property
    def stage_ends(self) -> tuple[nn.Module, nn.Module]:
        """The modules that the first two stages end with."""
        return self.blocks[self._stage_ends[0]], self.blocks[self._stage_ends[1]]

    def features(self, images: Tensor) -> Tensor:
        """Feature vectors [batch, 512] of images [batch, 3, height, width]."""
        return global_average(self.blocks(relu(self.bn(self.conv(images)))))


@register_model("resnet-18")
def resnet_18(num_classes: int) -> ResNet:
    """Build ResNet-18 for small images."""
    return ResNet((2, 2, 2, 2), num_classes)


@register_model("resnet-34")
def resnet_34(num_classes: int) -> ResNet:
    """Build ResNet-34 for small images."""
    return ResNet((3, 4, 6, 3), num_classes)
