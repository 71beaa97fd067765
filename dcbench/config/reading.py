"""Files as they are read: regular ones of a bounded size, and each format by one function.

Whatever a parser makes of bytes that are not what they should be ends in one line: the file, and
what is wrong with it.
"""

from __future__ import annotations

import csv
import errno
import functools
import io
import json
import os
import re
import stat
from collections import Counter
from pathlib import Path
from typing import Any, NoReturn

from dcbench.config.strict_yaml import YAMLTextError, parse_yaml
from dcbench.config.text import in_brief
from dcbench.errors import DataError, DcbenchError, UsageError

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30

MOST_TEXT = 16 * MIB
"""Bytes of a file that is written by hand: a hundred times what any of ours has."""

MOST_TABLE = GIB
"""Bytes of a table of rows: some 300,000 runs."""

_MOST_DEEP_JSON = 40
_FLAGS = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC
_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFLNK: "a link",
}


def read_file(
    path: Path,
    *,
    most: int = MOST_TEXT,
    links: bool = False,
    error: type[DcbenchError] = DataError,
) -> bytes:
    """The content of a regular file; nothing else is opened for long, and a pipe is not waited for.

    Parameters
    ----------
    most : int
        Bytes beyond which it is refused before it is read.
    links : bool
        Follow a link in the file's place: for what a user names, not for what lies in a folder of
        ours, whose content may come from others.

    Raises
    ------
    DcbenchError
        `error`: there is none, it is no regular file, is too large, or cannot be read.
    """
    try:
        descriptor = os.open(path, _FLAGS if links else _FLAGS | os.O_NOFOLLOW)
        try:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                kind = _KINDS.get(stat.S_IFMT(status.st_mode), "no file")
                raise error(f"{path}: is {kind}; should be a regular file")
            with os.fdopen(descriptor, "rb", closefd=False) as file:
                content = file.read(most + 1) if status.st_size <= most else b""
        finally:
            os.close(descriptor)
    except FileNotFoundError:
        raise error(f"{path}: no such file") from None
    except (OSError, ValueError) as problem:  # ValueError: a name with a null byte
        if isinstance(problem, DcbenchError):
            raise
        if not links and getattr(problem, "errno", None) == errno.ELOOP and path.is_symlink():
            raise error(f"{path}: is a link, and links are not followed here") from None
        reason = getattr(problem, "strerror", None) or problem
        raise error(f"{path}: cannot be read: {reason}") from None
    if max(status.st_size, len(content)) > most:
        raise error(f"{path}: is larger than the {most / MIB:,.0f} MiB that such a file may have")
    return content


def is_folder(path: Path) -> bool:
    """Whether a folder is there; not where that cannot be known."""
    try:
        return path.is_dir()
    except OSError:
        return False


def read_text(
    path: Path,
    *,
    most: int = MOST_TEXT,
    links: bool = False,
    error: type[DcbenchError] = DataError,
) -> str:
    """The content of a text file in UTF-8; as `read_file`."""
    return as_text(read_file(path, most=most, links=links, error=error), path, error)


def as_text(content: bytes, where: str | Path, error: type[DcbenchError] = DataError) -> str:
    """Bytes in UTF-8 as text."""
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as problem:
        raise error(
            f"{where}: cannot be read: byte {content[problem.start]:#04x} at {problem.start} is "
            "not UTF-8"
        ) from None


def read_yaml(path: Path) -> Any:
    """The content of a YAML file, which may be a link; an error names the file and the line.

    Whoever asks for a file again gets the same object: it is not to be changed.
    """
    text = read_text(path, links=True, error=UsageError)
    try:
        return _parsed_yaml(text)
    except YAMLTextError as problem:
        raise UsageError(f"{path}: {problem}") from None


@functools.lru_cache(maxsize=64)
def _parsed_yaml(text: str) -> Any:
    """YAML, parsed once for each text: many runs ask for the same few files, which may change."""
    return parse_yaml(text)


def parse_json(
    content: bytes, where: str | Path, error: type[DcbenchError] = DataError, hint: str = ""
) -> Any:
    """The value of a JSON text in UTF-8; `hint` ends the message of an error.

    Raises
    ------
    DcbenchError
        `error`: it is cut off, is no JSON, is nested too deep, holds what is no number, or text
        that no file can hold.
    """
    try:
        value = json.loads(content.decode("utf-8"), parse_constant=_refuse_constant)
        if content.count(b"{") + content.count(b"[") > _MOST_DEEP_JSON:
            _refuse_depth(value)
        if re.search(rb"\\u[dD][89a-fA-F]", content):
            json.dumps(value, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError:
        raise error(f"{where}: holds half of a surrogate pair, which is no text{hint}") from None
    except (ValueError, RecursionError) as problem:
        raise error(f"{where}: cut off or not JSON: {in_brief(problem)}{hint}") from None
    return value


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number")


def _refuse_depth(value: Any) -> None:
    """Look at one level after the other: a walk that called itself would be cut off by Python."""
    level = [value]
    for _ in range(_MOST_DEEP_JSON + 1):
        level = [
            inner
            for each in level
            if isinstance(each, (dict, list))
            for inner in (each.values() if isinstance(each, dict) else each)
        ]
    if level:
        raise ValueError(f"nested more than {_MOST_DEEP_JSON} deep")


def parse_csv(
    content: bytes, where: str | Path, error: type[DcbenchError] = DataError
) -> tuple[list[str], list[list[str]]]:
    """The header of a table and its lines, each as long as the header.

    A byte-order mark, with which spreadsheets begin a file, is no part of the first name.

    Raises
    ------
    DcbenchError
        `error`: it is empty or no CSV in UTF-8, a column is there twice, or a line has more or
        fewer cells than the header.
    """
    text = as_text(content, where, error).removeprefix("\ufeff")
    try:
        lines = list(csv.reader(io.StringIO(text, newline=""), strict=True))
    except csv.Error as problem:
        raise error(f"{where}: cannot be read: {problem}") from None
    if not lines:
        raise error(f"{where}: is empty; should begin with a line of column names")
    header = lines.pop(0)
    twice = [column for column, count in Counter(header).items() if count > 1]
    if twice:
        raise error(f"{where}: column {', '.join(twice)} is there twice")
    for number, line in enumerate(lines, start=2):
        if len(line) != len(header):
            raise error(
                f"{where}, line {number}: {len(line)} cells where the header has {len(header)}"
            )
    return header, lines
