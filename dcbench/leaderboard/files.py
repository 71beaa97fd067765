"""The files in the folder of a protocol: which there are, and what they should hold."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path

import pandas as pd

from dcbench.config.paths import files_in
from dcbench.config.protocol import Protocol
from dcbench.data.splits import split_config
from dcbench.errors import UsageError
from dcbench.leaderboard.changelog import (
    Run,
    entries_of,
    list_lines,
    read_changelog,
    standings_from,
)
from dcbench.leaderboard.rows import Key, Row, in_order, key_of
from dcbench.leaderboard.rules_lock import FROZEN, frozen_text
from dcbench.leaderboard.standing import WITHDRAWN, Standing
from dcbench.leaderboard.summary import summarize
from dcbench.leaderboard.tables import (
    is_rows,
    read_retired,
    read_rows,
    retired_path,
    runs_path,
    summary_path,
    table_text,
    with_numbers,
)
from dcbench.records.atomic import write_bytes, writing
from dcbench.records.store import locked


@contextmanager
def held(folder: Path, *, dry_run: bool) -> Iterator[None]:
    """Hold leaderboards against other processes, from what is read to what is written of it.

    Raises
    ------
    UsageError
        There is no such folder.
    """
    if not folder.is_dir():
        raise UsageError(f"{folder}: there is no such folder")
    with nullcontext() if dry_run else locked(folder):
        yield


def rows_in(folder: Path) -> dict[str, list[Row]]:
    """The rows of every split in the folder of a protocol; also where they once lay."""
    paths = {path.stem: path for path in files_in(folder, "*.csv") if is_rows(path)}
    paths |= {path.stem: path for path in files_in(folder / "runs", "*.csv")}
    tables = {split: read_rows(path) for split, path in paths.items()}
    return {split: rows for split, rows in tables.items() if rows}


def retired_in(folder: Path) -> dict[str, list[Row]]:
    """The rows of every split that count no more."""
    return {path.stem: read_retired(path) for path in files_in(folder / "retired", "*.csv")}


def retired_with(
    retired: Mapping[str, list[Row]], further: Mapping[str, list[Row]]
) -> dict[str, list[Row]]:
    """The rows of every split that count no more, and further ones.

    A run that is there with the same predictions keeps its cells, and has the new state.
    """
    retired = dict(retired)
    for split, rows in further.items():
        known = {_run_of(row): row for row in retired.get(split, [])}
        for row in rows:
            before = {name: cell for name, cell in known.get(_run_of(row), {}).items() if cell}
            known[_run_of(row)] = {**row, **before, "state": row["state"]}
        if known:
            retired[split] = list(known.values())
    return retired


def is_withdrawn(row: Row, retired: Iterable[Row]) -> bool:
    """Whether a row's run, with the same predictions, is among the rows that were withdrawn."""
    withdrawn = (_run_of(each) for each in retired if each["state"] == WITHDRAWN)
    return _run_of(row) in withdrawn


def _run_of(row: Row) -> tuple[Key, str]:
    return key_of(row), row["predictions_sha256"]


def protocol_files(
    folder: Path,
    rows: Mapping[str, list[Row]],
    rules: Protocol,
    retired: Mapping[str, list[Row]] | None = None,
    changelog: str | None = None,
) -> dict[Path, bytes]:
    """What every file of a protocol should hold, given all its rows and the rules they obey.

    Parameters
    ----------
    retired : mapping, optional
        The rows that count no more; None: those that are there.
    changelog : str, optional
        Its text, which says how the rows stand; None: that which is there.
    """
    entries, _ = entries_of(
        list_lines(read_changelog(folder.parent) if changelog is None else changelog)
    )
    standings = standings_from(entries)
    contents = {folder / FROZEN: frozen_text(rules).encode()}
    for split, apart in sorted((retired_in(folder) if retired is None else retired).items()):
        ordered = in_order(sorted(apart, key=lambda row: (key_of(row), row["finished"])))
        contents[retired_path(folder, split)] = table_text(pd.DataFrame(ordered)).encode()
    for split in sorted(rows):
        path = runs_path(folder, split)
        ordered = in_order(sorted(rows[split], key=key_of))
        for row in ordered:
            run = Run(f"{folder.name}/{split}", key_of(row))
            row["tier"], row["state"] = standings.get(run, Standing())
        asked = rules.entry(split_config(split).recipe).asked
        summary = summarize(with_numbers(ordered, path), asked)
        contents[path] = table_text(pd.DataFrame(ordered)).encode()
        contents[summary_path(folder, split)] = table_text(summary).encode()
    return contents


def write_files(contents: Mapping[Path, bytes]) -> None:
    """Write files, each in one piece; folders are made where they lack."""
    for path, content in contents.items():
        with writing(path.parent):
            path.parent.mkdir(parents=True, exist_ok=True)
        write_bytes(path, content)


def old_files(folder: Path, splits: Mapping[str, list[Row]]) -> list[Path]:
    """Summaries where an earlier version put them."""
    paths = [folder / f"{split}-summary.csv" for split in sorted(splits)]
    return [path for path in paths if path.exists()]


def remove_old_files(folder: Path, splits: Mapping[str, list[Row]]) -> None:
    """Remove what an earlier version put elsewhere, when it stands where it belongs."""
    for path in old_files(folder, splits):
        path.unlink(missing_ok=True)
