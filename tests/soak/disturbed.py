"""Sweeps that are hit by signals at random moments, until they are done: what is left of them?

Run as a program: `python -m tests.soak.disturbed FOLDER SIGNALS ENGINE`. It imports dcbench once
and forks for every try, so that a try costs what the sweep costs. It prints a line of JSON.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import signal
import sys
import time
import traceback
from collections import Counter
from pathlib import Path

import torch

import dcbench_vision
from dcbench.cli import main as _imported  # noqa: F401 - before the fork
from dcbench.runs import execute as _runs  # noqa: F401
from dcbench.sweep import scheduler as _sweeps  # noqa: F401

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL)
PATIENCE = 120.0
"""Seconds after which a process that was told to leave counts as one that hangs."""


def command(folder: Path, engine: str) -> list[str]:
    words = ["sweep", "--methods", "erm,ic-mixup", "--splits", "digits", "--seeds", "0-1"]
    words += ["--device", "cpu", "--quiet"]
    settings = ["--set", "epochs=8", "--results", str(folder), "--engine", engine]
    return [*words, *settings, *(["--jobs", "2"] if engine == "loky" else [])]


def started(folder: Path, engine: str) -> int:
    """The process of a sweep, which leads a group of its own."""
    child = os.fork()
    if child:
        return child
    os.setsid()
    quiet = os.open(folder.parent / "said.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(quiet, 1)
    os.dup2(quiet, 2)
    torch.set_num_threads(1)
    sys.argv = ["dcbench", *command(folder, engine)]
    code = 0
    try:
        dcbench_vision.main()
    except SystemExit as left:
        code = left.code if isinstance(left.code, int) else int(left.code is not None)
    except BaseException:
        traceback.print_exc()
        code = 99
    sys.stdout.flush()
    os._exit(code)


def workers(process: int) -> list[int]:
    """The worker processes of a sweep, by what Linux says; loky's tracker of semaphores is none."""
    found: list[int] = []
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{process}/task").iterdir():
            for child in (task / "children").read_text().split():
                if b"resource_tracker" not in Path(f"/proc/{child}/cmdline").read_bytes():
                    found.append(int(child))
    return found


def ended(process: int) -> int:
    """The exit code of a process, or minus its signal; one that hangs is an error."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        gone, status = os.waitpid(process, os.WNOHANG)
        if gone:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.02)
    os.killpg(process, signal.SIGKILL)
    raise RuntimeError(f"process {process} hangs")


def records(folder: Path) -> dict[str, str]:
    """The hash of the predictions of each run."""
    return {
        str(path.parent.relative_to(folder)): json.loads(path.read_text())["predictions"]["sha256"]
        for path in sorted(folder.rglob("record.json"))
    }


def left_behind(folder: Path, *, killed: bool) -> list[str]:
    """What nobody needs: half-written files, unless a process had no time, and old checkpoints."""
    found = [] if killed else [str(path) for path in folder.rglob("*.unfinished")]
    both = (path.with_name("checkpoint.pt") for path in folder.rglob("record.json"))
    return found + ([] if killed else [str(path) for path in both if path.exists()])


def main(folder: Path, signals: int, engine: str) -> None:
    chance = random.Random(f"{engine} {signals}")
    folder.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    assert ended(started(folder / "whole", "serial")) == 0, "the undisturbed sweep failed"
    took, expected = time.monotonic() - began, records(folder / "whole")
    sent: Counter[str] = Counter()
    problems: list[str] = []
    sweeps, results, killed = 0, folder / "disturbed-0", False
    while sum(sent.values()) < signals or sweeps == 0:
        process = started(results, engine)
        if sum(sent.values()) < signals:
            time.sleep(chance.uniform(0, took))
            number = chance.choice(SIGNALS)
            hit = chance.choice([process, *workers(process)])
            with contextlib.suppress(ProcessLookupError):
                os.kill(hit, number)
                sent[f"{number.name} to {'the sweep' if hit == process else 'a worker'}"] += 1
                killed |= number == signal.SIGKILL
        code = ended(process)
        if code not in (0, 1, 130, -signal.SIGKILL):
            problems.append(f"exit code {code}")
        problems += left_behind(results, killed=killed)
        if code == 0:
            sweeps += 1
            if records(results) != expected:
                problems.append(f"{results}: other records than the undisturbed sweep has")
            shutil.rmtree(results)
            results, killed = folder / f"disturbed-{sweeps}", False
    if "Traceback" in (folder / "said.txt").read_text():
        problems.append(f"{folder / 'said.txt'}: a traceback")
    found = {"sent": dict(sent), "sweeps": sweeps, "problems": problems}
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
