"""Programs in the place of the command line, each with a fault that a selftest is to find."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path


def results() -> Path:
    return Path(sys.argv[sys.argv.index("--results") + 1])


def hangs() -> None:
    time.sleep(60)


def raises() -> None:
    raise ValueError("not foreseen")


def leaves_a_process() -> None:
    subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])


def says() -> None:
    sys.stdout.write(" ".join(sys.argv[1:]))
    sys.stderr.write("error: of one line\n")
    sys.exit(3)


def works() -> None:
    """Copies a run that is prepared, and when it is told to leave, it does."""
    _copy(0.3)


def loses() -> None:
    """Forgets the losses of a run when it is told to leave."""
    try:
        _copy(0.3)
    except KeyboardInterrupt:
        target = results()
        shutil.copytree(target.parent / "prepared", target, dirs_exist_ok=True)
        for path in target.rglob("history.csv"):
            path.write_text("epoch,loss\n")
        sys.exit(130)


def litters() -> None:
    """Leaves a half-written file when it is told to leave."""
    try:
        _copy(0.3)
    except KeyboardInterrupt:
        (results() / ".record.json.0.unfinished").touch()
        sys.exit(130)


def _copy(seconds: float) -> None:
    def interrupt(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupt)
    time.sleep(seconds)
    target = results()
    if not any(target.rglob("record.json")):
        shutil.copytree(target.parent / "prepared", target, dirs_exist_ok=True)
