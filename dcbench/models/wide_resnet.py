"""Wide residual networks (Zagoruyko and Komodakis, 2016), as the GEM benchmark trains them."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn.functional import relu

from dcbench.errors import UsageError
from dcbench.models.layers import BatchNorm2d, Network, conv3x3, global_average
from dcbench.models.registry import register_family


class WideBlock(nn.Module):
    """Pre-activation block: two times normalize, ReLU, 3x3 convolution.

    The shortcut is the raw input, or, where the width changes, a 1x1 convolution of the input
    after normalization and ReLU.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.bn1 = BatchNorm2d(in_channels)
        self.conv1 = conv3x3(in_channels, out_channels, stride)
        self.bn2 = BatchNorm2d(out_channels)
        self.conv2 = conv3x3(out_channels, out_channels)
        self.shortcut: nn.Conv2d | None = None
        if in_channels != out_channels:
            self.shortcut = nn.Conv2d(in_channels, out_channels, 1, stride=stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Turn [batch, in_channels, H, W] into [batch, out_channels, H / stride, W / stride]."""
        active = relu(self.bn1(x))
        residual: Tensor = self.conv2(relu(self.bn2(self.conv1(active))))
        return residual + (x if self.shortcut is None else self.shortcut(active))


class WideResNet(Network):
    """WRN-D-K without dropout: three groups of (D - 4) / 6 blocks, of width 16K, 32K and 64K.

    Convolutions start Kaiming normal (fan out, ReLU) and the bias of `fc` at zero; its weight
    keeps PyTorch's default.

    Parameters
    ----------
    depth : int
        D = 6n + 4, at least 10.
    width : int
        K, the factor on the channels, at least 1.
    num_classes : int
        Width of the logits.

    Raises
    ------
    UsageError
        For another depth.
    """

    def __init__(self, depth: int, width: int, num_classes: int) -> None:
        super().__init__()
        if depth < 10 or depth % 6 != 4:
            raise UsageError(f"a wide ResNet's depth is 6n + 4 (10, 16, 22, 28 ...); got {depth}")
        blocks: list[nn.Module] = []
        channels = 16
        for out_channels, stride in [(16 * width, 1), (32 * width, 2), (64 * width, 2)]:
            for index in range((depth - 4) // 6):
                blocks.append(WideBlock(channels, out_channels, stride if index == 0 else 1))
                channels = out_channels
        self.conv = conv3x3(3, 16)
        self.blocks = nn.Sequential(*blocks)
        self.bn = BatchNorm2d(channels)
        self.fc = nn.Linear(channels, num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        nn.init.zeros_(self.fc.bias)

    @property
    def stage_ends(self) -> tuple[nn.Module, nn.Module]:
        """The modules that the first two stages end with."""
        depth = len(self.blocks) // 3
        return self.blocks[depth - 1], self.blocks[2 * depth - 1]

    def features(self, images: Tensor) -> Tensor:
        """Feature vectors [batch, 64K] of images [batch, 3, height, width]."""
        return global_average(relu(self.bn(self.blocks(self.conv(images)))))


@register_family(
    r"wrn-([1-9]\d*)-([1-9]\d*)", "wrn-10-1", "wrn-10-2", "wrn-16-1", "wrn-16-2", "wrn-16-8"
)
def wide_resnet(depth: int, width: int, num_classes: int) -> WideResNet:
    """Build ``wrn-<depth>-<width>``."""
    return WideResNet(depth, width, num_classes)
