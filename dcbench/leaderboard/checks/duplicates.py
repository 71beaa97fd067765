"""Runs with the same predictions: one run copied, unless the methods are known to be one."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping

from dcbench.config.names import parse_method
from dcbench.errors import UsageError
from dcbench.leaderboard.checks.read import RowsFile
from dcbench.leaderboard.columns import METHOD
from dcbench.leaderboard.rows import Row, key_of, run_title
from dcbench.methods import build_method

SAME = "same predictions as"


def twin_problems(
    files: Iterable[RowsFile], arrays: Mapping[str, str] | None = None
) -> Iterator[str]:
    """One line for each row whose predictions an earlier row of the same protocol has.

    Parameters
    ----------
    arrays
        The hash of the arrays by the hash that a row names, of predictions that are at hand. Rows
        of older runs name that of a file, which says nothing of a newer run.
    """
    known = arrays or {}
    groups: dict[tuple[str, str], list[tuple[RowsFile, int]]] = defaultdict(list)
    for file in files:
        for number, row in file.keyed():
            named = row["predictions_sha256"]
            if named:
                groups[file.rules.name, known.get(named, named)].append((file, number))
    for (file, number), *others in groups.values():
        for other, later in others:
            one, two = file.rows[number], other.rows[later]
            if key_of(one) != key_of(two) and not (file is other and may_agree(one, two, file)):
                where = "" if other is file else f" on {file.split.name}"
                yield (
                    f"{other.row_title(later)}: has the predictions of {run_title(key_of(one))}"
                    f"{where}; remove the copy, or if the methods are one by construction, add "
                    f"the footnote '{SAME} {one['method']}'"
                )
            elif other is not file:
                yield f"{other.row_title(later)}: has the predictions of a run on {file.split.name}"


def may_agree(one: Row, other: Row, file: RowsFile) -> bool:
    """Whether two runs of a table are one by construction, and may have the same predictions."""
    if (one["subset"], one["seed"]) != (other["subset"], other["seed"]):
        return False
    if _names(one, other) or _names(other, one):
        return True
    return not file.split.long_tailed and _reduced(one) == _reduced(other)


def _names(row: Row, twin: Row) -> bool:
    return f"{SAME} {twin['method']}" in row.get("footnote", "").split("; ")


def _reduced(row: Row) -> object:
    """The method, as what it says that it is where all classes are of one size."""
    # A table that somebody sends may name a file, which `build_method` would run.
    if not METHOD.holds(row["method"]) or ".py:" in row["method"]:
        return row["method"]
    try:
        method = build_method(*parse_method(row["method"]))
    except UsageError:
        return row["method"]
    return method.same_as(long_tailed=False) or method
