"""The errors that users see: one line each, with the exit code that `dcbench` ends with."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class DcbenchError(Exception):
    """An error with a message for the user; shown without a traceback."""

    exit_code = 1


class RunError(DcbenchError):
    """A run or a check failed."""


class OutOfTimeError(RunError):
    """A run that had to stop before its end; asked again, it goes on from its checkpoint."""


class BusyError(RunError):
    """Another process holds what is needed."""


class UsageError(DcbenchError, ValueError):
    """Wrong use: an unknown name, key or value; a `ValueError` too, for callers in Python."""

    exit_code = 2


class DataError(DcbenchError):
    """Data that is missing, damaged or not what it is expected to be."""

    exit_code = 3


class MissingData(DataError):  # noqa: N818 - a state of the data
    """Images of a dataset are not there."""


class UnverifiedData(DataError):  # noqa: N818 - a state of the data
    """A file reads whole but does not have its official MD5."""


class CheckpointError(DataError):
    """A checkpoint that no training can go on from: why, and what to do about it."""

    def __init__(self, why: str, remedy: str = "begin again with --restart") -> None:
        super().__init__(why, remedy)
        self.why = why

    def __str__(self) -> str:
        return "; ".join(self.args)


def unknown(kind: str, name: str, known: Iterable[str]) -> UsageError:
    """The error for a name that nothing carries, with the nearest names that exist."""
    choices = sorted(known)
    name = name if len(name) <= 200 else f"{name[:200]}…"  # matching takes the square of it
    near = difflib.get_close_matches(name, choices, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(near)}?" if near else f"there are: {', '.join(choices)}"
    return UsageError(f"unknown {kind} '{name}'; {hint}")
