"""A submission that somebody sent, unpacked: nothing in it is believed before it is checked."""

from __future__ import annotations

import hashlib
import stat
import zipfile
from pathlib import Path

from dcbench.config.reading import GIB, MIB, MOST_TEXT
from dcbench.config.text import in_brief
from dcbench.errors import DataError, DcbenchError, UsageError
from dcbench.leaderboard.submission.manifest import (
    MANIFEST,
    MOST_FILES,
    Submission,
    most_bytes,
    parse_submission,
)
from dcbench.records.atomic import write_bytes, writing

_MOST_ARCHIVE = 8 * GIB
_LARGEST, _GROWTH = 256 * MIB, 16
"""A file may say that it holds `_LARGEST` bytes or `_GROWTH` times its own, whichever is more."""

_ENCRYPTED = 1
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


def unpacked(path: Path, folder: Path) -> Submission:
    """Unpack a submission into an empty folder, each file checked against its size and hash.

    Raises
    ------
    UsageError
        There is no such file.
    DataError
        It is no submission, is damaged, holds what no submission holds, or says that it holds far
        more than its size. What was unpacked before stays in `folder`.
    RunError
        The folder cannot be written.
    """
    if not path.is_file():
        raise UsageError(f"{path}: {'is no regular file' if path.exists() else 'no such file'}")
    size = path.stat().st_size
    if size > _MOST_ARCHIVE:
        raise DataError(f"{path}: is larger than the {_MOST_ARCHIVE // GIB} GiB that it may have")
    try:
        with zipfile.ZipFile(path) as archive:
            members = _members(archive, size)
            content = archive.read(members[MANIFEST])
            submission = parse_submission(content, f"{path}: {MANIFEST}")
            _compare_names(submission, members)
            _write(folder / MANIFEST, content)
            for each in submission.files:
                text = archive.read(members[each.name])
                digest = hashlib.sha256(text).hexdigest()
                if digest != each.sha256:
                    raise ValueError(
                        f"{each.name} is damaged: SHA-256 is {digest}, {MANIFEST} names "
                        f"{each.sha256}"
                    )
                _write(folder / each.name, text)
    except DcbenchError:
        raise
    except Exception as problem:  # whatever zipfile makes of bytes that are no archive
        raise DataError(
            f"{path}: not a whole submission: {in_brief(problem)}; ask for it again, or pack it "
            "again with `dcbench submit pack`"
        ) from None
    return submission


def _members(archive: zipfile.ZipFile, size: int) -> dict[str, zipfile.ZipInfo]:
    """The members by name: regular files, not encrypted, none larger than it may be."""
    listed = archive.infolist()
    if len(listed) > MOST_FILES + 1:
        raise ValueError(f"{len(listed)} files are more than {MOST_FILES}")
    members = {member.filename: member for member in listed}
    if len(members) < len(listed):
        raise ValueError("a file is there twice")
    if MANIFEST not in members:
        raise ValueError(f"there is no {MANIFEST}")
    for name, member in members.items():
        kind = stat.S_IFMT(member.external_attr >> 16)
        if member.is_dir() or kind not in (0, stat.S_IFREG):
            raise ValueError(f"{name} is a folder or a link; should be a regular file")
        if member.flag_bits & _ENCRYPTED or member.compress_type not in _METHODS:
            raise ValueError(f"{name} is encrypted, or compressed by another method than deflate")
        most = MOST_TEXT if name == MANIFEST else most_bytes(name)
        if member.file_size > most:
            raise ValueError(f"{name} would take {member.file_size:,} bytes, more than {most:,}")
    declared = sum(member.file_size for member in listed)
    if declared > max(_LARGEST, _GROWTH * size):
        raise ValueError(f"{size:,} bytes that say they hold {declared:,}")
    return members


def _compare_names(submission: Submission, members: dict[str, zipfile.ZipInfo]) -> None:
    names = [each.name for each in submission.files]
    if len({name.casefold() for name in names}) < len(names):
        raise ValueError(f"{MANIFEST} names a file twice")
    differing = sorted({MANIFEST, *names} ^ members.keys())
    if differing:
        where = "is not in" if differing[0] in members else "is only in"
        raise ValueError(f"{differing[0]} {where} {MANIFEST}")


def _write(path: Path, content: bytes) -> None:
    with writing(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(path, content)
