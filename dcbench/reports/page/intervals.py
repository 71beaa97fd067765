"""Intervals as small drawings: one common axis a table, one drawing a method."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 170, 28
_MARGIN = 8.0
_DIGIT, _GAP = 7, 4
_SLACK = 1e-9


@dataclass(frozen=True)
class Axis:
    """A scale in percent that all drawings of a table share.

    Attributes
    ----------
    low, high : float
        Its ends.
    ticks : tuple of float
        Round values on it, rising.
    """

    low: float
    high: float
    ticks: tuple[float, ...]

    def x(self, value: float) -> float:
        """Where a value lies in a drawing; one beyond an end lies on that end."""
        share = (min(max(value, self.low), self.high) - self.low) / (self.high - self.low)
        return round(_MARGIN + share * (WIDTH - 2 * _MARGIN), 2)

    @property
    def labels(self) -> list[tuple[float, str]]:
        """Position and text of each tick."""
        return [(self.x(tick), f"{tick:g}") for tick in self.ticks]


@dataclass(frozen=True)
class Drawing:
    """The mean, its 95 % interval and the single runs of a method, in positions on an axis.

    Attributes
    ----------
    mean, low, high : float
        Mean and ends of the interval; the ends are the mean where there is no interval.
    cut_low, cut_high : bool
        Whether the interval goes on beyond that end of the axis.
    runs : tuple of (float, str)
        Position of each run, and its name with its value.
    text : str
        The same for those who do not see it.
    """

    mean: float
    low: float
    high: float
    cut_low: bool
    cut_high: bool
    runs: tuple[tuple[float, str], ...]
    text: str


def axis_over(runs: Sequence[float], intervals: Sequence[tuple[float, float]]) -> Axis:
    """The axis on which all runs lie, and intervals as far as they reach half as far again.

    Two runs have an interval of some twelve standard errors; on an axis that held it whole, the
    other methods would fall together.

    Parameters
    ----------
    runs
        Values in percent, at least one.
    intervals
        Lower and upper ends in percent.
    """
    first, last = min(runs), max(runs)
    reach = max((last - first) / 2, 1.0)
    low = max(min([first, *(low for low, _ in intervals)]), first - reach)
    high = min(max([last, *(high for _, high in intervals)]), last + reach)
    if low == high:
        low, high = low - 1, high + 1
    return Axis(low, high, _ticks(low, high))


def _ticks(low: float, high: float) -> tuple[float, ...]:
    """Multiples of 1, 2 or 5 times a power of ten, as close as their labels have room."""
    smallest = math.floor(math.log10(high - low)) - 1
    steps = (
        factor * 10.0**power for power in range(smallest, smallest + 3) for factor in (1, 2, 5)
    )
    for step in steps:
        first, last = math.ceil(low / step - _SLACK), math.floor(high / step + _SLACK)
        ticks = tuple(round(number * step, 6) for number in range(first, last + 1))
        room = (WIDTH - 2 * _MARGIN) * step / (high - low)
        if all(room >= _DIGIT * len(f"{tick:g}") + _GAP for tick in ticks):
            break
    return ticks


def interval_drawing(
    axis: Axis, mean: float, half: float | None, runs: Sequence[tuple[str, float]]
) -> Drawing:
    """The drawing of a method.

    Parameters
    ----------
    axis
        That of the table.
    mean, half
        Mean and half-width of its 95 % interval in percent; None for a single run.
    runs
        Name and value in percent of each run.
    """
    low, high = (mean, mean) if half is None else (mean - half, mean + half)
    interval = "" if half is None else f", 95 % interval {low:.2f} to {high:.2f}"
    listed = ", ".join(f"{value:.2f}" for _, value in runs)
    return Drawing(
        mean=axis.x(mean),
        low=axis.x(low),
        high=axis.x(high),
        cut_low=low < axis.low,
        cut_high=high > axis.high,
        runs=tuple((axis.x(value), f"{name}: {value:.2f}") for name, value in runs),
        text=f"mean {mean:.2f}{interval}; runs: {listed}",
    )
