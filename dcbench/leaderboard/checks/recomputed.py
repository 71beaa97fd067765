"""Whether rows follow from the runs that are given: their predictions, and all that they say."""

from __future__ import annotations

import contextlib
import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from dcbench.errors import DataError
from dcbench.leaderboard.changelog import Run
from dcbench.leaderboard.checks.duplicates import may_agree
from dcbench.leaderboard.checks.evidence import (
    Stored,
    Used,
    prediction_problems,
    record_problems,
    same_weights,
    weights_are_there,
)
from dcbench.leaderboard.checks.read import RowsFile
from dcbench.leaderboard.checks.training import strange_losses, training_problems
from dcbench.leaderboard.rows import Row, key_of
from dcbench.metrics.measure import flatten
from dcbench.metrics.table import find_metric
from dcbench.records.arrays import arrays_sha256
from dcbench.records.files import read_arrays
from dcbench.records.recompute import measure_again
from dcbench.records.schema import Record
from dcbench.records.store import find_records

_TOLERANCE = 1e-6
"""One unit of the last decimal of a row: another processor may round the other way."""


Verify = Callable[[Path, Record], list[str]]
"""Given a run's folder and its record: what its weights say against it."""


class Given:
    """The runs under a results folder, for the rows that name their predictions.

    Predictions are found by the SHA-256 that a row names, wherever they lie.

    Attributes
    ----------
    count : int
        Rows whose predictions are there.
    verified : int
        Those whose weights are there too and were asked.
    founded : set of Run
        The runs of rows whose own predictions are there.
    """

    def __init__(self, files: Iterable[RowsFile], results: Path) -> None:
        self.files, self.count, self.verified = list(files), 0, 0
        self.founded: set[Run] = set()
        self._stored: dict[str, list[Stored]] = defaultdict(list)
        self._runs: dict[tuple[str, ...], Stored] = {}
        for path, record in find_records(results):
            stored = Stored(path.parent, record)
            self._stored[record.predictions.recorded_sha256].append(stored)
            self._runs[_run_of(record)] = stored

    def problems(self, verify: Verify | None = None) -> Iterator[str]:
        """A line for each thing that the runs say against the rows."""
        used: list[Used] = []
        for file in self.files:
            for number, row in enumerate(file.rows):
                for problem in self._of_row(file, row, used, verify):
                    yield f"{file.row_title(number)}: {problem}"
        yield from same_weights(used)
        yield from strange_losses(used)

    def _of_row(
        self, file: RowsFile, row: Row, used: list[Used], verify: Verify | None
    ) -> Iterator[str]:
        run = (file.rules.name, file.split.name, row["subset"], row["method"], row["seed"])
        candidates = [
            each
            for each in self._stored.get(row["predictions_sha256"], [])
            if not _is_twin(each.record, row, file)
        ]
        self.count += bool(candidates)
        own = next((each for each in candidates if _run_of(each.record) == run), None)
        if own is None:
            if candidates:
                other = candidates[0]
                yield (
                    "its predictions are those of another run, "
                    f"{'/'.join(_run_of(other.record))} in {other.folder}"
                )
            elif run in self._runs:
                yield f"the record in {self._runs[run].folder} has other predictions than the row"
            return
        self.founded.add(Run(file.board, key_of(row)))
        used.append(Used(file, row, own))
        yield from run_problems(file, row, own.folder, own.record)
        if verify is not None and weights_are_there(own):
            self.verified += 1
            yield from verify(own.folder, own.record)


def run_problems(file: RowsFile, row: Row, folder: Path, record: Record) -> Iterator[str]:
    """What a run's files say against its row, the protocol or the split."""
    stored = Stored(folder, record)
    problem = _metrics_problem(file, row, folder)
    if problem:
        yield problem
    yield from record_problems(file, row, record)
    yield from prediction_problems(stored)
    yield from training_problems(stored)


def array_hashes(results: Path) -> dict[str, str]:
    """The hash of the stored arrays, by the hash that a row of the same run names.

    Predictions that cannot be read are left out; `Given.problems` says so of their rows.
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


def _metrics_problem(file: RowsFile, row: Row, folder: Path) -> str | None:
    try:
        again = measure_again(folder)
    except DataError as problem:
        return str(problem)
    newer, given = {*again.new, *again.later}, flatten(again.metrics)
    wrong = [
        f"{name}='{row.get(name, '')}', the predictions give {_text(value)}"
        for name, value in given.items()
        if not _agrees(row.get(name, ""), value)
        # An empty cell is right where the record, or every row, is older than the metric, or the
        # row is older than the predictions of an image set.
        and not (row.get(name, "") == "" and (name in newer or name in file.empty_columns))
    ]
    lacking = [name for name in row if row[name] and find_metric(name) and name not in given]
    if lacking:
        others = f" and {len(lacking) - 1} more" if len(lacking) > 1 else ""
        wrong.append(f"{lacking[0]}='{row[lacking[0]]}'{others}, the predictions give none")
    return "; ".join(wrong) or None


def _run_of(record: Record) -> tuple[str, ...]:
    return (*(record.protocol, record.split, str(record.subset), record.label, str(record.seed)),)


def _is_twin(record: Record, row: Row, file: RowsFile) -> bool:
    """Whether a record is of another method that is one with the row's by construction."""
    where = (record.protocol, record.split)
    if where != (file.rules.name, file.split.name) or record.label == row["method"]:
        return False
    run = {"subset": str(record.subset), "seed": str(record.seed), "method": record.label}
    return may_agree(run, row, file)


def _agrees(cell: str, value: float | None) -> bool:
    if not cell or value is None:
        return cell == "" and value is None
    try:
        return math.isclose(float(cell), value, rel_tol=0, abs_tol=_TOLERANCE)
    except ValueError:
        return False


def _text(value: float | None) -> str:
    return "none" if value is None else f"{value:.6f}"
