"""Files that are there whole or not at all."""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from dcbench.errors import RunError


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn the file system's refusals into an error for the user."""
    try:
        yield
    except OSError as problem:
        raise RunError(
            f"cannot write {path}: {problem.strerror or problem}; free some space or choose "
            "another folder (--results, -o), then run the same command again: what was finished or "
            "checkpointed is kept"
        ) from None


def write_bytes(path: Path, content: bytes) -> str:
    """Write what is there already, as `write_whole`."""
    return write_whole(path, lambda file: file.write(content))


def write_whole(path: Path, write: Callable[[BinaryIO], Any]) -> str:
    """Write a file in one piece or not at all, and return its SHA-256."""
    with writing(path):
        descriptor, temporary = tempfile.mkstemp(
            dir=path.parent, prefix=f".{path.name}.", suffix=".unfinished"
        )
        try:
            with os.fdopen(descriptor, "w+b") as file:
                write(file)
                file.flush()
                os.fsync(file.fileno())  # or the rename may reach the disk before the content
                file.seek(0)
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            Path(temporary).chmod(0o644)
            Path(temporary).replace(path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
    return digest
