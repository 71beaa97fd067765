"""Files that were cut off, flipped or put together anew, and how a reader answers."""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from dcbench.errors import DcbenchError
from dcbench.selftest.trial import Try

SECONDS = 1.0
"""Of the processor's time that a reader may take, for a file of some kilobytes."""

GROWTH = 200 << 20
"""Bytes that the process may grow by while it reads all of a kind."""

LONGEST_LINE = 5000


class Kind(NamedTuple):
    """A kind of file: an honest one's bytes, and what reads one at a path."""

    honest: bytes
    read: Callable[[Path], object]


def mutated(honest: bytes, number: int) -> bytes:
    """One of many files that an honest one may have become; the same for the same number."""
    generator = np.random.default_rng([number, len(honest)])
    content = bytearray(honest)
    for _ in range(int(generator.integers(1, 5))):
        size = max(len(content), 1)
        at = int(generator.integers(size))
        length = int(generator.integers(1, max(size // 4, 2)))
        piece = bytes(content[at : at + length])
        change = int(generator.integers(8))
        if change == 0:
            del content[at:]
        elif change == 1:
            content[at : at + 1] = bytes([int(generator.integers(256))])
        elif change == 2 and content:
            content[at] ^= 1 << int(generator.integers(8))
        elif change == 3:
            del content[at : at + length]
        elif change == 4:
            content[at:at] = piece * int(generator.integers(1, 4))
        elif change == 5:
            other = int(generator.integers(size))
            content[other : other + length] = piece
        elif change == 6:
            content[at : at + length] = bytes(length)
        else:
            odd = (b"9" * 400, b"[" * 300, b"\xff\xfe", b"\0", b'"', b"\n", b"-1", b"NaN", b"*a &a")
            content[at:at] = odd[int(generator.integers(len(odd)))]
    return bytes(content)


def answers(kind: Kind, numbers: Iterable[int], path: Path) -> Iterator[Try]:
    """Have a reader read one file after another at a path: it takes each, or answers in one line.

    Nothing is to appear beside the file.
    """
    before, around = _grown_to(), sorted(path.parent.rglob("*"))
    for number in numbers:
        path.write_bytes(mutated(kind.honest, number))
        yield _answer(kind, number, path, before)
    path.unlink(missing_ok=True)
    appeared = set(path.parent.rglob("*")) - {*around, path}
    if appeared:
        yield Try("afterwards", [f"{each}: was written by a reader" for each in appeared])


def _answer(kind: Kind, number: int, path: Path, before: int) -> Try:
    how, lost, began = "read", [], time.process_time()
    try:
        kind.read(path)
    except DcbenchError as problem:
        how, said = "refused", str(problem)
        if len(said.splitlines()) != 1 or len(said) > LONGEST_LINE:
            lost.append(f"file {number}: is not refused in one line: {said[:200]}")
    except Exception as problem:
        lost.append(f"file {number}: a traceback: {type(problem).__name__}: {problem}")
    if time.process_time() - began >= SECONDS:
        lost.append(f"file {number}: takes longer than {SECONDS:.0f} s")
    if _grown_to() - before >= GROWTH:
        lost.append(f"file {number}: the process has grown by {GROWTH >> 20} MiB")
    return Try(how, lost)


def _grown_to() -> int:
    """The most bytes of memory that the process has had."""
    unit = 1 if sys.platform == "darwin" else 1024
    return unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
