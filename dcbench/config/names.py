"""What users type, read: methods with their settings, seeds, subsets, lists, durations."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

import yaml

from dcbench.errors import UsageError


def parse_seeds(text: str | int, what: str = "seed") -> tuple[int, ...]:
    """`"0-4"`, `"0,2,5"` or `3` as seeds (or subsets, if that is `what`), in the order given.

    Raises
    ------
    UsageError
        Not numbers, a range that runs backwards, or a number given twice.
    """
    seeds: list[int] = []
    for part in str(text).split(","):
        match = re.fullmatch(r"\s*(\d+)(?:\s*-\s*(\d+))?\s*", part)
        if match is None:
            raise UsageError(f"{what}s '{text}': write a number, a range (0-9) or a list (0,2,5)")
        first, last = int(match[1]), int(match[2] or match[1])
        if last < first:
            raise UsageError(f"{what}s '{text}': the range runs backwards; write {last}-{first}")
        seeds += range(first, last + 1)
    if len(set(seeds)) != len(seeds):
        raise UsageError(f"{what}s '{text}': a {what} is given twice")
    return tuple(seeds)


def as_text(value: Any) -> str:
    """A value as it stands in a label, and so in a folder's name."""
    text = "-".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)
    return re.sub(r"[^A-Za-z0-9.+-]", "_", text)


class MethodSpec(NamedTuple):
    """A method as it is written on a command line: `ic-mixup[axes=class]`."""

    name: str
    settings: dict[str, Any]


def parse_method(text: str) -> MethodSpec:
    """Split `name[key=value,…]` into the name and its settings."""
    match = re.fullmatch(r"([^\[\]\s]+)\s*(?:\[(.*)\])?", text.strip())
    if match is None:
        raise UsageError(f"method '{text}': write name or name[key=value,…]")
    return MethodSpec(match[1], parse_settings(split_list(match[2] or "")))


def split_list(text: str) -> list[str]:
    """The items of a list, at the commas that stand in no brackets; of nothing, none."""
    return [each.strip() for each in re.split(r",(?![^\[]*\])", text)] if text else []


def parse_settings(pairs: list[str]) -> dict[str, Any]:
    """`["alpha=0.2", "axes=class"]` as a mapping; values are read as YAML."""
    settings: dict[str, Any] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key.strip() or not value.strip():
            raise UsageError(f"setting '{pair}': write key=value")
        if key.strip() in settings:
            raise UsageError(f"setting '{pair}': {key.strip()} is given twice")
        try:
            settings[key.strip()] = yaml.safe_load(value)
        except yaml.YAMLError:
            raise UsageError(f"setting '{pair}': the value is not valid YAML") from None
    return settings


def parse_duration(text: str) -> float:
    """Seconds of `90s`, `9m` or `1.5h`.

    Raises
    ------
    UsageError
        It is none of these, or nothing.
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smh])", text.strip())
    if match is None or not float(match[1]):
        raise UsageError(f"duration '{text}': write 90s, 9m or 1.5h")
    return float(match[1]) * {"s": 1, "m": 60, "h": 3600}[match[2]]
