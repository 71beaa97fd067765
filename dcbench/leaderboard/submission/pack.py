"""`pack`: the finished runs of a results folder, and the code behind them, as one file.

Weights stay behind. Equal runs make equal files, but for another version of zlib.
"""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from dcbench._version import __version__
from dcbench.config.base import validated
from dcbench.config.progress import NoProgress, Progress
from dcbench.errors import UsageError
from dcbench.leaderboard.submission.manifest import (
    MANIFEST,
    RESULTS,
    PackedFile,
    Submission,
)
from dcbench.leaderboard.submission.sources import gathered
from dcbench.leaderboard.tracks import is_taken
from dcbench.records.atomic import write_whole
from dcbench.records.files import HISTORY, RECORD, SETS, read_stored, read_whole
from dcbench.records.schema import Record
from dcbench.records.set_files import read_sets
from dcbench.records.store import address_of, distinct_records


@dataclass(frozen=True)
class Packed:
    """A submission as it is written, or would be.

    Attributes
    ----------
    records : tuple of Record
        The runs that are in it.
    custom : tuple of Path
        Records that no leaderboard takes, and that are left out.
    sha256 : str or None
        Of the file; None: nothing was written.
    """

    submission: Submission
    records: tuple[Record, ...]
    custom: tuple[Path, ...]
    sha256: str | None

    @property
    def bytes(self) -> int:
        """What all files hold."""
        return sum(each.bytes for each in self.submission.files)


def pack(
    results: Path,
    output: Path,
    *,
    footnote: str = "",
    sources: Sequence[Path] = (),
    further: bool = False,
    dry_run: bool = False,
    progress: Progress | None = None,
) -> Packed:
    """Write the finished runs under `results` that a leaderboard may take into one file.

    Parameters
    ----------
    footnote
        Of the rows: where the method can be had, in which version.
    sources
        Files of methods and networks that were named by their path; those of installed packages
        are found.
    further
        Take custom runs too that stand on the tracks `open` and `extra-data`.
    dry_run
        Read and hash all, and write nothing.

    Raises
    ------
    UsageError
        There is no run for a leaderboard, or code is lacking that a run used.
    DataError
        A record, or a file beside it, is damaged.
    RunError
        The file cannot be written, or two records of a run differ.
    """
    if not results.is_dir():
        raise UsageError(f"{results}: there is no such folder")
    found = distinct_records(results)
    taken = [
        (path, record)
        for path, record in found
        if record.status == "protocol" or (further and is_taken(record))
    ]
    there = {path for path, _ in taken}
    custom = tuple(path for path, _ in found if path not in there)
    if not taken:
        why = f"{len(custom)} custom runs, and" if custom else "no record, so"
        others = sum(is_taken(record) for _, record in found)
        hint = f"; --open takes {others} of them, on tracks of their own" if others else ""
        raise UsageError(f"{results}: holds {why} nothing that a leaderboard takes{hint}")
    code = gathered(taken, sources)
    task = (progress or NoProgress()).task("pack", len(taken), unit="runs")
    contents = {source.file: text for source, text in code}
    files = [_packed(name, text) for name, text in contents.items()]
    for path, record in taken:
        files += [_packed(name, text) for name, text in _files_of(path, record)]
        task.advance()
    task.close()
    files.sort(key=_name)
    submission = validated(
        Submission,
        {
            "dcbench": __version__,
            "footnote": footnote,
            "sources": [source for source, _ in code],
            "files": files,
        },
        "submission",
    )
    digest = None if dry_run else _written(output, submission, contents, taken)
    return Packed(submission, tuple(record for _, record in taken), custom, digest)


def _files_of(path: Path, record: Record) -> Iterator[tuple[str, bytes]]:
    """The files of a run by their names in a submission, each checked against its hash."""
    folder, run = path.parent, f"{RESULTS}/{address_of(record).as_posix()}"
    yield f"{run}/{RECORD}", read_whole(path)
    yield f"{run}/{record.predictions.file}", read_stored(folder, record.predictions)
    if (folder / HISTORY).exists():
        yield f"{run}/{HISTORY}", read_whole(folder / HISTORY)
    for each in read_sets(folder, record):
        yield f"{run}/{SETS}/{each.name}.json", read_whole(folder / SETS / f"{each.name}.json")
        yield f"{run}/{each.predictions.file}", read_stored(folder, each.predictions)


def _name(file: PackedFile) -> str:
    return file.name


def _packed(name: str, content: bytes) -> PackedFile:
    digest = hashlib.sha256(content).hexdigest()
    return PackedFile(name=name, bytes=len(content), sha256=digest)


def _written(
    output: Path,
    submission: Submission,
    contents: dict[str, bytes],
    taken: Sequence[tuple[Path, Record]],
) -> str:
    manifest = f"{submission.model_dump_json(indent=2)}\n".encode()

    def write(file: BinaryIO) -> None:
        with zipfile.ZipFile(file, "w") as archive:
            _add(archive, MANIFEST, manifest)
            for name, text in contents.items():
                _add(archive, name, text)
            # Read once more rather than kept: predictions of many runs may not fit into memory.
            for path, record in taken:
                for name, text in _files_of(path, record):
                    _add(archive, name, text)

    return write_whole(output, write)


def _add(archive: zipfile.ZipFile, name: str, content: bytes) -> None:
    """A member, deflated unless it is compressed already, with no time of its own."""
    method = zipfile.ZIP_STORED if name.endswith(".npz") else zipfile.ZIP_DEFLATED
    archive.writestr(zipfile.ZipInfo(name), content, method)
