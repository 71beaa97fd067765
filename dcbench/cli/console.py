"""What the terminal shows: reports on standard output, progress and notes on standard error."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Table

from dcbench.config.text import duration

if TYPE_CHECKING:
    from dcbench.runs.plan import Plan
    from dcbench.training import trainer as training

stdout = Console(highlight=False, width=None if sys.stdout.isatty() else 160)
stderr = Console(stderr=True, highlight=False)

_LINE_EVERY = 10.0
"""Seconds between two lines of progress where there is no terminal."""

_NEVER_FOLDED = 16
"""Words up to this long stay whole, however narrow the terminal."""


class _Epochs(NamedTuple):
    """Of a run: those that were done when it began here, those that are done, and all."""

    first: int
    done: int
    total: int


class RunProgress:
    """The progress of runs: a bar on a terminal, a line now and then elsewhere.

    Runs that train at once are shown as one. `brief` keeps what each run notes to itself.
    """

    def __init__(self, quiet: bool = False, *, brief: bool = False) -> None:
        self._quiet, self._brief = quiet, brief
        self._drawn = not quiet and stderr.is_terminal
        self._last_line = time.monotonic()
        self._stage = ""
        self._runs: dict[str, _Epochs] = {}
        self._began = 0.0
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[detail]}"),
            console=stderr,
            transient=True,
        )
        self._task = self._bar.add_task("", total=1, detail="")

    def __enter__(self) -> Self:
        if self._drawn:
            self._bar.start()
        return self

    def __exit__(self, *exception: object) -> None:
        if self._drawn:
            self._bar.stop()

    def note(self, text: str) -> None:
        """A sentence for the user, above the bar."""
        if not self._quiet and not self._brief:
            note(text)

    def epoch(self, plan: Plan, progress: training.Progress) -> None:
        """Training begins, or an epoch is done."""
        if self._stage != "epoch":
            self._runs.clear()
            self._began = time.monotonic()
        epochs, run = plan.choice.recipe.epochs, str(plan.folder)
        first = self._runs[run].first if run in self._runs else progress.epoch
        self._runs[run] = _Epochs(first, progress.epoch, epochs)
        total = sum(each.total for each in self._runs.values())
        done = sum(each.done for each in self._runs.values())
        new = done - sum(each.first for each in self._runs.values())
        if self._stage != "epoch" or not new:
            self._begin("epoch", total, done)
            return
        seconds = (time.monotonic() - self._began) / new
        self._bar.update(self._task, total=total)
        self._update(
            done,
            f"loss {progress.history[-1].loss:.4f}, {plan.num_images / seconds:.0f} images/s, "
            f"{duration(seconds * (total - done))} left",
        )

    def evaluated(self, done: int, total: int) -> None:
        """So many images are predicted."""
        self.counted("predict", done, total, "images")

    def counted(self, stage: str, done: int, total: int, what: str) -> None:
        """So many of some things are done."""
        if self._stage != stage:
            self._begin(stage, total)
        self._update(done, what)

    def ended(self, plan: Plan) -> None:
        """The run is over: what it left undone no longer counts."""
        self._runs.pop(str(plan.folder), None)
        if not self._runs:
            self._stage = ""

    def _begin(self, stage: str, total: int, done: int = 0) -> None:
        self._stage = stage
        self._bar.reset(self._task, total=total, completed=done, description=stage, detail="")

    def _update(self, done: int, detail: str) -> None:
        task = self._bar.tasks[0]
        self._bar.update(self._task, completed=done, detail=f"{done}/{task.total:.0f}  {detail}")
        due = time.monotonic() - self._last_line >= _LINE_EVERY
        if not self._quiet and not self._drawn and due:
            self._last_line = time.monotonic()
            note(f"{self._stage} {done}/{task.total:.0f}  {detail}")


def note(text: str) -> None:
    """A line on standard error, as it is."""
    stderr.print(text, markup=False, soft_wrap=True)


def show_table(columns: Sequence[str], rows: Iterable[Sequence[object]], title: str = "") -> None:
    """A table on standard output; numbers are set to the right."""
    table = Table(title=escape(title) or None, title_justify="left", box=box.SIMPLE_HEAD)
    listed = [list(row) for row in rows]
    for index, column in enumerate(columns):
        numeric = bool(listed) and all(isinstance(row[index], (int, float)) for row in listed)
        words = [word for row in listed for word in _text(row[index]).split()]
        longest = max(map(len, words), default=0)
        table.add_column(
            column,
            justify="right" if numeric else "left",
            overflow="fold",
            min_width=min(longest, _NEVER_FOLDED),
        )
    for row in listed:
        table.add_row(*(_text(value) for value in row))
    stdout.print(table)


def _text(value: object) -> str:
    if value is None:
        return "–"
    text = f"{value:.4f}" if isinstance(value, float) else str(value)
    return escape(text)


def metric_rows(metrics: dict[str, Any]) -> list[tuple[str, float | None]]:
    """Metrics of a record by dotted name; those that do not apply are left out."""
    rows: list[tuple[str, float | None]] = []
    for name, value in metrics.items():
        if name != "ood" and value is not None:
            rows.append((name, value))
    for name, scores in metrics["ood"].items():
        for score, values in (scores or {"msp": {"auroc": None}}).items():
            rows.append((f"ood.{name}.{score}.auroc", values["auroc"]))
    return rows
