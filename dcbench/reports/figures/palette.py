"""One style a method: colors that color-blind eyes distinguish, and marks for print in gray."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import cycle, product
from typing import Any, NamedTuple

from matplotlib.artist import Artist
from matplotlib.lines import Line2D

from dcbench.reports.kinship import kinship, plain_name

BLACK, ORANGE, SKY, GREEN = "#000000", "#e69f00", "#56b4e9", "#009e73"
BLUE, VERMILLION, PURPLE, GRAY = "#0072b2", "#d55e00", "#cc79a7", "#666666"
"""Colors of Okabe and Ito (2008), "Color Universal Design", and a gray."""

_Line = str | tuple[int, tuple[int, ...]]


class MethodStyle(NamedTuple):
    """What distinguishes a method from the others, in color and in gray."""

    color: str
    marker: str
    line: _Line
    filled: bool

    def line_kwargs(self) -> dict[str, Any]:
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
_DASH_DOTTED = (0, (5, 1, 1, 1))
_DASH_DOT_DOTTED = (0, (5, 1, 1, 1, 1, 1))

_FAMILIES = {
    "erm": (MethodStyle(BLACK, "o", "-", True), None),
    "mixup": (MethodStyle(SKY, "s", _DASHED, False), MethodStyle(BLUE, "s", "-", True)),
    "remix": (MethodStyle(ORANGE, "^", _DASHED, False), MethodStyle(VERMILLION, "^", "-", True)),
    "regmixup": (MethodStyle(GREEN, "D", _DASHED, False), MethodStyle(PURPLE, "D", "-", True)),
}
"""A shape a family: for the method that it is named after, and, filled and with a whole line, for
its Infinite Class variant. They are the same in every figure."""

_OTHERS = [
    MethodStyle(color, marker, line, filled)
    for (line, filled), (marker, color) in product(
        ((_DOTTED, True), (_DASH_DOTTED, False), (_DASH_DOT_DOTTED, True)),
        zip("vP*X<>ph", (GRAY, BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY, BLACK), strict=True),
    )
]


def sorted_methods(methods: Iterable[str]) -> list[str]:
    """Methods by family, `erm` first; variants and settings after the plain form."""
    known = list(_FAMILIES)

    def key(method: str) -> tuple[int, str, bool, bool, str]:
        family, twin = kinship(method)
        rank = known.index(family) if family in known else len(known)
        return rank, family, bool(twin), plain_name(method) != family, method

    return sorted(set(methods), key=key)


def families(methods: Iterable[str]) -> list[list[str]]:
    """Methods that belong in one panel: `erm` with each family of the others."""
    plain: list[str] = []
    others: dict[str, list[str]] = {}
    for method in sorted_methods(methods):
        family = kinship(method).family
        (plain if family == "erm" else others.setdefault(family, [])).append(method)
    return [[*plain, *members] for members in others.values()] or [plain]


def styles_of(methods: Iterable[str]) -> dict[str, MethodStyle]:
    """The style of each method, in order."""
    others = cycle(_OTHERS)
    return {method: _own_style(method) or next(others) for method in sorted_methods(methods)}


def _own_style(method: str) -> MethodStyle | None:
    """The style of a family's plain form or of its Infinite Class variant; None for any other."""
    family = kinship(method).family
    plain, variant = _FAMILIES.get(family, (None, None))
    return {family: plain, f"ic-{family}": variant}.get(method)


def legend_handles(methods: Mapping[str, MethodStyle]) -> list[Artist]:
    """A line with its mark for each method."""
    return [
        Line2D([], [], label=method, **style.line_kwargs()) for method, style in methods.items()
    ]
