"""Which engines there are: those of dcbench, and installed ones of the group `dcbench.engines`."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

from dcbench.config.base import validated
from dcbench.config.plugins import loaded
from dcbench.config.reading import read_yaml
from dcbench.errors import UsageError, unknown
from dcbench.sweep.engines.base import Engine

_GROUP = "dcbench.engines"
_BUILT_IN = {
    "serial": "dcbench.sweep.engines.serial:Serial",
    "loky": "dcbench.sweep.engines.loky:Loky",
    "dask": "dcbench.sweep.engines.dask:Dask",
    "ray": "dcbench.sweep.engines.ray:Ray",
    "slurm": "dcbench.sweep.engines.slurm:Slurm",
}
"""Where the class of each engine is; it is imported when it is asked for."""


def engine_names() -> list[str]:
    """Names of the engines, those of dcbench first; whether each can be loaded is not tried."""
    return [*_BUILT_IN, *sorted(found.name for found in _installed())]


def engine_class(name: str) -> type[Engine[Any]]:
    """The class of an engine.

    Raises
    ------
    UsageError
        There is none of this name, a package that it needs is not installed, or it is broken.
    """
    if name in _BUILT_IN:
        return _built_in(name)
    for entry_point in _installed():
        if entry_point.name == name:
            found: type[Engine[Any]] = loaded(entry_point, "engine", _is_engine, "Engine")
            return found
    raise unknown("engine", name, engine_names())


def load_engine(
    name: str, options: Path | Mapping[str, Any] | None = None, **flags: Any
) -> Engine[Any]:
    """An engine with its options.

    Parameters
    ----------
    options : path or mapping, optional
        The engine's options, or a YAML file with them.
    flags
        Options that the command line gives; they win, and None is no value.

    Raises
    ------
    UsageError
        As `engine_class`; or an option that the engine does not have, or cannot have.
    """
    kind = engine_class(name)
    content = read_yaml(options) or {} if isinstance(options, Path) else options or {}
    given = {key: value for key, value in flags.items() if value is not None}
    for key in given:
        if key not in kind.Options.model_fields:
            raise UsageError(f"engine {name}: has no {key} to choose; try --engine loky")
    if not isinstance(content, Mapping):
        raise UsageError(f"{options}: should be options of engine {name}, as key: value")
    where = f"{options}: engine {name}" if isinstance(options, Path) else f"engine {name}"
    return kind(validated(kind.Options, {**content, **given}, where))


def _installed() -> list[EntryPoint]:
    return [each for each in entry_points(group=_GROUP) if each.name not in _BUILT_IN]


def _built_in(name: str) -> type[Engine[Any]]:
    module, _, attribute = _BUILT_IN[name].partition(":")
    try:
        found: type[Engine[Any]] = getattr(importlib.import_module(module), attribute)
    except ModuleNotFoundError as problem:
        raise UsageError(
            f"engine {name}: {problem.name} is not installed; "
            f"run pip install 'dcbench-vision[{name}]'"
        ) from None
    return found


def _is_engine(value: object) -> bool:
    return isinstance(value, type) and issubclass(value, Engine)
