"""Hybrid networks: a fixed scattering transform in the place of the first layers.

Oyallon, Belilovsky and Zagoruyko, Scaling the Scattering Transform: Deep Hybrid Networks, ICCV 2017
(arXiv 1703.08961). The transform is kymatio's. As in the GEM benchmark, it replaces the stem and
the first group of blocks, and the later groups keep the size of its maps.

Differences: images are not enlarged before the transform, as that benchmark does when it crops;
the paper's own networks for CIFAR normalize after their convolutions and are trained for 4000
epochs.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from dcbench.errors import UsageError
from dcbench.models.digits import DigitsCNN
from dcbench.models.layers import BatchNorm2d, conv3x3
from dcbench.models.resnet_cifar import CifarBlock, CifarResNet
from dcbench.models.wide_resnet import WideBlock, WideResNet

ANGLES = 8


def num_coefficients(scales: int, angles: int = ANGLES) -> int:
    """Maps that a scattering of order 2 makes of one channel: 9, 81 or 217 at 1, 2 or 3 scales.

    One is the local average, `angles` for each scale are of order 1, and of order 2 there are
    `angles` squared for each pair of scales.
    """
    return 1 + angles * scales + angles**2 * scales * (scales - 1) // 2


class Scattering(nn.Module):
    """The scattering transform of order 2 with Morlet wavelets at 8 angles; nothing is learned.

    Parameters
    ----------
    scales : int
        J: the maps are smaller by 2**J.
    image_size : (int, int)
        Height and width, multiples of 2**J.

    Raises
    ------
    UsageError
        kymatio is not installed, or the images are too small or of another size.
    """

    def __init__(self, scales: int, image_size: tuple[int, int]) -> None:
        super().__init__()
        if any(side % 2**scales for side in image_size):
            raise UsageError(
                f"scales={scales}: images of {image_size[0]}x{image_size[1]} pixels should have "
                f"sides that are multiples of {2**scales}"
            )
        self.transform = _kymatio(scales, image_size)
        for name, filters in list(self.transform.named_buffers()):
            # They follow from the scales and the size, so that no checkpoint stores them.
            self.transform.register_buffer(name, filters, persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """Maps [batch, channels * coefficients, H / 2**J, W / 2**J] of [batch, channels, H, W]."""
        maps: Tensor = self.transform(images.contiguous())
        return maps.flatten(1, 2)


def _kymatio(scales: int, image_size: tuple[int, int]) -> Any:
    try:
        # Not from kymatio.torch: that also imports the transforms of volumes, which need a function
        # that SciPy 1.17 no longer has.
        from kymatio import Scattering2D
    except ImportError as problem:
        raise UsageError(
            "method scattering needs the package kymatio, which is not installed: "
            "pip install 'dcbench-vision[scattering]'"
        ) from problem
    return Scattering2D(J=scales, shape=image_size, L=ANGLES, max_order=2, frontend="torch")


class ScatteringStem(nn.Module):
    """Scattering, normalized without weights, then a 3x3 convolution with PyTorch's defaults."""

    def __init__(self, scales: int, image_size: tuple[int, int], out_channels: int) -> None:
        super().__init__()
        maps = 3 * num_coefficients(scales)
        self.scattering = Scattering(scales, image_size)
        self.norm = BatchNorm2d(maps, affine=False)
        self.conv = conv3x3(maps, out_channels)

    def forward(self, images: Tensor) -> Tensor:
        """Maps [batch, out_channels, H / 2**J, W / 2**J] of images [batch, 3, H, W]."""
        convolved: Tensor = self.conv(self.norm(self.scattering(images)))
        return convolved


def make_hybrid(network: nn.Module, scales: int, image_size: tuple[int, int]) -> nn.Module:
    """Put scattering in the place of a network's first layers, and strides of 1 behind it.

    Parameters
    ----------
    network : nn.Module
        A wide ResNet, a ResNet for CIFAR or the network for digits.
    scales : int
        J: the maps that are learned from are smaller than the images by 2**J.
    image_size : (int, int)

    Returns
    -------
    The same network.

    Raises
    ------
    UsageError
        For another network, or images that the transform does not take.
    """
    if isinstance(network, WideResNet):
        channels = _without_first_group(network)
        stem = ScatteringStem(scales, image_size, channels)
        network.conv = nn.Sequential(stem, BatchNorm2d(channels), nn.ReLU())  # type: ignore[assignment]
    elif isinstance(network, CifarResNet):
        channels = _without_first_group(network)
        network.conv = ScatteringStem(scales, image_size, channels)  # type: ignore[assignment]
    elif isinstance(network, DigitsCNN):
        first, second = network.layers[0], network.layers[3]
        assert isinstance(first, nn.Conv2d)
        assert isinstance(second, nn.Conv2d)
        network.layers[0] = ScatteringStem(scales, image_size, first.out_channels)
        second.stride = (1, 1)
    else:
        raise UsageError(
            "method scattering has no hybrid of this model; model should be wrn-D-K, resnet-D with "
            f"D = 6n + 2, or digits-cnn; got a {type(network).__name__}"
        )
    return network


def _without_first_group(network: WideResNet | CifarResNet) -> int:
    """Drop the blocks before the first stride and all strides; the channels that then come in."""
    blocks = [block for block in network.blocks if isinstance(block, WideBlock | CifarBlock)]
    starts = [index for index, block in enumerate(blocks) if block.conv1.stride != (1, 1)]
    kept = blocks[starts[0] :]
    for block in kept:
        block.conv1.stride = (1, 1)
        if isinstance(block, CifarBlock):
            block.stride = 1
        elif block.shortcut is not None:
            block.shortcut.stride = (1, 1)
    network.blocks = nn.Sequential(*kept)
    return kept[0].conv1.in_channels
