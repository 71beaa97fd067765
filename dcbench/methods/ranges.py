"""Where the settings of a method are searched, as its class declares it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import get_args

from dcbench.config.base import validated
from dcbench.config.names import shortened
from dcbench.config.recipe import Recipe
from dcbench.config.tuned import TUNABLE, Range
from dcbench.errors import UsageError, unknown
from dcbench.methods.base import Method

_WIDE = 10
"""Ranges whose bounds are so many times apart are searched on a logarithmic scale."""


def declared_ranges(method: type[Method]) -> dict[str, Range]:
    """The `ranges` of a method.

    Raises
    ------
    UsageError
        One is of no setting that can be searched, or is neither two bounds nor choices.
    """
    where, known = f"method {method.name}: ranges", searchable(method)
    declared: object = method.ranges
    if not isinstance(declared, Mapping):
        raise UsageError(
            f"{where}={_short(declared)}: should be ranges by the settings' names, as "
            "{'beta': (0.01, 1.0)}"
        )
    for key in declared:
        if key not in known:
            raise UsageError(f"{where}: {unknown('setting', str(key), known)}")
    return {key: as_range(method, key, each, f"{where}: {key}") for key, each in declared.items()}


def searchable(method: type[Method]) -> tuple[str, ...]:
    """What may be searched for a method: of the recipe, and of its own settings."""
    return (*TUNABLE, *method.model_fields)


def as_range(method: type[Method], key: str, declared: object, where: str) -> Range:
    """The range of a setting: two bounds, as (0.01, 1.0), or a list of choices.

    Parameters
    ----------
    where : str
        Begins the message of an error.

    Raises
    ------
    UsageError
        It is neither, or its bounds do not rise.
    """
    if isinstance(declared, list) and declared:
        return validated(Range, {"choices": declared}, where)
    if not (isinstance(declared, tuple) and len(declared) == 2 and all(map(_is_number, declared))):
        raise UsageError(
            f"{where}={_short(declared)}: should be two numbers that rise, as (0.01, 1.0), or a "
            "list of choices"
        )
    low, high = declared
    fields = method.model_fields if key in method.model_fields else Recipe.model_fields
    log = low > 0 and high >= _WIDE * low
    kinds = get_args(fields[key].annotation) or (fields[key].annotation,)
    integer = int in kinds and float not in kinds  # `int | None` too
    if integer and (low % 1 or high % 1):
        raise UsageError(f"{where}, {low}..{high}: should be of whole numbers, as {key} is")
    return validated(Range, {"low": low, "high": high, "log": log, "integer": integer}, where)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _short(value: object) -> str:
    return shortened(repr(value))
