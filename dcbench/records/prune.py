"""Disk space given back: weights that are no longer needed, and predictions packed anew.

The record is written first: whenever a process is killed, it agrees with the files that are there.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable
from pathlib import Path
from typing import Literal, NamedTuple

from dcbench.config.progress import NoProgress, Progress
from dcbench.errors import DataError, RunError, UsageError
from dcbench.records.arrays import arrays_sha256, is_packed, pack, unpack
from dcbench.records.atomic import write_bytes
from dcbench.records.files import RECORD, read_arrays, read_record, remove, write_record
from dcbench.records.schema import Record, StoredPredictions
from dcbench.records.store import address_of, locked, record_paths, under


class Pruned(NamedTuple):
    """What became of a run.

    Attributes
    ----------
    folder : Path
        Where it lies.
    record : Record or None
        As it was; None: it cannot be read.
    state : str
        `pruned`; `unchanged`: nothing was to do; `refused` or `damaged`, and nothing was done.
    weights, predictions : int
        Bytes that are given back.
    """

    folder: Path
    record: Record | None
    state: Literal["pruned", "unchanged", "refused", "damaged"]
    weights: int = 0
    predictions: int = 0
    message: str = ""


def prune(
    results: Path,
    chosen: Callable[[Record], bool],
    *,
    weights: bool = False,
    repack: bool = False,
    dry_run: bool = False,
    progress: Progress | None = None,
) -> list[Pruned]:
    """Give back disk space of finished runs; their numbers, records and hashes stay.

    Parameters
    ----------
    chosen
        Which runs.
    weights
        Remove the weights; the record says so, and keeps their hash.
    repack
        Write predictions of older versions as they are written now, without loss of a bit.
    dry_run
        Find out what that would give, and write nothing.

    Returns
    -------
    list of Pruned
        One for each chosen run, and for each record that cannot be read.

    Raises
    ------
    UsageError
        There is no record under `results`.
    """
    paths = record_paths(results)
    if not paths:
        raise UsageError(f"{results}: holds no record; name the results folder with --results")
    outcomes = []
    task = (progress or NoProgress()).task("prune", len(paths), unit="runs")
    for path in paths:
        outcome = _pruned(results, path.parent, chosen, weights, repack, dry_run)
        outcomes += [outcome] if outcome else []
        task.advance(1)
    task.close()
    return outcomes


def _pruned(
    results: Path,
    folder: Path,
    chosen: Callable[[Record], bool],
    weights: bool,
    repack: bool,
    dry_run: bool,
) -> Pruned | None:
    record = None
    try:
        record = read_record(folder)
        if not chosen(record):
            return None
        if under(results, address_of(record)) != folder:
            raise RunError(f"{folder / RECORD}: is the record of {address_of(record)}; left alone")
        with _held(folder, dry_run):
            freed = _weights(folder, record, dry_run) if weights else None
            saved = _repacked(folder, dry_run) if repack else None
    except DataError as problem:
        return Pruned(folder, record, "damaged", message=str(problem))
    except RunError as problem:
        return Pruned(folder, record, "refused", message=str(problem))
    changed = freed is not None or saved is not None
    return Pruned(folder, record, "pruned" if changed else "unchanged", freed or 0, saved or 0)


def _held(folder: Path, dry_run: bool) -> contextlib.AbstractContextManager[None]:
    if dry_run:
        return contextlib.nullcontext()
    return locked(folder, busy="prune again when it is done")


def _weights(folder: Path, record: Record, dry_run: bool) -> int | None:
    """Bytes of the weights that are removed; None where they were not kept."""
    path = folder / record.model.file
    if path.is_symlink():
        raise RunError(f"{path}: is a link, and what it points to is not ours to remove")
    there = path.is_file()
    if not there and not record.model.kept:
        return None
    size = path.stat().st_size if there else 0
    if not dry_run:
        model = record.model.model_copy(update={"kept": False})
        write_record(folder, record.model_copy(update={"model": model}))
        remove(folder, record.model.file)
    return size


def _repacked(folder: Path, dry_run: bool) -> int | None:
    """Bytes by which the predictions shrink; None where they are packed already."""
    record = read_record(folder)
    stored = record.predictions
    content, arrays = read_arrays(folder, stored)
    if stored.hash == "arrays" and is_packed(content):
        return None
    file, digest = io.BytesIO(), arrays_sha256(arrays)
    pack(file, arrays)
    packed = file.getvalue()
    if arrays_sha256(unpack(packed)) != digest:
        raise RunError(f"{folder / stored.file}: does not come back as it was; left alone")
    if not dry_run:
        before = stored.sha256 if stored.hash == "bytes" else stored.before
        new = StoredPredictions(file=stored.file, sha256=digest, hash="arrays", before=before)
        write_record(folder, record.model_copy(update={"predictions": new}))
        write_bytes(folder / stored.file, packed)
    return len(content) - len(packed)
