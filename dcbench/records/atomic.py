"""Files that are there whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import secrets
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from dcbench.config.interrupts import handlers
from dcbench.errors import RunError

_ADVICE = {
    **dict.fromkeys(
        (errno.ENOSPC, errno.EDQUOT, errno.EFBIG),
        "free some space or choose another folder (--results, -o), then run the same command "
        "again: what was finished or checkpointed is kept",
    ),
    **dict.fromkeys(
        (errno.EACCES, errno.EPERM, errno.EROFS),
        "choose a folder that you may write to (--results, -o)",
    ),
    **dict.fromkeys(
        (errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ELOOP),
        "something else stands in its place: remove it or choose another folder (--results, -o)",
    ),
    errno.ENAMETOOLONG: "a name is longer than the file system allows",
}
"""What to do about a refusal of the file system, where that is known."""


@contextlib.contextmanager
def undisturbed() -> Iterator[None]:
    """Let a signal that ends the process wait until what is within is done; a second one does not.

    Outside the main thread, where Python takes no signals, nothing is changed.
    """
    noted: list[int] = []
    before = handlers()

    def note(number: int, frame: object) -> None:
        if noted:
            _pass_on(number, before[number])
        noted.append(number)

    for each in before:
        signal.signal(each, note)
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
    if noted:
        _pass_on(noted[0], before[noted[0]])


def _pass_on(number: int, handler: Any) -> None:
    if callable(handler):
        handler(number, None)
    else:
        os.kill(os.getpid(), number)


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn the file system's refusals into an error for the user."""
    try:
        yield
    except OSError as problem:
        advice = _ADVICE.get(problem.errno or 0)
        raise RunError(
            f"cannot write {path}: {problem.strerror or problem}{f'; {advice}' if advice else ''}"
        ) from None


def write_bytes(path: Path, content: bytes) -> str:
    """Write what is there already, as `write_whole`."""
    return write_whole(path, lambda file: file.write(content))


def write_whole(path: Path, write: Callable[[BinaryIO], Any]) -> str:
    """Write a file in one piece or not at all, and return its SHA-256.

    Who may read it is what the user's umask says of new files.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.unfinished")
    with writing(path), undisturbed():
        try:
            with temporary.open("x+b") as file:
                write(file)
                file.flush()
                os.fsync(file.fileno())  # or the rename may reach the disk before the content
                file.seek(0)
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            temporary.replace(path)
        except BaseException:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)
            raise
    return digest
