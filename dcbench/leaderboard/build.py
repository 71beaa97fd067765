"""Leaderboards from records: `<protocol>/<split>.csv`, and `<split>-summary.csv` beside it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from dcbench.data.splits import split_facts
from dcbench.errors import RunError, UsageError
from dcbench.facts import facts_root
from dcbench.leaderboard.rows import KEYS, Row, find_records, row_of
from dcbench.leaderboard.summary import summarise
from dcbench.leaderboard.tables import read_rows, read_summary_table, with_numbers, write_table
from dcbench.protocol import Asked, load_protocol
from dcbench.records import writing


class Board(NamedTuple):
    """A leaderboard that has been written."""

    protocol: str
    split: str
    path: Path
    rows: int
    added: int
    summary: pd.DataFrame


class Built(NamedTuple):
    """What `build` did."""

    boards: list[Board]
    custom: list[Path]


def build(results: Path, output: Path, *, replace: bool = False) -> Built:
    """Add the records under `results` to the leaderboards under `output`.

    Rows that are there already stay. Custom runs are left out.

    Parameters
    ----------
    replace
        Let a record take the place of a row of the same run with other predictions.

    Raises
    ------
    UsageError
        There is no record.
    RunError
        A row of the same run has other predictions, and `replace` is not set.
    """
    found: dict[tuple[str, str], list[Row]] = defaultdict(list)
    custom = []
    for path, record in find_records(results):
        if record.status == "custom":
            custom.append(path)
        else:
            found[record.protocol, record.split].append(row_of(record))
    if not found and not custom:
        raise UsageError(f"{results}: holds no record; name the results folder with --results")
    asked = {
        (protocol, split): load_protocol(protocol).entry(split_facts(split).recipe).asked
        for protocol, split in found
    }
    boards = [
        _update(output, *board, rows, asked[board], replace)
        for board, rows in sorted(found.items())
    ]
    return Built(boards, custom)


def _update(
    output: Path, protocol: str, split: str, new: list[Row], asked: Asked, replace: bool
) -> Board:
    folder = output / protocol
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{split}.csv"
    old = read_rows(path) if path.exists() else []
    rows, added = _merged(old, new, path, replace)
    numbers = with_numbers(rows, path)
    write_table(path, pd.DataFrame(rows))
    summary = summarise(numbers, asked)
    write_table(folder / f"{split}-summary.csv", summary)
    return Board(protocol, split, path, len(rows), added, summary)


def _merged(old: list[Row], new: list[Row], path: Path, replace: bool) -> tuple[list[Row], int]:
    """Old and new rows in the order of their keys, and how many runs are new."""
    by_key = {_key(row): row for row in old}
    added = 0
    for row in new:
        before = by_key.get(_key(row))
        added += before is None
        same = before is None or before["predictions_sha256"] == row["predictions_sha256"]
        if not same and not replace:
            run = ", ".join(f"{key} {row[key]}" for key in KEYS)
            raise RunError(
                f"{path}: the row of {run} has other predictions than the record; "
                "--replace takes the record's"
            )
        by_key[_key(row)] = row
    return [by_key[key] for key in sorted(by_key)], added


def _key(row: Row) -> tuple[int, str, int]:
    return int(row["subset"]), row["method"], int(row["seed"])


def read_summary(split: str, protocol: str, folder: Path | None = None) -> pd.DataFrame:
    """The summary of a split, from `folder` or from the leaderboards that ship."""
    split_facts(split)
    load_protocol(protocol)
    path = (folder or facts_root() / "leaderboard") / protocol / f"{split}-summary.csv"
    if not path.exists():
        raise UsageError(
            f"{path}: there is no leaderboard of {split} under protocol {protocol} yet"
        )
    return read_summary_table(path)


def display_rows(summary: pd.DataFrame) -> tuple[list[str], list[list[str]]]:
    """A summary for people: percent, with the half-width of the 95 % interval."""
    shown = {
        "accuracy %": "accuracy",
        "few %": "accuracy_few",
        "medium %": "accuracy_medium",
        "ECE-15 %": "ece15",
        "NLL": "nll",
    }
    near = [name for name in summary.columns if name.endswith(".msp.auroc_mean")][:1]
    shown |= {f"AUROC {name.split('.')[1]} %": name.removesuffix("_mean") for name in near}
    shown = {title: key for title, key in shown.items() if summary[f"{key}_mean"].notna().any()}
    rows = [
        [
            str(row["subsets"]),
            str(row["method"]),
            f"{row['n']}/{row['asked']}",
            *(_with_interval(row, key, 1 if key == "nll" else 100) for key in shown.values()),
        ]
        for row in summary.to_dict("records")
    ]
    return ["subsets", "method", "runs", *shown], rows


def _with_interval(row: dict[Hashable, Any], key: str, scale: int) -> str:
    mean, half = row[f"{key}_mean"] * scale, row[f"{key}_ci95"] * scale
    digits = 3 if scale == 1 else 2
    interval = f" ± {half:.{digits}f}" if half == half else ""
    return f"{mean:.{digits}f}{interval}" if mean == mean else "–"
