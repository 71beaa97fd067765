"""What a row of the table of metrics holds, and how a value of it is shown."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

Takes = Literal["logits", "probs", "groups", "scores", "verdicts"]
Unit = Literal["fraction", "nats", "none"]


@dataclass(frozen=True)
class Metric:
    """A row of the table of metrics.

    Attributes
    ----------
    key : str
        Its name in records and in the columns of a leaderboard.
    compute : callable
        The function that computes it, or several metrics at once as a mapping by key. Its
        documentation defines the metric.
    takes : str
        What `compute` is given: `logits` or `probs` [N, C], and labels; `groups`: logits, labels
        and the training images of each class; `scores`: those of ID and of OOD images;
        `verdicts`: what is kept of shifted images, and labels.
    title, short_title : str
        As a paper's table heads it, and as a narrow column does; both without the unit.
    meaning : str
        One line for the description of a leaderboard's columns.
    note : str
        A word on `short_title` in smaller type.
    unit : str
        `fraction`: stored from 0 to 1 and shown in percent; others are shown as they are stored.
    largest : float or None
        The largest value there can be; the smallest is 0.
    decimals : int
        Digits after the point, in the unit that is shown.
    best : str
        Whether the highest or the lowest value is the best. `none`: neither is.
    long_tailed : bool
        Measured on long-tailed splits alone.
    required : bool
        Part of every record since the first version, and a number for any predictions. Records
        that lack another metric are older than it.
    """

    key: str
    compute: Callable[..., Any]
    takes: Takes
    title: str
    short_title: str
    meaning: str
    note: str = ""
    unit: Unit = "fraction"
    largest: float | None = 1
    decimals: int = 2
    best: Literal["highest", "lowest", "none"] = "highest"
    long_tailed: bool = False
    required: bool = False

    @property
    def percent(self) -> bool:
        """Whether it is shown in percent."""
        return self.unit == "fraction"

    @property
    def lower_is_better(self) -> bool:
        """Whether the lowest value is the best."""
        return self.best == "lowest"

    @property
    def column_title(self) -> str:
        """The head of a narrow column: `ECE-15 %`, `NLL`."""
        return f"{self.short_title} %" if self.percent else self.short_title

    @property
    def paper_title(self) -> str:
        """The head of a column in a paper's table: `ECE (%)`, `NLL`."""
        return f"{self.title} (%)" if self.percent else self.title

    @property
    def definition(self) -> str:
        """The documentation of `compute` above its parameters, on one line."""
        text = (inspect.getdoc(self.compute) or "").partition("\n\nParameters\n")[0]
        return " ".join(text.replace("`", "").split())

    def shown(self, value: float) -> float:
        """A stored value in the unit that is shown."""
        return value * 100 if self.percent else value

    def text(self, value: float, decimals: int | None = None) -> str:
        """A stored value as it is shown, without its unit."""
        digits = self.decimals if decimals is None else decimals
        return f"{self.shown(value):.{digits}f}"
