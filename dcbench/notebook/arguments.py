"""What somebody gives in Python, in the terms of the command line; wrong kinds in one line."""

from __future__ import annotations

import operator
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, get_args

import numpy as np

from dcbench.config.keep import Weights
from dcbench.config.names import parse_seeds, shortened, split_list
from dcbench.errors import UsageError


def whole(given: object, what: str) -> int:
    """A whole number, NumPy's too.

    Raises
    ------
    UsageError
        It is none; here and below.
    """
    try:
        if isinstance(given, bool):
            raise TypeError
        return operator.index(given)  # type: ignore[arg-type]
    except TypeError:
        raise _wrong(what, given, "a whole number") from None


def wholes(given: str | int | Iterable[int], what: str) -> tuple[int, ...]:
    """Seeds or subsets: one, several, or text as `"0-9"`."""
    if not isinstance(given, str) and isinstance(given, Iterable):
        given = ",".join(str(whole(each, what)) for each in given)
    return parse_seeds(given if isinstance(given, str) else whole(given, what), what)


def name(given: str | os.PathLike[str], what: str) -> str:
    """A name, or the path of a file that stands for one."""
    if not isinstance(given, str | os.PathLike):
        raise _wrong(what, given, "a name")
    return os.fspath(given)


def names(given: str | Iterable[str | os.PathLike[str]], what: str) -> tuple[str, ...]:
    """Several names, or text with commas between them."""
    if isinstance(given, str):
        return tuple(split_list(given))
    if not isinstance(given, Iterable):
        raise _wrong(what, given, "names")
    return tuple(name(each, what) for each in given)


def path(given: str | Path | None, what: str) -> str | Path | None:
    """A file or folder, if one is given."""
    if not isinstance(given, str | os.PathLike | None):
        raise _wrong(what, given, "a path")
    return given


def threads(given: int | None) -> int | None:
    """A number of threads, if one is given."""
    if given is None:
        return None
    count = whole(given, "threads")
    if count < 1:
        raise _wrong("threads", given, "1 or more")
    return count


def weights(given: Weights | None) -> Weights | None:
    """What becomes of the weights, if that is said."""
    if given is not None and given not in get_args(Weights):
        raise _wrong("weights", given, " or ".join(get_args(Weights)))
    return given


def settings(given: Mapping[str, Any] | None) -> dict[str, Any]:
    """Settings by their keys, as plain values."""
    if not isinstance(given, Mapping | None):
        raise _wrong("settings", given, "a mapping of keys to values, as {'epochs': 2}")
    return {name(key, "setting"): _plain(value, key) for key, value in (given or {}).items()}


def _plain(value: object, key: str) -> object:
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, list | tuple):
        return [_plain(each, key) for each in value]
    if value is None or isinstance(value, str | bool | int | float | dict):
        return value
    raise _wrong(key, value, "a number, a text, or a list of them")


def _wrong(what: str, given: object, right: str) -> UsageError:
    return UsageError(f"{what} {shortened(repr(given))}: should be {right}")
