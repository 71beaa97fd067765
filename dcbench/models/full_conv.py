"""Full convolution: every pixel of a map is seen by every position of the kernel.

Kayhan and van Gemert, On Translation Invariance in CNNs: Convolutional Layers can Exploit Absolute
Spatial Location, CVPR 2020 (arXiv 2003.07064). A k x k convolution is padded by k - 1 zeros, so its
maps grow by k - 1; shortcuts are padded by zeros to fit. The number of weights stays.

As in the GEM benchmark, which this follows, the 1x1 convolution of a shortcut is not padded itself:
its input is, by the border that makes both branches of a block the same size.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn.functional import pad, relu

from dcbench.errors import UsageError
from dcbench.models.layers import replace_module
from dcbench.models.resnet import BasicBlock
from dcbench.models.resnet_cifar import CifarBlock
from dcbench.models.wide_resnet import WideBlock


def shortcut_border(stride: int) -> int:
    """Zeros around a shortcut's input beside two full 3x3 convolutions, the first with `stride`.

    Two such convolutions turn a side of H into floor((H + 1) / s) + 3, a 1x1 convolution of H + 2p
    pixels into floor((H + 2p - 1) / s) + 1: equal for p = 2 at stride 1, and p = 3 at stride 2.
    """
    return stride + 1


def with_border(x: Tensor, border: int) -> Tensor:
    """The maps with `border` zeros on each side."""
    return pad(x, (border, border, border, border))


class FullWideBlock(nn.Module):
    """`WideBlock` with full convolutions; takes over the block's layers."""

    def __init__(self, block: WideBlock) -> None:
        super().__init__()
        self.bn1, self.conv1 = block.bn1, block.conv1
        self.bn2, self.conv2 = block.bn2, block.conv2
        self.shortcut = block.shortcut
        self.border = shortcut_border(block.conv1.stride[0])

    def forward(self, x: Tensor) -> Tensor:
        """Turn maps of side H into maps of side H + 4, or floor((H + 1) / 2) + 3 at stride 2."""
        active = relu(self.bn1(x))
        residual: Tensor = self.conv2(relu(self.bn2(self.conv1(active))))
        bordered = with_border(x if self.shortcut is None else active, self.border)
        return residual + (bordered if self.shortcut is None else self.shortcut(bordered))


class FullPostBlock(nn.Module):
    """`BasicBlock` or `CifarBlock` with full convolutions; takes over the block's layers."""

    def __init__(self, block: BasicBlock | CifarBlock) -> None:
        super().__init__()
        self.block = block
        self.border = shortcut_border(block.conv1.stride[0])

    def forward(self, x: Tensor) -> Tensor:
        """Turn maps of side H into maps of side H + 4, or floor((H + 1) / 2) + 3 at stride 2."""
        block = self.block
        residual: Tensor = block.bn2(block.conv2(relu(block.bn1(block.conv1(x)))))
        return relu(residual + block.shortcut(with_border(x, self.border)))


def make_fully_convolutional(network: nn.Module, *, reset: bool = False) -> nn.Module:
    """Turn every convolution of a network but those of 1x1 pixels into a full one, in place.

    Parameters
    ----------
    network : nn.Module
        One of this package, or one without shortcuts.
    reset : bool
        Start the changed convolutions at PyTorch's defaults, as the GEM benchmark does by putting
        new layers in. False keeps the weights of the network.

    Returns
    -------
    The same network.

    Raises
    ------
    UsageError
        For a convolution with dilation or padding other than zeros.
    """
    modules = list(network.named_modules())
    for name, module in modules:
        if isinstance(module, nn.Conv2d) and module.kernel_size != (1, 1):
            if module.dilation != (1, 1) or module.padding_mode != "zeros":
                raise UsageError(
                    f"layer {name}: a convolution becomes a full one if it has no dilation and is "
                    f"padded by zeros; got {module}"
                )
            module.padding = (module.kernel_size[0] - 1, module.kernel_size[1] - 1)
            if reset:
                module.reset_parameters()
    for name, module in modules:
        if isinstance(module, WideBlock):
            replace_module(network, name, FullWideBlock(module))
        elif isinstance(module, BasicBlock | CifarBlock):
            replace_module(network, name, FullPostBlock(module))
    return network
