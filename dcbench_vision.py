"""Where the command `dcbench` starts: it sees that the package `dcbench` is ours, then hands over.

Another project on the Python index is called `dcbench` and installs a package of that name. Where
both are installed, files of one lie over files of the other, and whichever comes first on Python's
path is imported. So this module stands beside the package and imports it only after the check.
"""

from __future__ import annotations

import atexit
import gc
import importlib.util
import os
import signal
import sys
from pathlib import Path
from typing import NoReturn

_INTERRUPTING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

_OURS = "draws.py"
"""A file of our package that the other project does not have."""

_REPAIR = (
    "to repair it: pip uninstall --yes dcbench && "
    "pip install --force-reinstall --no-deps dcbench-vision (in a clone: -e .)"
)


def main() -> None:
    """Run the command line; ends with one line and exit code 1 if the package is not ours.

    A signal that ends a process ends this one with exit code 130, from its first moment on.
    """
    atexit.register(_skip_last_search)
    _open_closed_streams()
    heard = [number for number in _INTERRUPTING if signal.getsignal(number) != signal.SIG_IGN]
    for number in heard:
        signal.signal(number, _interrupt)
    try:
        problem = other_package()
        if problem is not None:
            sys.exit(f"error: {problem}; {_REPAIR}")
        from dcbench.cli import main as command_line

        command_line()
    except KeyboardInterrupt:
        sys.stderr.write("interrupted before anything was begun\n")
        sys.exit(130)
    finally:
        for number in heard:
            signal.signal(number, signal.SIG_DFL)  # what is left to do is to leave


def _open_closed_streams() -> None:
    """Let a standard stream that is closed go nowhere.

    Else the next file that is opened takes its number, and whatever a library writes to the stream
    ends in that file.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is not None:
            continue
        nowhere = os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free
        os.set_inheritable(nowhere, True)  # workers have it too
        stream = os.fdopen(nowhere, "w" if number else "r", encoding="utf-8")
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)


def _skip_last_search() -> None:
    """Leave the last search for garbage out: it takes half a second once PyTorch is there.

    It would free nothing that the end of the process does not free; but where a third-party package
    has imported Triton, what is not freed is reported as leaked.
    """
    if "triton" not in sys.modules:
        gc.freeze()


def _interrupt(number: int, frame: object) -> NoReturn:
    raise KeyboardInterrupt(number)


def other_package() -> str | None:
    """What is wrong with the package `dcbench` that Python finds; None if it is ours alone."""
    spec = importlib.util.find_spec("dcbench")
    if spec is None or spec.origin is None:
        return "the package 'dcbench' is not beside its command"
    package = Path(spec.origin).parent
    # Our distribution is `dcbench_vision-….dist-info`, which this pattern does not find.
    for installed in package.parent.glob("dcbench-*.dist-info"):
        if _brings_a_package(installed):
            name, _, version = installed.stem.partition("-")
            return (
                f"{package}: the distribution '{name}' {version} of another project installs "
                "a package of the same name here"
            )
    if not (package / _OURS).is_file():
        return f"{package}: this is the package of another project, and it shadows ours"
    return None


def _brings_a_package(installed: Path) -> bool:
    """Whether the distribution holds the package itself, and is no link to a source tree."""
    record = installed / "RECORD"
    return not record.is_file() or "\ndcbench/__init__.py," in f"\n{record.read_text('utf-8')}"
