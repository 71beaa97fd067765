"""Harmonic convolutions: kernels as weighted sums of fixed cosine functions.

Ulicny, Krylov and Dahyot, Harmonic Networks for Image Classification, BMVC 2019, and Harmonic
Convolutional Networks based on Discrete Cosine Transform, Pattern Recognition 2022
(arXiv 2001.06570). The nine functions span all 3x3 kernels, so a network represents what it did
before; initial weights and weight decay act on the coefficients instead of the pixels.

Difference from the official code: the fixed functions are buffers that no checkpoint stores, where
the code keeps them as parameters without a gradient.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d

from dcbench.errors import UsageError
from dcbench.models.layers import BatchNorm2d, replace_module


def cosine_basis(size: int, level: int | None = None) -> Tensor:
    """The products of two cosines (DCT-II) on a square window, each divided by its L1 norm.

    The function of the frequencies (u, v) is cos(pi (y + 1/2) u / size) cos(pi (x + 1/2) v / size)
    in row y and column x.

    Parameters
    ----------
    size : int
        Side of the window.
    level : int, optional
        Keep the functions with u + v < level alone. Default: all, size**2 of them.

    Returns
    -------
    float32 [functions, size, size], ordered by u, then v.
    """
    steps = torch.arange(size, dtype=torch.float64)
    waves = torch.cos(math.pi * (steps + 0.5) * steps.unsqueeze(1) / size)
    functions = [
        torch.outer(waves[u], waves[v])
        for u in range(size)
        for v in range(size)
        if level is None or u + v < level
    ]
    return torch.stack([function / function.abs().sum() for function in functions]).float()


class HarmonicConv2d(nn.Module):
    """A convolution without bias whose kernels are sums of `cosine_basis`, with learned weights.

    The weights [out_channels, in_channels, functions] start Kaiming normal by fan out: with the
    standard deviation sqrt(2 / (functions * out_channels)).

    Parameters
    ----------
    size : int
        Side of the kernel; odd, as the padding of (size - 1) / 2 keeps the size of the maps.
    level : int, optional
        As for `cosine_basis`.
    """

    basis: Tensor

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        size: int = 3,
        stride: int = 1,
        level: int | None = None,
    ) -> None:
        super().__init__()
        self.stride, self.padding = stride, size // 2
        self.register_buffer("basis", cosine_basis(size, level), persistent=False)
        self.weight = nn.Parameter(torch.empty(out_channels, in_channels, len(self.basis)))
        nn.init.normal_(self.weight, std=math.sqrt(2 / (len(self.basis) * out_channels)))

    @property
    def kernel(self) -> Tensor:
        """The kernels [out_channels, in_channels, size, size]."""
        return torch.einsum("oif,fyx->oiyx", self.weight, self.basis)

    def forward(self, x: Tensor) -> Tensor:
        """Maps [batch, out_channels, H / stride, W / stride] of [batch, in_channels, H, W]."""
        # One convolution with the summed kernels costs a ninth of nine convolutions.
        return conv2d(x, self.kernel, stride=self.stride, padding=self.padding)

    def extra_repr(self) -> str:
        """Show the channels and the number of functions."""
        return f"{self.weight.shape[1]}, {self.weight.shape[0]}, functions={len(self.basis)}"


class HarmonicStem(nn.Module):
    """The first layer: each channel is convolved with each function, normalized, then combined.

    Normalization has no weights. The 1x1 convolution that combines starts Kaiming normal by fan
    out: with the standard deviation sqrt(2 / out_channels).
    """

    basis: Tensor

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        size: int = 3,
        stride: int = 1,
        level: int | None = None,
    ) -> None:
        super().__init__()
        self.stride, self.padding = stride, size // 2
        basis = cosine_basis(size, level)
        kernels = basis.unsqueeze(1).repeat(in_channels, 1, 1, 1)
        self.register_buffer("basis", kernels, persistent=False)
        self.norm = BatchNorm2d(len(kernels), affine=False)
        self.combine = nn.Conv2d(len(kernels), out_channels, 1, bias=False)
        nn.init.normal_(self.combine.weight, std=math.sqrt(2 / out_channels))

    def forward(self, x: Tensor) -> Tensor:
        """Maps [batch, out_channels, H / stride, W / stride] of [batch, in_channels, H, W]."""
        channels = x.shape[1]
        maps = conv2d(x, self.basis, stride=self.stride, padding=self.padding, groups=channels)
        combined: Tensor = self.combine(self.norm(maps))
        return combined


def make_harmonic(network: nn.Module, level: int | None = None) -> nn.Module:
    """Replace the convolutions of a network, in place, but for those of 1x1 pixels.

    Parameters
    ----------
    network : nn.Module
        Its first convolution, in the order of its modules, becomes a `HarmonicStem`, the others
        `HarmonicConv2d`; their weights start anew.
    level : int, optional
        As for `cosine_basis`.

    Returns
    -------
    The same network.

    Raises
    ------
    UsageError
        For a convolution with a bias, groups, dilation, an even kernel, or other padding than
        what keeps the size of the maps.
    """
    layer: type[HarmonicConv2d] | type[HarmonicStem] = HarmonicStem
    for name, module in list(network.named_modules()):
        if isinstance(module, nn.Conv2d) and module.kernel_size != (1, 1):
            size = _checked_size(name, module)
            channels = module.in_channels, module.out_channels
            replace_module(network, name, layer(*channels, size, module.stride[0], level))
            layer = HarmonicConv2d
    return network


def _checked_size(name: str, convolution: nn.Conv2d) -> int:
    size, stride = convolution.kernel_size[0], convolution.stride[0]
    plain = (
        convolution.bias is None
        and convolution.groups == 1
        and convolution.dilation == (1, 1)
        and convolution.kernel_size == (size, size)
        and convolution.stride == (stride, stride)
        and size % 2 == 1
        and convolution.padding == (size // 2, size // 2)
    )
    if not plain:
        raise UsageError(
            f"layer {name}: a convolution becomes harmonic if it has an odd square kernel, "
            f"padding that keeps the size, no bias, groups or dilation; got {convolution}"
        )
    return size
