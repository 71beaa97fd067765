"""Networks by name: single ones, and families whose names carry numbers."""

from __future__ import annotations

import re
from collections.abc import Callable
from fnmatch import fnmatchcase
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from dcbench.errors import UsageError, unknown

Builder = Callable[[int], nn.Module]
FamilyBuilder = Callable[..., nn.Module]

_BUILDERS: dict[str, Builder] = {}
_FAMILIES: list[tuple[re.Pattern[str], FamilyBuilder]] = []
_NAMES: set[str] = set()


def register_model(name: str) -> Callable[[Builder], Builder]:
    """Register the decorated builder, ``(num_classes) -> network``, under `name`.

    Raises
    ------
    UsageError
        When `name` is taken.
    """

    def add(builder: Builder) -> Builder:
        if name in _BUILDERS:
            raise UsageError(f"model '{name}' is registered already")
        _BUILDERS[name] = builder
        _NAMES.add(name)
        return builder

    return add


def register_family(pattern: str, *names: str) -> Callable[[FamilyBuilder], FamilyBuilder]:
    r"""Register a builder for all names that fit a regular expression.

    Parameters
    ----------
    pattern : str
        Has one group a number, such as ``wrn-(\d+)-(\d+)``. The numbers come first in the call:
        ``builder(16, 8, num_classes)``.
    names : str
        Members that `model_names` lists.
    """

    def add(builder: FamilyBuilder) -> FamilyBuilder:
        _FAMILIES.append((re.compile(pattern), builder))
        _NAMES.update(names)
        return builder

    return add


def model_names(pattern: str = "*") -> list[str]:
    """Names of the listed networks that fit a wildcard pattern, sorted.

    A family builds more than it lists: any ``wrn-D-K`` with D = 6n + 4, any ``resnet-D`` with
    D = 6n + 2.
    """
    return sorted(name for name in _NAMES if fnmatchcase(name, pattern))


def build_model(name: str, num_classes: int) -> nn.Module:
    """Build a network with fresh weights from torch's global generator.

    Parameters
    ----------
    name : str
        One of `model_names`, or another member of a family.
    num_classes : int
        Width C of the logits; at least 1.

    Returns
    -------
    torch.nn.Module
        Maps images [batch, 3, height, width] to logits [batch, C]. `features` gives the
        [batch, D] input of the last layer, `fc`.

    Raises
    ------
    UsageError
        For an unknown name, a depth that the family does not have, or `num_classes` below 1.
    """
    if num_classes < 1:
        raise UsageError(f"num_classes must be at least 1; got {num_classes}")
    if name in _BUILDERS:
        return _BUILDERS[name](num_classes)
    for pattern, builder in _FAMILIES:
        if match := pattern.fullmatch(name):
            return builder(*map(int, match.groups()), num_classes)
    raise unknown("model", name, _NAMES)


def build_outline(name: str, num_classes: int) -> nn.Module:
    """A network without weights: its layers and the shapes of its parameters.

    Parameters and errors are those of `build_model`.
    """
    with torch.device("meta"), _NoDrawing():
        return build_model(name, num_classes)


_DRAWING = {"normal_", "uniform_", "trunc_normal_", "bernoulli_"}


class _NoDrawing(TorchFunctionMode):
    """Leaves tensors as they are: drawing on the meta device imports PyTorch's compiler."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Call a function of PyTorch, unless it draws random numbers."""
        if getattr(func, "__name__", "") in _DRAWING:
            return args[0] if args else kwargs["tensor"]
        return func(*args, **(kwargs or {}))
