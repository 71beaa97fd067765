"""What goes wrong in a method's code, told in one line: its name, and file, line and frame."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path

from dcbench.config.third_party import third_party
from dcbench.errors import RunError
from dcbench.methods.base import Method


@contextlib.contextmanager
def named(method: Method | type[Method]) -> Iterator[None]:
    """Tell what a method's code does wrong by the method's name and the line that raised it.

    What the code sets of the process is set back, and is wrong too: it would reach the next run.

    Raises
    ------
    RunError
        For whatever it raises, `SystemExit` included, but for dcbench's own errors and one for want
        of the device's memory.
    """
    file = getattr(sys.modules.get(method.__module__), "__file__", None)
    with third_party(f"method {method.name}: ", Path(file) if file else None, RunError):
        yield
