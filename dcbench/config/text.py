"""Quantities formatted for people: seconds, bytes, lists of numbers."""

from __future__ import annotations

_CONTROLS = {
    code: f"\\x{code:02x}" for code in (*range(0x20), *range(0x7F, 0xA0)) if chr(code) not in "\n\t"
}
_CONTROLS |= {code: f"\\u{code:04x}" for code in (*range(0x202A, 0x202F), *range(0x2066, 0x206A))}
_CONTROLS |= {code: f"\\u{code:04x}" for code in range(0xD800, 0xE000)}


def printable(text: str) -> str:
    """Text that changes nothing about a terminal: signs that control one are spelled out.

    So are those that turn the direction of writing, and halves of surrogate pairs.
    """
    return text.translate(_CONTROLS)


def is_utf8(text: str) -> bool:
    """Whether a file can hold a text; not so the name of a file whose bytes are no UTF-8."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def in_brief(problem: BaseException, limit: int = 200) -> str:
    """What an exception says, in one line that a sentence can hold."""
    text = " ".join(str(problem).split()) or type(problem).__name__
    return text if len(text) <= limit else f"{text[:limit]}…"


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
