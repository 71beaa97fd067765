"""Quantities formatted for people: seconds, bytes, lists of numbers."""

from __future__ import annotations


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
