"""Standard output as it may be: closed, full, or read by nobody."""

from __future__ import annotations

import contextlib
import os
import sys
from typing import Any

from dcbench.errors import RunError


def write_out(text: str) -> None:
    """Write to standard output at once; what nobody reads any more is dropped.

    Raises
    ------
    RunError
        It cannot be written, and not because its reader is gone.
    """
    if sys.stdout is None or not text:
        return
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        silence(sys.stdout)
    except OSError as problem:
        silence(sys.stdout)
        raise RunError(f"cannot write to standard output: {problem.strerror}") from None


def silence(stream: Any) -> None:
    """Let a stream go nowhere, so that what it still holds fails no more, even at the exit."""
    with contextlib.suppress(Exception):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
