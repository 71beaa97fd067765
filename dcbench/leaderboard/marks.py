"""`mark`: rows that are withdrawn, disputed or missing are said to be, and nothing is deleted."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from dcbench.config.protocol import load_protocol
from dcbench.errors import UsageError, unknown
from dcbench.leaderboard.changelog import (
    CHANGELOG,
    Entry,
    Run,
    entries_for,
    read_changelog,
    with_entries,
)
from dcbench.leaderboard.files import (
    held,
    protocol_files,
    retired_in,
    retired_with,
    rows_in,
    write_files,
)
from dcbench.leaderboard.rows import Key, Row, key_of, run_title
from dcbench.leaderboard.rules_lock import freeze, read_frozen, used_by
from dcbench.leaderboard.standing import (
    CORRECTED,
    CURRENT,
    DISPUTED,
    MISSING,
    WITHDRAWN,
)

MARKS = (WITHDRAWN, DISPUTED, CURRENT, CORRECTED, MISSING)
"""Events that somebody may say; the others are said by `build` and `confirm`."""


def mark(
    folder: Path,
    board: str,
    method: str,
    seeds: Sequence[int],
    event: str,
    reason: str,
    *,
    subset: int = 0,
    dry_run: bool = False,
) -> Entry:
    """Say what became of rows: a line of the changelog, and the tables as they follow from it.

    A row that is withdrawn counts no more and is kept in `retired/`.

    Parameters
    ----------
    board
        `<protocol>/<split>`.
    event
        One of `MARKS`.

    Raises
    ------
    UsageError
        There is no such folder, table or row, no reason, or no row would be left.
    """
    if event not in MARKS:
        raise unknown("event", event, MARKS)
    keys = [(subset, method, seed) for seed in seeds]
    [entry] = entries_for([Run(board, key) for key in keys], event, reason)
    protocol, _, split = board.partition("/")
    with held(folder, dry_run=dry_run):
        rows = rows_in(folder / protocol) if (folder / protocol).is_dir() else {}
        if split not in rows:
            raise unknown("leaderboard", board, _boards(folder))
        _refuse_wrong(board, {key_of(row) for row in rows[split]}, keys, event)
        if not dry_run:
            apart = [row for row in rows[split] if event == WITHDRAWN and key_of(row) in keys]
            rows[split] = [row for row in rows[split] if row not in apart]
            _write(folder, protocol, rows, {split: apart}, [entry])
    return entry


def _refuse_wrong(board: str, there: set[Key], keys: Sequence[Key], event: str) -> None:
    for key in keys:
        if (key in there) == (event == MISSING):
            what = "is there" if event == MISSING else "has no row"
            raise UsageError(f"{board}: the run of {run_title(key)} {what}")
    if event == WITHDRAWN and there == set(keys):
        raise UsageError(f"{board}: no row would be left; remove the table with its rows instead")


def say(folder: Path, entries: Sequence[Entry]) -> None:
    """Add lines to the changelog, and let the tables of their protocols follow from them.

    The folder is `held`.
    """
    for protocol in sorted({entry.board.partition("/")[0] for entry in entries}):
        of_protocol = [each for each in entries if each.board.startswith(f"{protocol}/")]
        _write(folder, protocol, rows_in(folder / protocol), {}, of_protocol)


def _write(
    folder: Path,
    protocol: str,
    rows: dict[str, list[Row]],
    apart: dict[str, list[Row]],
    entries: Sequence[Entry],
) -> None:
    place = folder / protocol
    gone = {split: [{**row, "state": WITHDRAWN} for row in more] for split, more in apart.items()}
    retired = retired_with(retired_in(place), gone)
    rules = read_frozen(place) or freeze(load_protocol(protocol), used_by(rows))
    text = with_entries(read_changelog(folder), entries)
    contents = protocol_files(place, rows, rules, retired, text)
    # The changelog first: where the rest is not written, `migrate` makes it follow.
    write_files({folder / CHANGELOG: text.encode(), **contents})


def _boards(folder: Path) -> list[str]:
    return sorted(f"{path.parents[1].name}/{path.stem}" for path in folder.glob("*/runs/*.csv"))
