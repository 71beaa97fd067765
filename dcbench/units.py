"""Quantities in words."""

from __future__ import annotations

import re

from dcbench.errors import UsageError


def duration(seconds: float) -> str:
    """A time span for people: `48 s`, `3 min 20 s`, `4 h 05 min`."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min"


def span(numbers: tuple[int, ...]) -> str:
    """Whole numbers in short: `0-9`, or `0,2,5`."""
    whole = list(numbers) == list(range(numbers[0], numbers[-1] + 1)) and len(numbers) > 1
    return f"{numbers[0]}-{numbers[-1]}" if whole else ",".join(map(str, numbers))


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
