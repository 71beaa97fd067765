"""Whether a summary follows from its runs."""

from __future__ import annotations

from collections.abc import Iterator

from dcbench.errors import DataError
from dcbench.leaderboard.checks.read import RowsFile
from dcbench.leaderboard.rows import Row, in_order, key_of
from dcbench.leaderboard.summary import RANKED, summarize
from dcbench.leaderboard.tables import (
    parse_summary_rows,
    read_summary_rows,
    table_text,
    with_numbers,
)


def summary_problems(file: RowsFile) -> Iterator[str]:
    """One line for each row of a summary that is not what the runs give."""
    path = file.summary
    if not path.exists():
        yield f"{path}: no such file; build again"
        return
    try:
        rows = read_summary_rows(path)
    except DataError as problem:
        yield str(problem)
        return
    found = {_key(row): row for row in rows}
    if len(found) < len(rows):
        yield f"{path}: a method is there twice; build again"
    expected = _from_runs(file)
    if expected is None:
        return
    for key in dict.fromkeys([*expected, *found]):
        what = _problem(expected.get(key), found.get(key))
        if what is not None:
            yield f"{path} (subsets {key[0]}, method {key[1]}): {what}"
    if list(found) != list(expected) and found.keys() == expected.keys():
        yield f"{path}: rows are not sorted; build again"


def _key(row: Row) -> tuple[str, str]:
    return row["subsets"], row["method"]


def _from_runs(file: RowsFile) -> dict[tuple[str, str], Row] | None:
    """The summary as it should be; None where the rows are too damaged for one."""
    keys = {key_of(row) for _, row in file.keyed()}
    if len(keys) < len(file.rows):
        return None
    try:
        numbers = with_numbers(in_order(file.rows), file.path)
    except DataError:
        return None
    text = table_text(summarize(numbers, file.entry.asked))
    return {_key(row): row for row in parse_summary_rows(text.encode(), file.path)}


def _problem(expected: Row | None, found: Row | None) -> str | None:
    if found is None:
        return "is not there, though there are runs; build again"
    if expected is None:
        return "there are no such runs; build again"
    if found["state"] == RANKED != expected["state"]:
        return (
            f"state=ranked with {expected['n']} of {expected['asked']} runs: should be provisional"
        )
    for column in dict.fromkeys([*expected, *found]):
        should, cell = expected.get(column), found.get(column)
        if should is None:
            return f"unknown column {column}"
        if cell != should:
            return f"{column}='{cell or ''}', but the runs give '{should}'; build again"
    return None
