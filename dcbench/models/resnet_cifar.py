"""Narrow residual networks for CIFAR (He et al., 2016), the usual ones of long-tailed CIFAR.

The shortcut has no weights (option A). Widths, shortcut and initial weights are those of the
official code of LDAM-DRW (Cao et al., 2019).
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn.functional import pad, relu

from dcbench.errors import UsageError
from dcbench.models.layers import BatchNorm2d, Network, conv3x3, global_average
from dcbench.models.registry import register_family

# Of the form 6n + 2, but a reader takes these names for far larger networks.
_BOTTLENECK_DEPTHS = (50, 152)


def pad_shortcut(x: Tensor, out_channels: int, stride: int = 2) -> Tensor:
    """Every second pixel of `x`, with as many zero channels before its channels as after them.

    Parameters
    ----------
    x : tensor [batch, channels, H, W]
        Input of a block that halves the maps.
    out_channels : int
        Channels of the result; an even number more than `x` has.
    stride : int
        1 keeps every pixel.

    Returns
    -------
    tensor [batch, out_channels, ceil(H / stride), ceil(W / stride)]
    """
    padding = (out_channels - x.shape[1]) // 2
    return pad(x[:, :, ::stride, ::stride], (0, 0, 0, 0, padding, padding))


class CifarBlock(nn.Module):
    """Two 3x3 convolutions, normalized; ReLU after the first and after adding the shortcut."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.widens = in_channels != out_channels
        self.out_channels, self.stride = out_channels, 2 if self.widens else 1
        self.conv1 = conv3x3(in_channels, out_channels, self.stride)
        self.bn1 = BatchNorm2d(out_channels)
        self.conv2 = conv3x3(out_channels, out_channels)
        self.bn2 = BatchNorm2d(out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """Turn [batch, in_channels, H, W] into out_channels maps, halved where the block widens."""
        residual: Tensor = self.bn2(self.conv2(relu(self.bn1(self.conv1(x)))))
        return relu(residual + self.shortcut(x))

    def shortcut(self, x: Tensor) -> Tensor:
        """The input, with zero channels and the stride of the block where it widens."""
        if not self.widens:
            return x
        return pad_shortcut(x, self.out_channels, self.stride)


class CifarResNet(Network):
    """ResNet-D for CIFAR: three stages of (D - 2) / 6 blocks, of 16, 32 and 64 channels.

    Convolutions and the weight of `fc` start Kaiming normal (fan in); the bias of `fc` keeps
    PyTorch's default.

    Parameters
    ----------
    depth : int
        D = 6n + 2, at least 8.
    num_classes : int
        Width of the logits.

    Raises
    ------
    UsageError
        For another depth.
    """

    def __init__(self, depth: int, num_classes: int) -> None:
        super().__init__()
        if depth < 8 or depth % 6 != 2:
            raise UsageError(
                f"a CIFAR ResNet's depth is 6n + 2 (8, 14, 20, 26, 32 ...), or 18 or 34 for those "
                f"with four stages; got {depth}"
            )
        blocks: list[nn.Module] = []
        channels = 16
        for out_channels in (16, 32, 64):
            for _ in range((depth - 2) // 6):
                blocks.append(CifarBlock(channels, out_channels))
                channels = out_channels
        self.conv = conv3x3(3, 16)
        self.bn = BatchNorm2d(16)
        self.blocks = nn.Sequential(*blocks)
        self.fc = nn.Linear(64, num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.kaiming_normal_(module.weight)

    @property
    def stage_ends(self) -> tuple[nn.Module, nn.Module]:
        """The modules that the first two stages end with."""
        depth = len(self.blocks) // 3
        return self.blocks[depth - 1], self.blocks[2 * depth - 1]

    def features(self, images: Tensor) -> Tensor:
        """Feature vectors [batch, 64] of images [batch, 3, height, width]."""
        return global_average(self.blocks(relu(self.bn(self.conv(images)))))


@register_family(r"resnet-([1-9]\d*)", "resnet-8", "resnet-14", "resnet-20", "resnet-32")
def cifar_resnet(depth: int, num_classes: int) -> CifarResNet:
    """Build ``resnet-<depth>`` for a depth of 6n + 2 that does not name another network."""
    if depth in _BOTTLENECK_DEPTHS:
        raise UsageError(f"resnet-{depth} is ImageNet's bottleneck network, which is not here")
    return CifarResNet(depth, num_classes)
