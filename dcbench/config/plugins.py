"""Third-party code as it is found: in a file that somebody names, or in an installed package.

Whatever such code decides is recorded with the SHA-256 of its file, so that a changed file is seen.
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
import sys
from collections.abc import Callable, Iterable
from importlib.metadata import EntryPoint
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from dcbench.config.names import shortened
from dcbench.config.reading import read_file
from dcbench.config.third_party import third_party
from dcbench.errors import UsageError, unknown

_log = logging.getLogger(__name__)

PLAIN_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
"""What plug-ins are called: lower-case words joined by hyphens."""


_FILE_MODULE = "dcbench_file_"
"""Begins the names of modules made of files: a file is one module, whatever is taken from it."""


class Origin(NamedTuple):
    """Where code is from that is not dcbench's own.

    Attributes
    ----------
    sha256 : str or None
        Of its file; None for code that was typed into a notebook.
    package : str or None
        The installed package with its version; None for a file that is named by its path.
    """

    sha256: str | None = None
    package: str | None = None


def is_file_location(name: str) -> bool:
    """Whether a name is `path/to/file.py:Class`, and so would be run."""
    return ".py:" in name


def is_of_file(found: object) -> bool:
    """Whether a class or function is defined in a file that was named by its path."""
    return found.__module__.startswith(_FILE_MODULE)


def unknown_name(kind: str, name: str, known: Iterable[str]) -> UsageError:
    """The error for a name that nothing carries: it may be meant for what a file defines."""
    if name.endswith(".py"):
        return UsageError(
            f"{kind} {shortened(name)}: write FILE.py:Class, with the name of its class"
        )
    told = str(unknown(kind, name, known))
    own = "" if "did you mean" in told else f"; a {kind} of your own is named FILE.py:Class"
    return UsageError(f"{told}{own}")


def object_of_file(
    location: str, kind: str, fits: Callable[[object], bool], what: str
) -> tuple[Any, Origin]:
    """What `path/to/file.py:Name` names, of a file that is read and run anew.

    Parameters
    ----------
    kind : str
        Begins the messages: method, network.
    fits : callable
        Whether a value that the file defines is of this kind.
    what : str
        What should be in the file, such as a network.

    Raises
    ------
    UsageError
        The file cannot be read or run, or defines nothing of that name that fits.
    """
    file_name, _, wanted = location.rpartition(":")
    path = Path(file_name)
    try:
        source = read_file(path, links=True, error=UsageError)
    except UsageError as problem:
        raise UsageError(f"{kind} file {problem}") from None
    module = _executed(path, source, kind)
    found = {
        name: value
        for name, value in vars(module).items()
        if getattr(value, "__module__", None) == module.__name__ and fits(value)
    }
    if wanted not in found:
        if not found:
            raise UsageError(f"{kind} file {path}: defines no {what}")
        if hasattr(module, wanted) and not fits(getattr(module, wanted)):
            raise UsageError(
                f"{kind} file {path}: {wanted} is no {what}; there are: {', '.join(sorted(found))}"
            )
        raise unknown(f"{kind} in {path}", wanted, found)
    return found[wanted], Origin(hashlib.sha256(source).hexdigest())


def _executed(path: Path, source: bytes, kind: str) -> ModuleType:
    """The file as a module, read anew: never from compiled code that may be of an older file."""
    digest = hashlib.sha256(os.fsencode(path.resolve())).hexdigest()
    module = ModuleType(f"{_FILE_MODULE}{digest[:16]}")
    module.__file__ = str(path)
    sys.modules[module.__name__] = module
    with third_party(f"{kind} file ", path, UsageError, place=f"{path}: "):
        # Whoever names such a file trusts it.
        exec(compile(source, path, "exec"), vars(module))  # noqa: S102 # nosec B102
    return module


def loaded(entry_point: EntryPoint, kind: str, fits: Callable[[object], bool], what: str) -> Any:
    """What an entry point names.

    Raises
    ------
    UsageError
        It cannot be loaded, or is something else.
    """
    with third_party(f"{kind} '{entry_point.name}' cannot be loaded: ", None, UsageError):
        found = entry_point.load()
        if not fits(found):
            raise TypeError(f"{entry_point.value} is no {what}")
    return found


def load_each(
    entry_points: Iterable[EntryPoint],
    kind: str,
    fits: Callable[[object], bool],
    what: str,
    take: Callable[[EntryPoint, Any], None],
) -> None:
    """Give `take` what each entry point names; one that is broken is logged and hides no other."""
    for entry_point in entry_points:
        try:
            take(entry_point, loaded(entry_point, kind, fits, what))
        except UsageError as problem:
            _log.warning("%s", problem)


def origin_of(entry_point: EntryPoint, found: object) -> Origin:
    """The hash of the file that an installed object is in, and its package with its version."""
    module = getattr(found, "__module__", None) or entry_point.module
    path = getattr(sys.modules.get(module), "__file__", None)
    try:
        digest = hashlib.sha256(Path(path).read_bytes()).hexdigest() if path else None
    except OSError:
        digest = None
    package = entry_point.dist
    return Origin(digest, f"{package.name} {package.version}" if package else None)


def file_of(found: object) -> Path | None:
    """The file that a class or function is defined in."""
    path = getattr(sys.modules.get(getattr(found, "__module__", "")), "__file__", None)
    return Path(path) if path else None


def kebab(name: str) -> str:
    """The plain name of a class: `MyOwnNet` is my-own-net, and so is my_own_net."""
    parted = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "-", name)
    return parted.strip("_").replace("_", "-").lower()
