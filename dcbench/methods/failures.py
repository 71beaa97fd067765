"""What goes wrong in a method's code, told in one line: its name, and file, line and frame."""

from __future__ import annotations

import contextlib
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path

from dcbench.errors import DcbenchError, RunError
from dcbench.methods.base import Method
from dcbench.methods.lazy import torch


@contextlib.contextmanager
def named(method: Method) -> Iterator[None]:
    """Tell what a method's code does wrong by the method's name and the line that raised it.

    Raises
    ------
    RunError
        For any exception but dcbench's own and one for want of the device's memory.
    """
    try:
        yield
    except (torch.OutOfMemoryError, DcbenchError):
        raise
    except Exception as problem:
        file = getattr(sys.modules.get(type(method).__module__), "__file__", None)
        where = where_raised(problem, Path(file) if file else None)
        raise RunError(f"method {method.name}: {where}{told(problem)}") from problem


def told(problem: BaseException) -> str:
    """The kind of an exception and what it says."""
    return f"{type(problem).__name__}: {problem}"


def where_raised(problem: BaseException, file: Path | None) -> str:
    """`mine.py, line 17, in loss: `, for the innermost frame of a file or of those beside it.

    Empty where there is none.

    Parameters
    ----------
    file
        Of the method. None: it was typed into a notebook, whose cells are no files.
    """
    frames = [
        (code.co_filename, line, code.co_name)
        for frame, line in traceback.walk_tb(problem.__traceback__)
        for code in [frame.f_code]
    ]
    own = [each for each in frames if _belongs(Path(each[0]), file)]
    if not own:
        return ""
    name, line, frame = own[-1]
    inside = "" if frame == "<module>" else f", in {frame}"
    return f"{name}, line {line}{inside}: "


def _belongs(path: Path, file: Path | None) -> bool:
    """Whether a frame's file is the method's, or lies beside it or below but in no environment."""
    if file is None:
        return not path.exists()
    try:
        below = path.resolve().relative_to(file.resolve().parent)
    except ValueError:
        return False
    return not {"site-packages", "dist-packages"} & set(below.parts)
