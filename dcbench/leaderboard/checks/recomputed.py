"""Whether the metrics of rows follow from the stored predictions."""

from __future__ import annotations

import contextlib
import math
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

from dcbench.errors import DataError
from dcbench.leaderboard.checks.read import RowsFile
from dcbench.leaderboard.rows import Row
from dcbench.metrics.measure import flatten
from dcbench.records.arrays import arrays_sha256
from dcbench.records.files import read_arrays
from dcbench.records.recompute import measure_again
from dcbench.records.schema import Record
from dcbench.records.store import find_records

_TOLERANCE = 1e-6
"""One unit of the last decimal of a row: another processor may round the other way."""


def stored_problems(files: Iterable[RowsFile], results: Path) -> tuple[list[str], int]:
    """A line for each row that its stored predictions do not bear out, and how many rows have any.

    Predictions are found by the SHA-256 that the row names, wherever they lie under `results`.
    """
    stored: dict[str, list[tuple[Path, Record]]] = defaultdict(list)
    for path, record in find_records(results):
        stored[record.predictions.recorded_sha256].append((path.parent, record))
    problems, found = [], 0
    for file in files:
        for number, row in enumerate(file.rows):
            candidates = stored.get(row["predictions_sha256"], [])
            found += bool(candidates)
            if candidates:
                said = _problem(file, row, candidates)
                problems += [f"{file.row_title(number)}: {said}"] if said else []
    return problems, found


def array_hashes(results: Path) -> dict[str, str]:
    """The hash of the stored arrays, by the hash that a row of the same run names.

    Predictions that cannot be read are left out; `stored_problems` says so of their rows.
    """
    hashes = {}
    for path, record in find_records(results):
        stored = record.predictions
        with contextlib.suppress(DataError):
            hashes[stored.recorded_sha256] = (
                stored.sha256
                if stored.hash == "arrays"
                else arrays_sha256(read_arrays(path.parent, stored)[1])
            )
    return hashes


def _problem(file: RowsFile, row: Row, candidates: list[tuple[Path, Record]]) -> str | None:
    run = (file.rules.name, file.split.name, row["subset"], row["method"], row["seed"])
    folders = [folder for folder, record in candidates if _run_of(record) == run]
    if not folders:
        folder, record = candidates[0]
        return f"its predictions are those of another run, {'/'.join(_run_of(record))} in {folder}"
    try:
        again = measure_again(folders[0])
    except DataError as problem:
        return str(problem)
    newer = {*again.new, *again.later}
    wrong = [
        f"{name}='{row.get(name, '')}', the predictions give {_text(value)}"
        for name, value in flatten(again.metrics).items()
        if not _agrees(row.get(name, ""), value)
        # An empty cell is right where the record, or every row, is older than the metric, or the
        # row is older than the predictions of an image set.
        and not (row.get(name, "") == "" and (name in newer or name in file.empty_columns))
    ]
    return "; ".join(wrong) or None


def _run_of(record: Record) -> tuple[str, ...]:
    return (*(record.protocol, record.split, str(record.subset), record.label, str(record.seed)),)


def _agrees(cell: str, value: float | None) -> bool:
    if not cell or value is None:
        return cell == "" and value is None
    try:
        return math.isclose(float(cell), value, rel_tol=0, abs_tol=_TOLERANCE)
    except ValueError:
        return False


def _text(value: float | None) -> str:
    return "none" if value is None else f"{value:.6f}"
