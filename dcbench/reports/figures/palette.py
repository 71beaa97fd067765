"""One look a method: colors that color-blind eyes tell apart, and marks for print in grey."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from matplotlib.artist import Artist
from matplotlib.lines import Line2D

BLACK, ORANGE, SKY, GREEN = "#000000", "#e69f00", "#56b4e9", "#009e73"
BLUE, VERMILLION, PURPLE, GREY = "#0072b2", "#d55e00", "#cc79a7", "#666666"
"""Colors of Okabe and Ito (2008), "Color Universal Design", and a grey."""


class Look(NamedTuple):
    """What tells a method from the others, in color and in grey."""

    color: str
    marker: str
    line: str | tuple[int, tuple[int, ...]]
    filled: bool

    def marks(self) -> dict[str, Any]:
        """Keyword arguments of the methods of `Axes` that draw lines and marks."""
        return {
            "color": self.color,
            "marker": self.marker,
            "linestyle": self.line,
            "markerfacecolor": self.color if self.filled else "white",
            "markeredgecolor": self.color,
        }


_DASHED = (0, (4, 2))
_DOTTED = (0, (1, 1))
_LOOKS = {
    "erm": Look(BLACK, "o", "-", True),
    "mixup": Look(SKY, "s", _DASHED, False),
    "ic-mixup": Look(BLUE, "s", "-", True),
    "remix": Look(ORANGE, "^", _DASHED, False),
    "ic-remix": Look(VERMILLION, "^", "-", True),
    "regmixup": Look(GREEN, "D", _DASHED, False),
    "ic-regmixup": Look(PURPLE, "D", "-", True),
}
"""A shape a family; filled and with a whole line, its form with infinitely many classes."""

_OTHERS = [
    Look(color, marker, _DOTTED, True)
    for marker, color in zip(
        "vP*X<>ph", (GREY, BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY, BLACK), strict=True
    )
]


def in_order(methods: Iterable[str]) -> list[str]:
    """Methods by family, `erm` first; one with settings after its plain form, strangers last."""
    known = list(_LOOKS)

    def place(method: str) -> tuple[int, str]:
        name = method.partition("[")[0]
        return (known.index(name) if name in known else len(known), method)

    return sorted(set(methods), key=place)


def families(methods: Iterable[str]) -> list[list[str]]:
    """Methods that belong in one panel: `erm` with each family of the others."""
    plain: list[str] = []
    others: dict[str, list[str]] = {}
    for method in in_order(methods):
        family = method.partition("[")[0].removeprefix("ic-")
        (plain if family == "erm" else others.setdefault(family, [])).append(method)
    return [[*plain, *members] for members in others.values()] or [plain]


def looks(methods: Iterable[str]) -> dict[str, Look]:
    """The look of each method, in order."""
    ordered = in_order(methods)
    others = [method for method in ordered if method not in _LOOKS]
    given = {method: _OTHERS[index % len(_OTHERS)] for index, method in enumerate(others)}
    return {method: _LOOKS.get(method) or given[method] for method in ordered}


def legend_of(methods: Mapping[str, Look]) -> list[Artist]:
    """A line with its mark for each method."""
    return [Line2D([], [], label=method, **look.marks()) for method, look in methods.items()]
