"""A results folder: what is there of a run, and where all records are.

Looking up reads alone: a folder without write permission will do. Folders that are links are not
followed, by no command.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import filelock

from dcbench.config.keep import Weights
from dcbench.errors import BusyError, DataError, DcbenchError, RunError
from dcbench.records.atomic import writing
from dcbench.records.files import CHECKPOINT, PREDICTIONS, RECORD, WEIGHTS
from dcbench.records.identity import Configuration, Identity, address, earlier_address
from dcbench.records.schema import Record
from dcbench.records.set_files import read_completed

LOCK = ".lock"
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
        linked = self._linked(folder.relative_to(self.root))
        if linked is not None:
            return Differs(
                RunError(f"{linked}: is a link, and links below a results folder are not followed")
            )
        path = folder / RECORD
        try:
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
    return earlier if earlier.exists() else results / run


def record_paths(results: Path) -> list[Path]:
    """Where the records under a results folder are, in order; links to folders are not followed."""
    return sorted(results.rglob(RECORD))


def find_records(results: Path) -> Iterator[tuple[Path, Record]]:
    """Every record under a results folder, with the sets predicted later, in order of path."""
    for path in record_paths(results):
        yield path, read_completed(path)


def unfinished_folders(results: Path) -> list[Path]:
    """The folders under a results folder that hold something of a run, but no record."""
    begun = {path.parent for path in results.rglob("*") if path.name in _BEFORE_THE_RECORD}
    return sorted(folder for folder in begun if not (folder / RECORD).exists())
