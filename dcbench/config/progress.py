"""How long work says how far it is: one small protocol, and a default that says nothing."""

from __future__ import annotations

from typing import Protocol


class ProgressTask(Protocol):
    """A piece of work that is counted: images predicted, epochs trained, runs copied."""

    def advance(self, count: int = 1, detail: str = "") -> None:
        """`count` more are done; `detail` is a word on the last of them, such as a loss."""

    def close(self) -> None:
        """Nothing more will be done, whether all is or not; may be called twice."""


class Progress(Protocol):
    """Where tasks are shown."""

    def task(self, title: str, total: int, done: int = 0, unit: str = "") -> ProgressTask:
        """Begin a task of `total` units, of which `done` were done before."""


class _NoTask:
    def advance(self, count: int = 1, detail: str = "") -> None:
        """Say nothing."""

    def close(self) -> None:
        """Say nothing."""


class NoProgress:
    """Shows nothing."""

    def task(self, title: str, total: int, done: int = 0, unit: str = "") -> ProgressTask:
        """Begin a task that nobody sees."""
        return _NoTask()
