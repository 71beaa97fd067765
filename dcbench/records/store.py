"""A results folder: what is there of a run, and where all records are.

Looking up reads alone: a folder without write permission will do. Folders that are links are not
followed, by no command.
"""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import filelock

from dcbench.config.keep import Weights
from dcbench.config.reading import is_folder
from dcbench.errors import BusyError, DataError, DcbenchError, RunError
from dcbench.records.atomic import writing
from dcbench.records.files import CHECKPOINT, PREDICTIONS, RECORD, WEIGHTS
from dcbench.records.identity import Configuration, Identity, address, earlier_address
from dcbench.records.schema import Record
from dcbench.records.set_files import read_completed

LOCK = ".lock"
_LINK = "is a link, and links below a results folder are not followed"
_BEFORE_THE_RECORD = {CHECKPOINT, PREDICTIONS, WEIGHTS}

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Missing:
    """Nothing is there of the run."""


@dataclass(frozen=True)
class HalfDone:
    """The run has a checkpoint and no record; whose it is shows when it is read."""


@dataclass(frozen=True, eq=False)
class Finished:
    """The run is there, with its predictions."""

    record: Record


@dataclass(frozen=True, eq=False)
class Differs:
    """Something else stands in the run's place: of another recipe or method, or damaged."""

    error: DcbenchError

    @property
    def reason(self) -> str:
        """What differs, and what to do."""
        return str(self.error)


Found = Missing | HalfDone | Finished | Differs


@dataclass(frozen=True)
class Store:
    """A results folder; it need not exist.

    Attributes
    ----------
    weights : "keep", "none" or None
        What becomes of those of new runs; None: as their protocol says.
    """

    root: Path
    weights: Weights | None = None

    def folder(self, run: Identity) -> Path:
        """Where a run lies, or is to lie."""
        return under(self.root, run.folder)

    def find(self, run: Identity) -> Found:
        """What there is of a run; nothing else decides whether a run is there."""
        folder = self.folder(run)
        path = folder / RECORD
        try:
            linked = self._linked(folder.relative_to(self.root))
            if linked is not None:
                return Differs(RunError(f"{linked}: {_LINK}"))
            if not path.exists():
                return HalfDone() if (folder / CHECKPOINT).exists() else Missing()
            record = read_completed(path)
        except DataError as problem:
            return Differs(problem)
        except OSError as problem:
            return Differs(DataError(f"{path}: cannot be read: {problem.strerror}"))
        difference = run.difference(configuration_of(record))
        if difference is not None:
            return Differs(
                RunError(
                    f"{path}: was made with {difference}; run it again with --restart, or choose "
                    "another folder with --results"
                )
            )
        # That they are there, not that they are whole: hashing them takes as long as reading them.
        predictions = folder / record.predictions.file
        if not predictions.is_file():
            return Differs(
                DataError(
                    f"{predictions}: no such file; the record names SHA-256 "
                    f"{record.predictions.sha256}: restore it, or run again with --restart"
                )
            )
        return Finished(record)

    def _linked(self, address: Path) -> Path | None:
        """The first part of an address that is a link."""
        parts = [self.root.joinpath(*address.parts[:depth]) for depth in range(1, 6)]
        return next((part for part in parts if part.is_symlink()), None)


def configuration_of(record: Record) -> Configuration:
    """What decided the numbers of a record."""
    values = {key: getattr(record, key) for key in Configuration.model_fields}
    return Configuration.model_validate(values)


@contextlib.contextmanager
def locked(folder: Path, *, busy: str | None = None) -> Iterator[None]:
    """Hold a run's folder against other processes.

    Parameters
    ----------
    busy : str, optional
        What the user is to do where another process holds it. Without it, that is said, and waited
        for.

    Raises
    ------
    RunError
        The folder cannot be written.
    BusyError
        Another process holds it, and `busy` is given.
    """
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        lock = filelock.FileLock(folder / LOCK)
        try:
            lock.acquire(timeout=0)
        except filelock.Timeout:
            if busy is not None:
                raise BusyError(f"another process is at work in {folder}; {busy}") from None
            _log.info("another process is at work in %s; waiting for it to finish", folder)
            lock.acquire()
    try:
        yield
    finally:
        lock.release()


def is_held(folder: Path) -> bool:
    """Whether another process is at work in a run's folder."""
    if not folder.is_dir():
        return False
    try:
        with locked(folder, busy="look again"):
            return False
    except BusyError:
        return True


def address_of(record: Record) -> Path:
    """Where the run of a record lies under a results folder."""
    return address(record.protocol, record.split, record.subset, record.label, record.seed)


def under(results: Path, run: Path) -> Path:
    """The folder of an address: where an earlier version has put the run, if it has."""
    earlier = results / earlier_address(run)
    return earlier if is_folder(earlier) else results / run


Skipped = Callable[[Path, str], None]
"""Told of a folder that was not looked into, and why."""


def _warn(folder: Path, reason: str) -> None:
    _log.warning("left out, %s: %s", folder, reason)


def record_paths(results: Path, skipped: Skipped = _warn) -> list[Path]:
    """Where the records under a results folder are, as `paths_named` finds them."""
    return paths_named(RECORD, results, skipped)


def paths_named(name: str, results: Path, skipped: Skipped = _warn) -> list[Path]:
    """Where the files of a name under a results folder are, in order.

    Links to folders are not followed, and hidden folders are not ours; `skipped` is told of links
    and of what cannot be read.
    """
    return sorted(folder / name for folder, names in _walk(results, skipped) if name in names)


def _walk(results: Path, skipped: Skipped) -> Iterator[tuple[Path, set[str]]]:
    """Every folder under one, with the names that are in it."""

    def unread(problem: OSError) -> None:
        if not isinstance(problem, FileNotFoundError):
            skipped(Path(problem.filename), f"cannot be read: {problem.strerror}")

    for place, folders, files in os.walk(results, onerror=unread):
        names = {*folders, *files}
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in folders:
            if Path(place, name).is_symlink():
                skipped(Path(place, name), _LINK)
        yield Path(place), names


def find_records(results: Path) -> Iterator[tuple[Path, Record]]:
    """Every record under a results folder, with the sets predicted later, in order of path."""
    for path in record_paths(results):
        yield path, read_completed(path)


def distinct_records(results: Path) -> list[tuple[Path, Record]]:
    """Every record under a results folder, but for copies of runs that lie elsewhere in it.

    Raises
    ------
    RunError
        Two records of a run differ, and neither lies where the run belongs.
    DataError
        A record is damaged.
    """
    found: dict[Path, tuple[Path, Record]] = {}
    for path, record in find_records(results):
        run = address_of(record)
        one = found.setdefault(run, (path, record))
        if one[0] == path:
            continue
        homes = (results / run, results / earlier_address(run))
        kept = next((each for each in (one, (path, record)) if each[0].parent in homes), one)
        if kept[0].parent not in homes and record != one[1]:
            raise RunError(
                f"{one[0]} and {path}: are different records of {run}, and neither lies there; "
                "remove the one that is not to count"
            )
        found[run] = kept
        _warn(path if kept is one else one[0], f"a copy of {kept[0]}")
    return list(found.values())


def unfinished_folders(results: Path) -> list[Path]:
    """The folders under a results folder that hold something of a run, but no record."""
    return sorted(
        folder
        for folder, names in _walk(results, lambda folder, reason: None)
        if names & _BEFORE_THE_RECORD and RECORD not in names
    )
