"""How much arithmetic a network takes.

What a training takes is reckoned as three times its forward passes, whatever a method's backward
passes do. In the forward pass convolutions, linear layers and matrix products are counted.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from dcbench.models import build_model

BACKWARD_AND_FORWARD = 3
"""A backward pass takes two times the products of a forward pass."""


class Flops(NamedTuple):
    """Floating point operations of one image's forward pass; a multiply-add counts as two.

    Attributes
    ----------
    all_taps : int
        As flop counters do it.
    inside : int
        Without the products of convolutions with the zeros around an image, which need not be
        computed.
    """

    all_taps: int
    inside: int


def forward_flops(model: str, num_classes: int, image_size: int = 32) -> Flops:
    """The arithmetic of a network by name, on one square image."""
    network = build_model(model, num_classes)
    return count_flops(network, torch.zeros(1, 3, image_size, image_size))


def count_flops(network: nn.Module, image: Tensor) -> Flops:
    """The arithmetic of a network as it was built, on one image [1, 3, height, width].

    Counted are convolutions, linear layers and matrix products that are called as such: neither
    Fourier transforms nor PyTorch's fused attention.
    """
    outside = 0

    def note_padding(layer: nn.Module, args: Any, kwargs: Any, output: Tensor) -> None:
        nonlocal outside
        assert isinstance(layer, nn.Conv2d)
        products = 2 * output.numel() * layer.weight[0].numel()
        maps = _operand(args, kwargs, 0, "input")
        outside += round(products * (1 - inside_share(layer, maps, output)))

    network.eval()
    with ExitStack() as hooks, _Products() as counted, torch.no_grad():
        for layer in network.modules():
            if isinstance(layer, nn.Conv2d):
                hook = layer.register_forward_hook(note_padding, with_kwargs=True)
                hooks.callback(hook.remove)
        network(image)
    return Flops(counted.total, counted.total - outside)


def _operand(args: tuple[Any, ...], kwargs: dict[str, Any], place: int, name: str) -> Tensor:
    """An argument of a call, given by its place or by its name."""
    operand: Tensor = args[place] if len(args) > place else kwargs[name]
    return operand


class _Products(TorchFunctionMode):
    """Counts multiplications and additions of what is called within.

    `torch.utils.flop_counter` counts the same and imports PyTorch's compiler.
    """

    def __init__(self) -> None:
        super().__init__()
        self.total = 0

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Call a function of PyTorch, and count its products."""
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        name = getattr(func, "__name__", "")
        if name in ("conv2d", "linear"):
            weight = _operand(args, kwargs, 1, "weight")
            self.total += 2 * result.numel() * weight[0].numel()
        elif name in ("matmul", "mm", "bmm", "__matmul__"):
            self.total += 2 * result.numel() * _operand(args, kwargs, 0, "input").shape[-1]
        return result


def inside_share(layer: nn.Conv2d, images: Tensor, maps: Tensor) -> float:
    """The share of a convolution's products that fall on the image and not on its padding."""
    if isinstance(layer.padding, str) or layer.padding_mode != "zeros":
        return 1.0
    share = 1.0
    for axis in (0, 1):
        size, length = images.shape[axis + 2], maps.shape[axis + 2]
        kernel, stride = layer.kernel_size[axis], layer.stride[axis]
        padding = int(layer.padding[axis])
        starts = [place * stride - padding for place in range(length)]
        inside = sum(0 <= start + tap < size for start in starts for tap in range(kernel))
        share *= inside / (length * kernel)
    return share
