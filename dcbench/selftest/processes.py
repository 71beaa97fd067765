"""The command line in processes of their own, forked from one that has imported PyTorch already."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import resource
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, NoReturn

from dcbench.errors import RunError

if TYPE_CHECKING:
    from multiprocessing.context import ForkServerProcess

PATIENCE = 120.0
"""Seconds after which a command that was to end counts as one that hangs."""

TO_LEAVE = 25.0
"""Seconds in which the workers of a sweep that was killed are to be gone."""

PROC = Path("/proc")
"""Where Linux tells of processes; other systems have no such place."""

FULL = Path("/dev/full")
"""A device on which nothing can be written for want of space; Linux has it."""

_IMPORTED = (
    *("torch", "dcbench.cli", "dcbench.cli.console", "dcbench.runs.execute"),
    *("dcbench.sweep.scheduler", "dcbench.sweep.engines.loky", "dcbench.records.recompute"),
)
"""What the process imports that the others are forked from, so that a try costs what it does."""


class Handicap(NamedTuple):
    """What a command has to do without.

    Attributes
    ----------
    closed : tuple of int
        Of its streams, 1 for standard output and 2 for standard error.
    full : tuple of int
        Streams that go to a full disk.
    unread : bool
        Standard output is a pipe whose reader is gone.
    largest : int, optional
        Bytes beyond which no file grows.
    """

    closed: tuple[int, ...] = ()
    full: tuple[int, ...] = ()
    unread: bool = False
    largest: int | None = None


class Ended(NamedTuple):
    """What became of a command: its exit code or minus its signal, and what it said."""

    code: int
    out: str
    err: str

    @property
    def errors(self) -> list[str]:
        """The lines that tell of an error."""
        return [line for line in self.err.splitlines() if line.startswith("error: ")]

    def unlike(self, *codes: int) -> list[str]:
        """What is wrong: a traceback, or another exit code than these."""
        wrong = []
        if "Traceback" in self.err:
            wrong.append(f"a traceback: {self.err.splitlines()[-1]}")
        if self.code not in codes:
            expected = " or ".join(map(str, codes))
            said = [line.strip() for line in self.err.splitlines() if line.strip()] or ["nothing"]
            wrong.append(f"exit code {self.code} and not {expected}; it said: {' / '.join(said)}")
        return wrong

    def refused(self, *codes: int) -> list[str]:
        """What is wrong with a refusal, which is one line and one of these exit codes."""
        wrong = self.unlike(*codes)
        if not wrong and self.code != 0 and len(self.errors) != 1:
            wrong.append(f"{len(self.errors)} lines of errors and not one")
        return wrong


@dataclass(frozen=True)
class Command:
    """A command that has begun; it leads a session of its own."""

    process: ForkServerProcess
    said: Path

    @property
    def pid(self) -> int:
        """Of the process, and of its session."""
        assert self.process.pid is not None, "it has begun"
        return self.process.pid

    @property
    def workers(self) -> list[int]:
        """The processes that carry runs out for it, by what Linux says."""
        found: list[int] = []
        with contextlib.suppress(OSError):
            for task in (PROC / str(self.pid) / "task").iterdir():
                for child in (task / "children").read_text().split():
                    # Trackers of semaphores do no run, and are quick to leave.
                    if b"resource_tracker" not in (PROC / child / "cmdline").read_bytes():
                        found.append(int(child))
        return found

    def says(self, words: str) -> bool:
        """Wait until standard error holds these words; False where it ends without."""
        while words not in self.err:
            if not self.process.is_alive():
                return words in self.err
            time.sleep(0.01)
        return True

    @property
    def err(self) -> str:
        """What it has written to standard error so far."""
        path = self.said.with_suffix(".err")
        return path.read_text(errors="replace") if path.exists() else ""

    def ended(self) -> Ended:
        """Wait for its end.

        Raises
        ------
        RunError
            It hangs; it has been killed.
        """
        self.process.join(PATIENCE)
        if self.process.exitcode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)
            self.process.join()
            raise RunError(f"a command hangs; what it said is in {self.said}.err")
        out = self.said.with_suffix(".out")
        told = out.read_text(errors="replace") if out.exists() else ""
        return Ended(self.process.exitcode, told, self.err)


class Commands:
    """Starts commands.

    Parameters
    ----------
    program
        The command line: reads `sys.argv`, and ends by `SystemExit`. A function of a module.
    folder : Path
        Where what they say is kept.
    """

    def __init__(self, program: Callable[[], None], folder: Path) -> None:
        self._program, self._folder = program, folder
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload([program.__module__, *_IMPORTED])
        self._begun: list[Command] = []
        folder.mkdir(parents=True, exist_ok=True)

    def begin(self, *words: object, handicap: Handicap | None = None) -> Command:
        """Start `dcbench WORDS`; when this returns, it hears signals."""
        said = self._folder / f"{len(self._begun):05d}"
        asked = ["dcbench", *map(str, words)]
        heard, ready = self._context.Pipe(duplex=False)
        process = self._context.Process(
            target=_become, args=(self._program, asked, said, handicap or Handicap(), ready)
        )
        process.start()
        ready.close()
        with heard, contextlib.suppress(EOFError):
            heard.recv_bytes()
        command = Command(process, said)
        self._begun.append(command)
        return command

    def run(self, *words: object, handicap: Handicap | None = None) -> Ended:
        """Start `dcbench WORDS` and wait for its end."""
        return self.begin(*words, handicap=handicap).ended()

    def orphans(self) -> list[str]:
        """The processes that are left of commands that ended, after the time that they have."""
        deadline = time.monotonic() + TO_LEAVE
        sessions = {each.pid for each in self._begun}
        while left := _members(sessions):
            if time.monotonic() > deadline:
                return [f"process {pid} is left behind: {title}" for pid, title in left]
            time.sleep(0.1)
        return []

    def stop(self) -> None:
        """End whatever is at work."""
        for pid, _ in _members({each.pid for each in self._begun}):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for each in self._begun:
            each.process.kill()
            each.process.join()


def _members(sessions: set[int]) -> list[tuple[int, str]]:
    """The processes of some sessions that have not ended, with their command lines."""
    return [(pid, title) for pid, session, title in _processes() if session in sessions]


def _processes() -> Iterator[tuple[int, int, str]]:
    """Every process that Linux tells of: its number, its session, its command line."""
    for folder in PROC.glob("[0-9]*"):
        with contextlib.suppress(OSError):
            state, _, _, session = (folder / "stat").read_text().rpartition(")")[2].split()[:4]
            if state not in "ZX":
                title = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                yield int(folder.name), int(session), title.strip()


def _become(
    program: Callable[[], None], words: list[str], said: Path, handicap: Handicap, ready: Connection
) -> NoReturn:
    """Be the command, in the process that was forked for it."""
    code = 0
    try:
        os.setsid()
        _limit(said, handicap)
        sys.argv = words
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.default_int_handler)  # until the program sets its own
        ready.send_bytes(b"ready")
        ready.close()
        program()
    except SystemExit as left:
        code = left.code if isinstance(left.code, int) else int(left.code is not None)
    except KeyboardInterrupt:
        code = 130
    except BaseException:
        traceback.print_exc()
        code = 99
    with contextlib.suppress(Exception):
        sys.stdout.flush()
    os._exit(code)


def _limit(said: Path, handicap: Handicap) -> None:
    """Set up the streams of the process as an interpreter has them, and what it does without."""
    for number, name in ((1, "stdout"), (2, "stderr")):
        path = said.with_suffix(f".{name[3:]}")
        _redirect(number, FULL if number in handicap.full else path)
        if number == 1 and handicap.unread:
            reading, writing = os.pipe()
            os.dup2(writing, number)
            os.close(writing)
            os.close(reading)
        stream = os.fdopen(number, "w", buffering=1 if number == 2 else -1, closefd=False)
        if number in handicap.closed:
            os.close(number)
        setattr(sys, name, None if number in handicap.closed else stream)
    if handicap.largest is not None:
        hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
        resource.setrlimit(resource.RLIMIT_FSIZE, (handicap.largest, hard))


def _redirect(number: int, path: Path) -> None:
    stream = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    os.dup2(stream, number)
    os.close(stream)
