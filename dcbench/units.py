"""Quantities in words."""

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
