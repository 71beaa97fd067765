"""Leaderboards from records: rows, summaries, frozen rules and a description of the columns."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from dcbench.config.garbage import garbage_kept
from dcbench.config.protocol import Entry, Protocol, load_protocol
from dcbench.data.splits import split_config
from dcbench.errors import RunError, UsageError
from dcbench.leaderboard.changelog import (
    CHANGELOG,
    Run,
    entries_for,
    on_one_line,
    read_changelog,
    with_entries,
)
from dcbench.leaderboard.files import (
    is_withdrawn,
    protocol_files,
    remove_old_files,
    retired_in,
    retired_with,
    rows_in,
    write_files,
)
from dcbench.leaderboard.readme import readme
from dcbench.leaderboard.rows import Key, Row, in_order, key_of, row_of
from dcbench.leaderboard.rules_lock import (
    FROZEN,
    changed_rules,
    departures,
    freeze,
    read_frozen,
    used_by,
)
from dcbench.leaderboard.standing import SUPERSEDED
from dcbench.leaderboard.tables import read_summary, retired_path, runs_path, summary_path
from dcbench.leaderboard.tracks import is_taken, provenance_problem
from dcbench.metrics.table import find_metric
from dcbench.records.store import distinct_records, locked


class BoardUpdate(NamedTuple):
    """A leaderboard that has been written.

    Attributes
    ----------
    rows, added : int
        Rows that there are now, and how many of them are of runs that had none.
    other : tuple of Key
        Runs whose row stays although a record has other predictions.
    withdrawn : tuple of Key
        Runs that are left out, for their rows were withdrawn.
    """

    protocol: str
    split: str
    path: Path
    rows: int
    added: int
    other: tuple[Key, ...]
    withdrawn: tuple[Key, ...]
    summary: pd.DataFrame
    replaced: list[Run]


class BuildResult(NamedTuple):
    """What `build` did."""

    boards: list[BoardUpdate]
    custom: list[Path]
    unexplained: list[str] = []  # noqa: RUF012 - a default of a tuple
    """Lines that the changelog lacks, for rows that were replaced without a reason."""


@garbage_kept()
def build(
    results: Path,
    output: Path,
    *,
    replace: bool = False,
    reason: str = "",
    footnote: str = "",
    further: bool = False,
) -> BuildResult:
    """Add the records under `results` to the leaderboards under `output`.

    Rows that are there already stay, those of the same run with other predictions too: they are
    told, and all other records are added. Custom runs are left out, and those that were withdrawn.

    Parameters
    ----------
    replace
        Let a record take the place of a row of the same run with other predictions. The row is
        kept apart, as superseded.
    reason
        Why rows are replaced, for the changelog; without it, nothing is written there.
    further
        Take custom runs too that depart only in their network, their augmentation or the images
        that they learn from; they stand on tracks of their own.
    footnote
        Of the rows of these records; without it, a row that is there keeps its own.

    Raises
    ------
    UsageError
        There is no record, or the reason is blank.
    RunError
        The rules are not those that the rows obey, or no row would be left of a table.
    """
    reason = on_one_line(reason) if reason else ""
    found: dict[str, dict[str, list[Row]]] = defaultdict(lambda: defaultdict(list))
    custom = []
    protocols: dict[str, Protocol] = {}
    entries: dict[tuple[str, str], Entry] = {}
    for path, record in distinct_records(results):
        if record.status == "custom" and not (further and is_taken(record)):
            custom.append(path)
            continue
        if record.protocol not in protocols:
            protocols[record.protocol] = load_protocol(record.protocol)
        rules, board = protocols[record.protocol], (record.protocol, record.split)
        if board not in entries:
            entries[board] = rules.entry(split_config(record.split).recipe)
        problem = provenance_problem(record)
        if problem is not None:
            raise RunError(f"{path}: {problem}; run it again with --recipe")
        other = departures(record, entries[board])
        if other:
            raise RunError(
                f"{path}: ran under other rules than protocol {rules.name} has now: "
                f"{'; '.join(other)}; run it again"
            )
        found[record.protocol][record.split].append(row_of(record, footnote))
    if not found and not custom:
        raise UsageError(f"{results}: holds no record; name the results folder with --results")
    if not found:
        return BuildResult([], custom)
    with locked(output):
        boards = [
            board
            for name, new in sorted(found.items())
            for board in _update(output / name, protocols[name], new, replace)
        ]
        write_files({output / "README.md": readme().encode()})
        replaced = [run for board in boards for run in board.replaced]
        return BuildResult(boards, custom, _unexplained(output, replaced, reason))


def _unexplained(output: Path, replaced: list[Run], reason: str) -> list[str]:
    """Write into the changelog why rows were replaced, or return the lines that it lacks."""
    told = entries_for(replaced, SUPERSEDED, reason or "why")
    if told and reason:
        text = with_entries(read_changelog(output), told)
        write_files({output / CHANGELOG: text.encode()})
    return [] if reason else [entry.line for entry in told]


def _update(
    folder: Path, rules: Protocol, new: dict[str, list[Row]], replace: bool
) -> list[BoardUpdate]:
    """Bring the folder of a protocol up to date; nothing is written before all is known to fit."""
    old = rows_in(folder)
    retired = retired_in(folder)
    merged = {
        split: _with_new_rows(old.get(split, []), rows, retired.get(split, []), replace)
        for split, rows in new.items()
    }
    rows = old | {split: each.rows for split, each in merged.items()}
    empty = next((split for split in merged if not rows[split]), None)
    if empty is not None:
        raise RunError(
            f"{runs_path(folder, empty)}: would have no row: {retired_path(folder, empty)} says "
            "that all of these runs were withdrawn"
        )
    retired = retired_with(retired, {split: each.replaced for split, each in merged.items()})
    frozen = read_frozen(folder)
    changed = changed_rules(frozen, rules) if frozen else []
    if changed:
        raise RunError(
            f"{folder / FROZEN}: {'; '.join(changed)}: rows of other rules do not mix; a changed "
            "rule is a new protocol version: restore baselines/, or give the rules another name"
        )
    replaced = [
        Run(f"{rules.name}/{split}", key_of(row))
        for split, each in merged.items()
        for row in each.replaced
    ]
    text = with_entries(read_changelog(folder.parent), entries_for(replaced, SUPERSEDED, "why"))
    contents = protocol_files(folder, rows, freeze(rules, used_by(rows)), retired, text)
    write_files(contents)
    remove_old_files(folder, rows)
    return [
        BoardUpdate(
            rules.name,
            split,
            runs_path(folder, split),
            len(rows[split]),
            merged[split].added,
            merged[split].other,
            merged[split].withdrawn,
            read_summary(summary_path(folder, split)),
            [Run(f"{rules.name}/{split}", key_of(row)) for row in merged[split].replaced],
        )
        for split in sorted(new)
    ]


class _Merged(NamedTuple):
    """Old and new rows in order, how many runs are new, and what became of the others.

    `other` are the runs whose records were left for the rows that are there, `withdrawn` those
    whose rows count no more; `replaced` are the rows whose places were taken.
    """

    rows: list[Row]
    added: int
    other: tuple[Key, ...]
    withdrawn: tuple[Key, ...]
    replaced: list[Row]


def _with_new_rows(
    old: list[Row], new: list[Row], retired: Sequence[Row], replace: bool
) -> _Merged:
    by_key = {key_of(row): row for row in old}
    added, other, withdrawn, replaced = 0, [], [], []
    for row in new:
        key = key_of(row)
        if is_withdrawn(row, retired):
            withdrawn.append(key)
            continue
        before = by_key.get(key)
        same = before is not None and before["predictions_sha256"] == row["predictions_sha256"]
        if before is not None and not same and not replace:
            other.append(key)
            continue
        added += before is None
        if before is not None and not same:
            replaced.append({**before, "state": SUPERSEDED})
        kept = _kept(before, row) if before is not None and same else {}
        by_key[key] = {**row, **kept}
    ordered = in_order(by_key[key] for key in sorted(by_key))
    return _Merged(ordered, added, tuple(sorted(other)), tuple(sorted(withdrawn)), replaced)


def _kept(before: Row, row: Row) -> Row:
    """What a row of the same predictions holds that the record does not know.

    Its footnote, columns of a later version, and metrics that are newer than the record.
    """
    metrics = {name: find_metric(name) for name in row}
    newer = {name for name, metric in metrics.items() if metric and not metric.required}
    return {
        name: cell
        for name, cell in before.items()
        if name not in row or (not row[name] and name in {*newer, "footnote"})
    }
