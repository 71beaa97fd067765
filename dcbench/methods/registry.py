"""Which methods there are: registered here, by an installed package, or named by a file.

A method outside dcbench is found by the entry-point group `dcbench.methods`, or as
`path/to/file.py:Class`.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import Any, TypeGuard, TypeVar

from dcbench.config.base import validated
from dcbench.config.plugins import (
    PLAIN_NAME,
    is_file_location,
    is_of_file,
    kebab,
    load_each,
    object_of_file,
    origin_of,
    unknown_name,
)
from dcbench.errors import UsageError
from dcbench.methods.base import Method
from dcbench.methods.failures import named

_methods: dict[str, type[Method]] = {}
_KIND, _WHAT = "method", "subclass of dcbench.methods.Method"

AnyMethod = TypeVar("AnyMethod", bound=type[Method])


def register(name: str) -> Callable[[AnyMethod], AnyMethod]:
    """Class decorator that gives a method its name: lower case, words joined by hyphens."""
    if not PLAIN_NAME.fullmatch(name):
        raise UsageError(f"method name '{name}': use lower-case words joined by hyphens")

    def decorate(method: AnyMethod) -> AnyMethod:
        holder = _methods.get(name)
        if holder is not None and holder.__module__ != method.__module__:
            raise UsageError(f"method name '{name}' is taken by {holder.__module__}")
        method.name = name
        _methods[name] = method
        return method

    return decorate


def method_names(pattern: str = "*") -> list[str]:
    """Names of the registered and the installed methods, by wildcard."""
    _load_entry_points()
    return sorted(fnmatch.filter(_methods, pattern))


def method_class(name: str) -> type[Method]:
    """The class of a name, or of `path/to/file.py:Class`."""
    if is_file_location(name):
        return _from_file(name)
    if name not in _methods:
        _load_entry_points()
    if name not in _methods:
        raise unknown_name(_KIND, name, _methods)
    return _methods[name]


def is_own(name: str) -> bool:
    """Whether a name is that of a method that comes with dcbench; no other code is looked at."""
    found = _methods.get(name)
    return found is not None and found.__module__.startswith("dcbench.")


def forget_files() -> None:
    """Free the names of methods that came from files, for a process that works for others."""
    for name, method in list(_methods.items()):
        if is_of_file(method):
            del _methods[name]


def build_method(name: str, settings: Mapping[str, Any]) -> Method:
    """The method with its settings, checked."""
    found = method_class(name)
    with named(found):
        return validated(found, dict(settings), f"method {name}")


def as_method(method: Method, name: str) -> Method:
    """The method of another name, with the settings that both have."""
    found = method_class(name)
    shared = {key: value for key, value in method.settings.items() if key in found.model_fields}
    return build_method(name, shared)


def _load_entry_points() -> None:
    new = (each for each in entry_points(group="dcbench.methods") if each.name not in _methods)
    load_each(new, _KIND, _is_method, "Method", _take)


def _take(entry_point: EntryPoint, found: type[Method]) -> None:
    register(entry_point.name)(found)
    found.source_sha256, found.distribution = origin_of(entry_point, found)


def _from_file(location: str) -> type[Method]:
    found: type[Method]
    found, origin = object_of_file(location, _KIND, _is_method, _WHAT)
    if "name" not in vars(found):
        register(kebab(location.rpartition(":")[2]))(found)
    found.source_sha256 = origin.sha256
    return found


def _is_method(value: object) -> TypeGuard[type[Method]]:
    return isinstance(value, type) and issubclass(value, Method)
