"""What a worker keeps on its own disk: files of code, bundles, and results that it sends back."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import filelock

from dcbench.errors import RunError
from dcbench.records.atomic import write_bytes
from dcbench.records.files import CHECKPOINT
from dcbench.records.store import LOCK, Store
from dcbench.runs.plan import Plan
from dcbench.sweep.engines.parcel import CodeFile, Parcel
from dcbench.sweep.grid import Request

_PREFIX = "dcbench-worker-"

_ABANDONED_AFTER = 3600.0
"""Seconds for which a folder that no process holds is let be: it may be about to be held."""

_kept: list[object] = []
"""The folder of this process, and the lock that says so."""


@functools.cache
def _scratch() -> Path:
    """A folder of this process, which goes with it, or with a later one if this one is killed."""
    remove_abandoned(Path(tempfile.gettempdir()))
    folder = tempfile.TemporaryDirectory(prefix=_PREFIX)
    lock = filelock.FileLock(Path(folder.name, LOCK))
    lock.acquire()
    _kept.extend((folder, lock))
    return Path(folder.name)


def remove_abandoned(root: Path) -> None:
    """Remove the folders that workers of this user have left when they were killed."""
    for folder in root.glob(f"{_PREFIX}*"):
        lock = folder / LOCK
        with contextlib.suppress(OSError, filelock.Timeout):
            age = time.time() - lock.stat().st_mtime
            if age > _ABANDONED_AFTER and not folder.is_symlink():
                with filelock.FileLock(lock, timeout=0):
                    shutil.rmtree(folder)


def request_here(request: Request, parcel: Parcel) -> Request:
    """The request as this process can look it up: the files that it names lie elsewhere.

    A path is the same for one path of the sender, so that a newer file takes the place of an older.
    """
    sent = {path: parcel.code[path] for path in request.files if path in parcel.code}
    lacking = {path: each for path, each in sent.items() if not _holds(Path(path), each.source)}
    return request.with_files({path: str(_kept_here(path, each)) for path, each in lacking.items()})


def _kept_here(path: str, file: CodeFile) -> Path:
    folder = _scratch() / "code" / hashlib.sha256(os.fsencode(path)).hexdigest()[:16]
    local = folder / file.name
    if not _holds(local, file.source):
        _write(local, file.source)
    return local


def _holds(path: Path, content: bytes) -> bool:
    try:
        return path.read_bytes() == content
    except OSError:
        return False


def with_data(parcel: Parcel, bundle: bytes | None) -> Parcel:
    """The parcel with data that lies here: a bundle that was sent is kept."""
    if parcel.bundle_sha256 is None:
        return parcel
    path = _scratch() / f"{parcel.bundle_sha256}.zip"
    if not path.exists():
        found = hashlib.sha256(bundle or b"").hexdigest()
        if found != parcel.bundle_sha256:
            raise RunError(f"the bundle that came has SHA-256 {found}, not {parcel.bundle_sha256}")
        _write(path, bundle or b"")
    return replace(parcel, source=replace(parcel.source, path=path), bundle_sha256=None)


@contextlib.contextmanager
def results(parcel: Parcel) -> Iterator[Store]:
    """The results folder; where its files are sent back, one for this job alone."""
    if not parcel.sends_back:
        if not parcel.store.root.is_dir():
            otherwise = "" if parcel.work.on_one_disk else ", or choose results: sent"
            raise RunError(
                f"{parcel.store.root}: the worker sees no such results folder; put it on a disk "
                f"that the workers share with the command{otherwise}"
            )
        yield parcel.store
        return
    with tempfile.TemporaryDirectory(prefix="dcbench-results-") as folder:
        yield replace(parcel.store, root=Path(folder))


def lay_out_checkpoints(parcel: Parcel, plans: Sequence[Plan], store: Store) -> None:
    """Put the states that runs go on from where they are looked for."""
    for plan, checkpoint in zip(plans, parcel.checkpoints, strict=False):
        if checkpoint is not None:
            _write(store.folder(plan.identity) / CHECKPOINT, checkpoint)


def files(parcel: Parcel, plans: Sequence[Plan], store: Store) -> list[Mapping[str, bytes]]:
    """All files of each run, where they are sent back."""
    if not parcel.sends_back:
        return []
    return [
        {path.name: path.read_bytes() for path in _visible(store.folder(plan.identity))}
        for plan in plans
    ]


def _visible(folder: Path) -> list[Path]:
    """The files of a run, without its lock or what was being written."""
    return [path for path in folder.glob("*") if not path.name.startswith(".")]


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(path, content)
