"""Which methods there are: registered here, by an installed package, or named by a file.

A method outside dcbench is found by the entry-point group `dcbench.methods`, or as
`path/to/file.py:Class`.
"""

from __future__ import annotations

import fnmatch
import hashlib
import logging
import re
import sys
from collections.abc import Callable, Mapping
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import Any, TypeGuard, TypeVar

from dcbench.config.base import validated
from dcbench.config.reading import read_file
from dcbench.errors import UsageError, unknown
from dcbench.methods.base import Method
from dcbench.methods.failures import named, third_party

_log = logging.getLogger(__name__)
_methods: dict[str, type[Method]] = {}
_FILE_MODULE = "dcbench_method_"
_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")

AnyMethod = TypeVar("AnyMethod", bound=type[Method])


def register(name: str) -> Callable[[AnyMethod], AnyMethod]:
    """Class decorator that gives a method its name: lower case, words joined by hyphens."""
    if not _NAME.fullmatch(name):
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
    if ".py:" in name:
        return _from_file(name)
    if name not in _methods:
        _load_entry_points()
    if name not in _methods:
        raise unknown("method", name, _methods)
    return _methods[name]


def forget_files() -> None:
    """Free the names of methods that came from files, for a process that works for others."""
    for name, method in list(_methods.items()):
        if method.__module__.startswith(_FILE_MODULE):
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
    for entry_point in entry_points(group="dcbench.methods"):
        if entry_point.name in _methods:
            continue
        try:
            with third_party(f"method '{entry_point.name}' cannot be loaded: ", None, UsageError):
                loaded = entry_point.load()
                if not (isinstance(loaded, type) and issubclass(loaded, Method)):
                    raise TypeError(f"{entry_point.value} is not a Method")
                register(entry_point.name)(loaded)
                loaded.source_sha256, loaded.distribution = _origin(entry_point, loaded)
        except UsageError as problem:
            _log.warning("%s", problem)


def _origin(entry_point: EntryPoint, method: type[Method]) -> tuple[str | None, str | None]:
    """The hash of the file that an installed method is in, and its package with its version."""
    path = getattr(sys.modules.get(method.__module__), "__file__", None)
    try:
        digest = hashlib.sha256(Path(path).read_bytes()).hexdigest() if path else None
    except OSError:
        digest = None
    found = entry_point.dist
    return digest, f"{found.name} {found.version}" if found else None


def _from_file(location: str) -> type[Method]:
    file_name, _, class_name = location.rpartition(":")
    path = Path(file_name)
    try:
        source = read_file(path, links=True, error=UsageError)
    except UsageError as problem:
        raise UsageError(f"method file {problem}") from None
    module = _executed(path, source)
    classes = {key: value for key, value in vars(module).items() if _defined_here(value, module)}
    if class_name not in classes:
        raise unknown(f"method class in {path}", class_name, classes)
    found = classes[class_name]
    if "name" not in vars(found):
        register(_kebab(class_name))(found)
    found.source_sha256 = hashlib.sha256(source).hexdigest()
    return found


def _executed(path: Path, source: bytes) -> ModuleType:
    """The file as a module, read anew: never from compiled code that may be of an older file."""
    digest = hashlib.sha256(str(path.resolve()).encode()).hexdigest()
    module = ModuleType(f"{_FILE_MODULE}{digest[:16]}")
    module.__file__ = str(path)
    sys.modules[module.__name__] = module
    with third_party("method file ", path, UsageError, place=f"{path}: "):
        exec(compile(source, path, "exec"), vars(module))  # noqa: S102 # nosec B102 - a method file is trusted
    return module


def _defined_here(value: object, module: ModuleType) -> TypeGuard[type[Method]]:
    return (
        isinstance(value, type)
        and issubclass(value, Method)
        and value.__module__ == module.__name__
    )


def _kebab(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "-", name).lower()
