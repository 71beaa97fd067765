"""Third-party code at work: what goes wrong in it, told in one line by its name, file and line."""

from __future__ import annotations

import contextlib
import signal
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dcbench.errors import DcbenchError


@contextlib.contextmanager
def third_party(
    begin: str, file: Path | None, error: type[DcbenchError], place: str = ""
) -> Iterator[None]:
    """Tell what code that is not dcbench's own does wrong, by its name and the line that raised it.

    What the code sets of the process is set back, and is wrong too: it would reach the next run.

    Parameters
    ----------
    begin : str
        Of the message.
    file : Path or None
        That the code is in.
    place : str
        Stands in the message where no line of the code is known.

    Raises
    ------
    DcbenchError
        `error`, for whatever it raises, `SystemExit` included, but for dcbench's own errors and one
        for want of the device's memory.
    """
    before = _process_settings()
    try:
        yield
    except BaseException as problem:
        _set_back(before)
        if isinstance(problem, (DcbenchError, GeneratorExit)) or _is_not_its_own(problem):
            raise
        where = where_raised(problem, file) or place
        raise error(f"{begin}{where}{told(problem)}") from problem
    changed = " and ".join(_set_back(before))
    if changed:
        raise error(f"{begin}{place}changes {changed} of the process, which other runs share")


def _is_not_its_own(problem: BaseException) -> bool:
    """Whether an exception is the device's or the user's: no fault of the code that was at work.

    An interrupt that comes from a signal carries its number, but where Python's own handler is set.
    """
    if isinstance(problem, KeyboardInterrupt):
        by_python = signal.getsignal(signal.SIGINT) is signal.default_int_handler
        return by_python or bool(problem.args)
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(problem, torch.OutOfMemoryError)


def _process_settings() -> dict[str, Any]:
    """What of the process such code may change by mistake; nothing before PyTorch is imported."""
    torch = sys.modules.get("torch")
    if torch is None:
        return {}
    return {
        "the default dtype": torch.get_default_dtype(),
        "the gradient mode": torch.is_grad_enabled(),
        "the number of threads": torch.get_num_threads(),
    }


_SETTERS = {
    "the default dtype": "set_default_dtype",
    "the gradient mode": "set_grad_enabled",
    "the number of threads": "set_num_threads",
}


def _set_back(before: dict[str, Any]) -> list[str]:
    """Set back what has changed since; the names of it."""
    torch, now = sys.modules.get("torch"), _process_settings()
    if torch is not None and not before:  # that code has imported it, and these are its own
        before = {"the default dtype": torch.float32, "the gradient mode": True}
    changed = [name for name, value in before.items() if now[name] != value]
    for name in changed:
        getattr(torch, _SETTERS[name])(before[name])
    return changed


def told(problem: BaseException) -> str:
    """The kind of an exception and what it says."""
    return f"{type(problem).__name__}: {problem}"


def where_raised(problem: BaseException, file: Path | None) -> str:
    """`mine.py, line 17, in loss: `, for the innermost frame of a file or of those beside it.

    Empty where there is none.

    Parameters
    ----------
    file
        Of the code. None: it was typed into a notebook, whose cells are no files.
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
    """Whether a frame's file is the code's, or lies beside it or below but in no environment."""
    if file is None:
        return not (path.exists() or str(path).startswith("<frozen"))
    try:
        below = path.resolve().relative_to(file.resolve().parent)
    except ValueError:
        return False
    return not {"site-packages", "dist-packages"} & set(below.parts)
