"""The signals that ask a process to leave, and how they interrupt what it is at."""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
from collections.abc import Iterator
from typing import Any, NoReturn

INTERRUPTING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR2)
"""Ctrl-C, what a cluster says before it ends a process, and a terminal that is closed."""


def handlers() -> dict[int, Any]:
    """How this thread takes the signals that interrupt, but for those that are ignored.

    Without those that other than Python's code takes, whose handlers could not be set again.
    Outside the main thread, where Python takes no signals, there are none.
    """
    if threading.current_thread() is not threading.main_thread():
        return {}
    heard = {number: signal.getsignal(number) for number in INTERRUPTING}
    return {number: how for number, how in heard.items() if how not in (signal.SIG_IGN, None)}


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """Let signals interrupt what is within wherever it is, except those that are ignored.

    An interrupt can come in the midst of anyone's code, which may make another error of it, as
    pydantic does while it serializes, or drop it, as Python does in `__del__`. So whatever follows
    a signal here ends as an interrupt: no run has failed because of it.

    While a network trains, the training loop takes the signals. Where none can be taken, nothing is
    changed.

    Raises
    ------
    KeyboardInterrupt
        A signal came; its number is the argument.
    """
    before = handlers()
    if not before:
        yield
        return
    came: list[int] = []

    def interrupt(number: int, frame: object) -> NoReturn:
        came.append(number)
        raise KeyboardInterrupt(number)

    def unraisable(problem: Any, /) -> None:
        if not came:
            told(problem)

    told, sys.unraisablehook = sys.unraisablehook, unraisable
    try:
        for number in before:
            signal.signal(number, interrupt)
        yield
    except Exception as problem:
        if came:
            raise KeyboardInterrupt(came[0]) from problem
        raise
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        sys.unraisablehook = told
    if came:
        raise KeyboardInterrupt(came[0])
