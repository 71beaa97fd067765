"""A results folder: which one it is, and where the runs lie in it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from dcbench.records import CHECKPOINT, PREDICTIONS, RECORD, WEIGHTS, Record, read_record

_BEFORE_THE_RECORD = {CHECKPOINT, PREDICTIONS, WEIGHTS}


def results_root(option: str | Path | None = None) -> Path:
    """The results folder: the option, `DCBENCH_RESULTS`, or `results` here."""
    return Path(option or os.environ.get("DCBENCH_RESULTS") or "results")


def address(protocol: str, split: str, subset: int, label: str, seed: int) -> Path:
    """Where a run lies under a results folder."""
    return Path(protocol, split, f"subset-{subset}", label, f"seed-{seed}")


def address_of(record: Record) -> Path:
    """Where the run of a record lies under a results folder."""
    return address(record.protocol, record.split, record.subset, record.label, record.seed)


def record_paths(results: Path) -> list[Path]:
    """Where the records under a results folder are, in order; links to folders are not followed."""
    return sorted(results.rglob(RECORD))


def find_records(results: Path) -> Iterator[tuple[Path, Record]]:
    """Every record under a results folder, in the order of their paths."""
    for path in record_paths(results):
        yield path, read_record(path)


def unfinished_folders(results: Path) -> list[Path]:
    """The folders under a results folder that hold something of a run, but no record."""
    begun = {path.parent for path in results.rglob("*") if path.name in _BEFORE_THE_RECORD}
    return sorted(folder for folder in begun if not (folder / RECORD).exists())
