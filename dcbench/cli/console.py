"""All that reaches the terminal: reports on standard output, the rest on standard error.

What is only shown never ends a run: where standard error cannot be written, it is left out.
"""

from __future__ import annotations

import contextlib
import json
import logging
import time
from collections.abc import Iterator
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn
from rich.table import Column
from rich.text import Text

from dcbench.cli.output import silence, write_out
from dcbench.cli.report import Report
from dcbench.cli.tables import laid_out
from dcbench.config.text import duration, printable

_LINE_EVERY = 10.0
"""Seconds between two lines of a task where there is no terminal."""

_UNBOUNDED = 1_000_000
"""Characters of a line where there is no terminal."""

_DRAW_EVERY = 0.1
"""Seconds between two drawings of the bars."""

_log = logging.getLogger("dcbench")


class _Console(Console):
    """Stays silent, and lets the program go on, when nobody reads it any more."""

    def on_broken_pipe(self) -> None:
        self.quiet = True
        silence(self.file)


stdout = _Console(highlight=False, emoji=False)
stderr = _Console(stderr=True, highlight=False, emoji=False)


def show(report: Report, as_json: bool) -> None:
    """Show a report as text, or as JSON on a line of its own.

    Raises
    ------
    RunError
        Standard output cannot be written, and not because its reader is gone.
    """
    if as_json:
        if report.data is not None:
            write_out(json.dumps(report.data) + "\n")
        return
    console = stdout if stdout.is_terminal else _Console(width=_UNBOUNDED, emoji=False)
    with console.capture() as capture:
        for table in report.tables:
            if table.title:
                console.print(Text(printable(table.title), style="italic"), soft_wrap=True)
            console.print(laid_out(table, stdout.width if stdout.is_terminal else None))
            console.print()
    write_out(capture.get() + "".join(f"{printable(line)}\n" for line in report.lines))
    for text in report.notes:
        note(text)


@contextlib.contextmanager
def _never_failing() -> Iterator[None]:
    with contextlib.suppress(Exception):
        yield


def note(text: str) -> None:
    """A line on standard error, as it is."""
    with _never_failing():
        stderr.print(printable(text), markup=False, soft_wrap=True)


class _Lines(logging.Handler):
    """Shows what is logged as plain lines, above the bars."""

    def emit(self, record: logging.LogRecord) -> None:
        with _never_failing():
            note(self.format(record))


_lines = _Lines()


def speak(*, quiet: bool = False, debug: bool = False) -> None:
    """Show what dcbench logs on standard error from now on.

    Parameters
    ----------
    quiet
        Warnings alone.
    debug
        What only its developers want to see, too: the tracebacks of errors.
    """
    if _lines not in _log.handlers:
        _log.addHandler(_lines)
    _log.propagate = False  # a library that sets the root log up would show each line twice
    _log.setLevel(logging.DEBUG if debug else logging.WARNING if quiet else logging.INFO)


@contextlib.contextmanager
def hushed(room: str) -> Iterator[None]:
    """Show only the warnings of a room meanwhile, such as where runs are many."""
    log = logging.getLogger(room)
    log.setLevel(logging.WARNING)
    try:
        yield
    finally:
        log.setLevel(logging.NOTSET)


class ConsoleProgress:
    """The progress of tasks: a bar each on a terminal, a line each now and then elsewhere.

    Shows nothing after `speak` was told to be quiet.
    """

    def __init__(self) -> None:
        self._shown = _log.level <= logging.INFO  # a notebook has set none
        self._drawn_at = 0.0
        self._bars = Progress(
            TextColumn("{task.description}", markup=False, table_column=Column(overflow="fold")),
            BarColumn(bar_width=20),
            TextColumn("{task.fields[state]}", markup=False, table_column=Column()),
            console=stderr,
            transient=True,
            auto_refresh=False,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        with _never_failing():
            self._stop()

    def task(self, title: str, total: int, done: int = 0, unit: str = "") -> _ConsoleTask:
        """Begin a task of `total` units, of which `done` were done before."""
        return _ConsoleTask(self, title, total, done, unit)

    def begin(self, task: _ConsoleTask) -> TaskID | None:
        """Add a task's bar, where bars are drawn."""
        if not self._shown or not stderr.is_terminal:
            return None
        bar = self._bars.add_task(task.title, total=task.total, completed=task.done, state="")
        self._bars.start()
        return bar

    def show(self, task: _ConsoleTask, state: str) -> None:
        """Draw the bars again, or write a line, unless that was done a moment ago."""
        now = time.monotonic()
        if task.bar is not None:
            self._bars.update(task.bar, total=task.total, completed=task.done, state=state)
            if now - self._drawn_at >= _DRAW_EVERY:
                self._drawn_at = now
                self._bars.refresh()
        elif self._shown and now - task.shown_at >= _LINE_EVERY:
            task.shown_at = now
            note(f"{task.title} {state}")

    def end(self, task: _ConsoleTask) -> None:
        """Take a task's bar away, and with the last the display."""
        if task.bar is not None:
            self._bars.remove_task(task.bar)
            if not self._bars.task_ids:
                self._stop()

    def _stop(self) -> None:
        if self._bars.live.is_started:
            self._bars.stop()


class _ConsoleTask:
    """A task that a `ConsoleProgress` shows."""

    def __init__(
        self, progress: ConsoleProgress, title: str, total: int, done: int, unit: str
    ) -> None:
        self.title, self.total, self.done = title, total, done
        self.bar: TaskID | None = None
        self.shown_at = self._began = time.monotonic()
        self._progress, self._first, self._unit = progress, done, unit
        self._open = True
        with _never_failing():
            self.bar = progress.begin(self)

    def advance(self, count: int = 1, detail: str = "") -> None:
        """`count` more are done."""
        with _never_failing():
            self.done += count
            self._progress.show(self, self._state(detail))

    def close(self) -> None:
        """Nothing more will be done."""
        with _never_failing():
            if self._open:
                self._open = False
                self._progress.end(self)

    def _state(self, detail: str) -> str:
        counted = f"{self.done}/{self.total} {self._unit}".rstrip()
        said = ", ".join(filter(None, [detail, self._left()]))
        return f"{counted}  {said}".rstrip()

    def _left(self) -> str:
        """How long the rest will take at the rate of what was done here."""
        here = self.done - self._first
        if here <= 0 or self.done >= self.total:
            return ""
        seconds = (time.monotonic() - self._began) / here * (self.total - self.done)
        return f"{duration(seconds)} left"
