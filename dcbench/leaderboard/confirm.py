"""`confirm`: rows earn a higher tier by the runs that are given for them."""

from __future__ import annotations

import contextlib
import math
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from dcbench.errors import RunError, UsageError
from dcbench.leaderboard.changelog import (
    Entry,
    Run,
    entries_for,
    entries_of,
    list_lines,
    on_one_line,
    read_changelog,
    standings_from,
)
from dcbench.leaderboard.checks.read import RowsFile, read_folder
from dcbench.leaderboard.checks.recomputed import Given, Verify, run_problems
from dcbench.leaderboard.files import held, retired_in
from dcbench.leaderboard.marks import say
from dcbench.leaderboard.rows import Row, key_of, row_of, run_title
from dcbench.leaderboard.standing import RECOMPUTED, RERUN, SUPERSEDED, TIERS, Standing
from dcbench.records.schema import Record
from dcbench.records.store import distinct_records

FEWEST_PAIRS = 3
"""Runs measured on two machines, from which the spread between machines is known."""

LEVEL = 0.99
"""Share of differences between machines that lie within the spread."""


@dataclass(frozen=True)
class Confirmed:
    """What came of it.

    Attributes
    ----------
    entries : list of Entry
        What the changelog says now, or would say.
    problems : list of str
        What speaks against rows; nothing is written then.
    """

    entries: list[Entry]
    problems: list[str]


def confirm_recomputed(
    folder: Path,
    results: Path,
    reason: str,
    *,
    verify: Verify | None = None,
    dry_run: bool = False,
) -> Confirmed:
    """Raise to `recomputed` the rows whose runs lie under `results` and give all that they say.

    Raises
    ------
    UsageError
        There is no reason, no such folder, or no run of any row under `results`.
    DataError
        A record is damaged.
    """
    reason = on_one_line(reason)
    with held(folder, dry_run=dry_run):
        files = _files(folder, results)
        given = Given(files, results)
        problems = list(given.problems(verify))
        if not given.founded and not problems:
            raise UsageError(f"{results}: holds no run of any row in {folder}")
        below = _below(folder, given.founded, RECOMPUTED)
        return _said(folder, entries_for(below, RECOMPUTED, reason), problems, dry_run)


def confirm_rerun(
    folder: Path,
    results: Path,
    reason: str,
    *,
    spread: float | None = None,
    dry_run: bool = False,
) -> Confirmed:
    """Raise to `rerun` the rows whose runs were trained again on another machine.

    Parameters
    ----------
    results
        Runs of the same names, trained elsewhere.
    spread : float, optional
        The largest difference of the accuracy; else as measured between machines on the split.

    Raises
    ------
    UsageError
        As for `confirm_recomputed`; or the spread of a split is not known.
    """
    reason = on_one_line(reason)
    with held(folder, dry_run=dry_run):
        files = {file.board: file for file in _files(folder, results)}
        problems, within = [], defaultdict(list)
        for path, record in distinct_records(results):
            file = files.get(f"{record.protocol}/{record.split}")
            rows = file.keyed() if file else []
            row = next((row for _, row in rows if _is_of(record, row)), None)
            if file is None or row is None:
                continue
            limit = spread if spread is not None else measured_spread(file)
            found = list(_against(file, row, path.parent, record, limit))
            problems += [f"{path}: {problem}" for problem in found]
            if not found:
                difference = record.metrics.accuracy - float(row["accuracy"])
                within[file.board, limit].append((Run(file.board, key_of(row)), abs(difference)))
        if not within and not problems:
            raise UsageError(f"{results}: holds no run of any row in {folder}")
        entries = []
        for (_, limit), runs in within.items():
            most = max(difference for _, difference in runs)
            said = f"{reason}; accuracy differs by up to {most:.4f}, machines by {limit:.4f}"
            entries += entries_for(_below(folder, {run for run, _ in runs}, RERUN), RERUN, said)
        return _said(folder, entries, problems, dry_run)


class _Pair(NamedTuple):
    one: Row
    other: Row

    @property
    def difference(self) -> float:
        return float(self.one["accuracy"]) - float(self.other["accuracy"])


def measured_spread(file: RowsFile) -> float:
    """The largest difference of a run's accuracy that is usual between two machines.

    From the superseded rows of the split whose runs were measured again on another device: the
    half-width of the 99 % interval of a difference, by Student's t, about zero.

    Raises
    ------
    UsageError
        There are fewer than `FEWEST_PAIRS` of them.
    """
    now = {key_of(row): row for _, row in file.keyed()}
    retired = retired_in(file.folder).get(file.split.name, [])
    pairs = [
        _Pair(now[key_of(row)], row)
        for row in retired
        if row["state"] == SUPERSEDED
        and key_of(row) in now
        and now[key_of(row)]["device"] != row["device"]
    ]
    if len(pairs) < FEWEST_PAIRS:
        raise UsageError(
            f"{file.board}: the spread between machines is not measured there: {len(pairs)} runs "
            f"on two devices, of {FEWEST_PAIRS} at least; say with --spread how far apart they may "
            "be"
        )
    from scipy.special import stdtrit  # in here: nothing else here needs it

    square = math.fsum(pair.difference**2 for pair in pairs) / len(pairs)
    return float(stdtrit(len(pairs), (1 + LEVEL) / 2)) * math.sqrt(square)


def measured_spreads(folder: Path) -> dict[str, float]:
    """`measured_spread` of every board in a folder where it is known, by `<protocol>/<split>`."""
    spreads = {}
    for file in read_folder(folder, []):
        with contextlib.suppress(UsageError):
            spreads[file.board] = measured_spread(file)
    return spreads


def _against(file: RowsFile, row: Row, folder: Path, record: Record, limit: float) -> Iterator[str]:
    """What speaks against a row, of a run that was trained again."""
    if record.predictions.recorded_sha256 == row["predictions_sha256"]:
        yield "is the run of the row itself, or a copy of it"
        return
    if record.cost.device == row["device"]:
        yield f"was trained on the same device as the row: {row['device']}"
    yield from run_problems(file, row_of(record), folder, record)
    difference = record.metrics.accuracy - float(row["accuracy"])
    if abs(difference) > limit:
        yield (
            f"accuracy differs by {difference:+.4f} from the row of {run_title(key_of(row))}; "
            f"between machines {limit:.4f} is usual. `dcbench leaderboard mark --state disputed` "
            "says so of the row"
        )


def _is_of(record: Record, row: Row) -> bool:
    return key_of(row) == (record.subset, record.label, record.seed)


def _files(folder: Path, results: Path) -> list[RowsFile]:
    if not results.is_dir():
        raise UsageError(f"{results}: there is no such folder")
    problems: list[str] = []
    files = read_folder(folder, problems)
    if problems:
        raise RunError(f"{problems[0]}; `dcbench leaderboard check` says all that is wrong")
    return files


def _below(folder: Path, runs: set[Run], tier: str) -> set[Run]:
    """Those of some runs whose tier is lower."""
    entries, _ = entries_of(list_lines(read_changelog(folder)))
    now = standings_from(entries)
    return {run for run in runs if TIERS.index(now.get(run, Standing()).tier) < TIERS.index(tier)}


def _said(folder: Path, entries: list[Entry], problems: list[str], dry_run: bool) -> Confirmed:
    if entries and not problems and not dry_run:
        say(folder, entries)
    return Confirmed(entries, problems)
