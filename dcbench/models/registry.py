"""Networks by name: single ones, and families whose names carry numbers.

A network outside dcbench is found by the entry-point group `dcbench.models`, or as
`path/to/file.py:Class`; it then goes by a name as well, and by where it is from.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from fnmatch import fnmatchcase
from importlib.metadata import EntryPoint, entry_points
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from dcbench.config.plugins import (
    PLAIN_NAME,
    Origin,
    file_of,
    is_file_location,
    is_of_file,
    kebab,
    load_each,
    object_of_file,
    origin_of,
    unknown_name,
)
from dcbench.config.third_party import third_party
from dcbench.errors import RunError, UsageError

Builder = Callable[[int], nn.Module]
FamilyBuilder = Callable[..., nn.Module]

_BUILDERS: dict[str, Builder] = {}
_FAMILIES: list[tuple[re.Pattern[str], FamilyBuilder]] = []
_NAMES: set[str] = set()
_ORIGINS: dict[str, Origin] = {}
"""Of the networks that files and packages bring."""

_KIND = "network"


def register_model(name: str) -> Callable[[Builder], Builder]:
    """Register the decorated builder, ``(num_classes) -> network``, under `name`.

    Raises
    ------
    UsageError
        When `name` is taken, or is not of lower-case words joined by hyphens.
    """
    if not PLAIN_NAME.fullmatch(name):
        raise UsageError(f"model name '{name}': use lower-case words joined by hyphens")

    def add(builder: Builder) -> Builder:
        holder = _BUILDERS.get(name)
        again = is_of_file(builder)  # its file was run again
        if holder is not None and not (again and holder.__module__ == builder.__module__):
            raise UsageError(f"model '{name}' is registered already, by {holder.__module__}")
        if any(pattern.fullmatch(name) for pattern, _ in _FAMILIES):
            raise UsageError(f"model '{name}' is the name of one of dcbench's families")
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
    _load_entry_points()
    return sorted(name for name in _NAMES if fnmatchcase(name, pattern))


def find_model(name: str) -> str:
    """The name that a network goes by: a name itself, or that of `path/to/file.py:Class`.

    A file is run; `build_model` runs none, since the names of records come to it.

    Raises
    ------
    UsageError
        The file cannot be read or run, has no such network, or one whose name is taken.
    """
    return _from_file(name) if is_file_location(name) else name


def model_origin(name: str) -> Origin:
    """Which file and package a network is from; neither, for one of dcbench's own."""
    return _ORIGINS.get(name, Origin())


def is_own(name: str) -> bool:
    """Whether a name is that of one of dcbench's networks; no other code is looked at."""
    builder = _BUILDERS.get(name)
    if builder is not None:
        return _is_own(builder)
    return any(each.fullmatch(name) for each, _ in _FAMILIES)


def third_party_builder(name: str) -> Builder | None:
    """What builds a network that is not dcbench's own; None for one that is, or for no network."""
    builder = _builder(name)
    return None if builder is None or _is_own(builder) else builder


def forget_files() -> bool:
    """Free the names of networks that came from files; whether there were any."""
    before = len(_BUILDERS)
    for name, builder in list(_BUILDERS.items()):
        if is_of_file(builder):
            del _BUILDERS[name]
            _NAMES.discard(name)
            _ORIGINS.pop(name, None)
    return len(_BUILDERS) < before


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
    RunError
        A third-party network cannot be built.
    """
    if num_classes < 1:
        raise UsageError(f"num_classes must be at least 1; got {num_classes}")
    builder = _builder(name)
    if builder is not None:
        return _built(name, builder, num_classes)
    for pattern, builder in _FAMILIES:
        if match := pattern.fullmatch(name):
            return builder(*map(int, match.groups()), num_classes)
    raise unknown_name("model", name, _NAMES)


def _builder(name: str) -> Builder | None:
    """The builder of a name that is no family's; packages are asked for what is not here."""
    if name not in _BUILDERS and not any(each.fullmatch(name) for each, _ in _FAMILIES):
        _load_entry_points()
    return _BUILDERS.get(name)


def _built(name: str, builder: Builder, num_classes: int) -> nn.Module:
    if _is_own(builder):
        return builder(num_classes)
    with third_party(f"network {name}: ", file_of(builder), RunError):
        network = builder(num_classes)
        if not isinstance(network, nn.Module):
            raise TypeError(f"gives a {type(network).__name__}, and should give a torch.nn.Module")
    return network


def _is_own(builder: Builder) -> bool:
    return builder.__module__.startswith("dcbench.")


def _load_entry_points() -> None:
    new = (each for each in entry_points(group="dcbench.models") if each.name not in _BUILDERS)
    load_each(new, _KIND, callable, "network", _take)


def _take(entry_point: EntryPoint, found: Builder) -> None:
    register_model(entry_point.name)(found)
    _ORIGINS[entry_point.name] = origin_of(entry_point, found)


def _from_file(location: str) -> str:
    found, origin = object_of_file(location, _KIND, _builds, "network")
    names = [name for name, builder in _BUILDERS.items() if builder is found]
    name = names[0] if names else kebab(location.rpartition(":")[2])
    if not names:
        register_model(name)(found)
    _ORIGINS[name] = origin
    return name


def _builds(value: object) -> bool:
    """A class of networks, or a function."""
    return (isinstance(value, type) and issubclass(value, nn.Module)) or inspect.isfunction(value)


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
