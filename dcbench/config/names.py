"""What users type, read: methods with their settings, seeds, subsets, lists, durations."""

from __future__ import annotations

import re
from typing import Annotated, Any, NamedTuple

from pydantic import AfterValidator

from dcbench.config.strict_yaml import YAMLTextError, parse_yaml
from dcbench.config.text import is_utf8
from dcbench.errors import UsageError

MOST_SEEDS = 100_000
"""Numbers that one range or list may name."""

LARGEST_SEED = 10**9 - 1


def parse_seeds(text: str | int, what: str = "seed") -> tuple[int, ...]:
    """`"0-4"`, `"0,2,5"` or `3` as seeds (or subsets, if that is `what`), in the order given.

    Raises
    ------
    UsageError
        Not numbers, numbers that are too large or too many, a range that runs backwards, or a
        number given twice.
    """
    said = f"{what}s '{shortened(str(text))}'"
    seeds: list[int] = []
    for part in str(text).split(","):
        match = re.fullmatch(r"\s*([0-9]+)(?:\s*-\s*([0-9]+))?\s*", part)
        if match is None:
            raise UsageError(f"{said}: write a number, a range (0-9) or a list (0,2,5)")
        if max(map(len, filter(None, match.groups()))) > len(str(LARGEST_SEED)):
            raise UsageError(f"{said}: {what}s go up to {LARGEST_SEED}")
        first, last = int(match[1]), int(match[2] or match[1])
        if last < first:
            raise UsageError(f"{said}: the range runs backwards; write {last}-{first}")
        if len(seeds) + last - first >= MOST_SEEDS:
            raise UsageError(f"{said}: more than {MOST_SEEDS} {what}s; ask for fewer at once")
        seeds += range(first, last + 1)
    if len(set(seeds)) != len(seeds):
        raise UsageError(f"{said}: a {what} is given twice")
    return tuple(seeds)


def shortened(text: str, limit: int = 60) -> str:
    """A text as a sentence can hold it."""
    return text if len(text) <= limit else f"{text[:limit]}…"


def as_text(value: Any) -> str:
    """A value as it stands in a label, and so in a folder's name."""
    text = "-".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)
    return re.sub(r"[^A-Za-z0-9.+-]", "_", text)


MOST_METHOD = 1000
"""Characters of a method with its settings."""


_PART = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+=,\[\]-]{0,199}")


def path_part(name: str) -> str:
    """A name that may be one part of a path, wherever it comes from: a record, a file, a user.

    Raises
    ------
    ValueError
        It could lead out of the folder, be hidden there, or be longer than file systems allow.
    """
    if not _PART.fullmatch(name):
        raise ValueError("should be a name: letters, digits and _ . + = , [ ] -, 200 at most")
    return name


PathPart = Annotated[str, AfterValidator(path_part)]
"""A field whose value becomes a part of a path."""


def _utf8(text: str) -> str:
    if not is_utf8(text):
        raise ValueError("should be text in UTF-8, as its file is; name it otherwise")
    return text


Text = Annotated[str, AfterValidator(_utf8)]
"""A field whose value may come from the name of a file, and is written into one."""


EXTRA = "extra"
"""What the label of a method that uses further images says of them: `mine[extra=imagenet]`."""

EXTRA_DEPARTURE = "extra data: "
"""Begins the departure of such a method."""


class MethodSpec(NamedTuple):
    """A method as it is written on a command line: `ic-mixup[axes=class]`."""

    name: str
    settings: dict[str, Any]


def parse_method(text: str) -> MethodSpec:
    """Split `name[key=value,…]` into the name and its settings."""
    if len(text) > MOST_METHOD:
        raise UsageError(f"method '{shortened(text)}': longer than {MOST_METHOD} characters")
    match = re.fullmatch(r"([^\[\]]*[^\[\]\s])\s*(?:\[(.*)\])?", text.strip())
    if match is None:
        raise UsageError(f"method '{shortened(text)}': write name or name[key=value,…]")
    return MethodSpec(match[1], parse_settings(split_list(match[2] or "")))


def split_list(text: str) -> list[str]:
    """The items of a list, at the commas that stand in no brackets; of nothing, none."""
    if not text:
        return []
    items, begin, depth = [], 0, 0
    for bracket in re.finditer(r"[\[\],]", text):
        if bracket[0] == "[":
            depth += 1
        elif bracket[0] == "]":
            depth = max(depth - 1, 0)
        elif not depth:
            items.append(text[begin : bracket.start()])
            begin = bracket.end()
    return [each.strip() for each in (*items, text[begin:])]


def parse_settings(pairs: list[str]) -> dict[str, Any]:
    """`["alpha=0.2", "axes=class"]` as a mapping; values are read as YAML."""
    settings: dict[str, Any] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key.strip() or not value.strip():
            raise UsageError(f"setting '{shortened(pair)}': write key=value")
        if key.strip() in settings:
            raise UsageError(f"setting '{shortened(pair)}': {key.strip()} is given twice")
        try:
            settings[key.strip()] = parse_yaml(value)
        except YAMLTextError as problem:
            raise UsageError(f"setting '{shortened(pair)}': {problem}") from None
    return settings


def parse_duration(text: str) -> float:
    """Seconds of `90s`, `9m` or `1.5h`.

    Raises
    ------
    UsageError
        It is none of these, or nothing.
    """
    match = re.fullmatch(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)\s*([smh])", text.strip())
    if match is None or not float(match[1]):
        raise UsageError(f"duration '{shortened(text)}': write 90s, 9m or 1.5h")
    return float(match[1]) * {"s": 1, "m": 60, "h": 3600}[match[2]]
