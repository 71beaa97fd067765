"""Runs with the same predictions: one run copied, unless the methods are known to be one."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator

from dcbench.config.names import parse_method
from dcbench.leaderboard.checks.read import RowsFile
from dcbench.leaderboard.columns import METHOD
from dcbench.leaderboard.rows import Row, key_of, run_title

SAME = "same predictions as"

_ON_EQUAL_CLASSES = {
    "remix": ("mixup", {"kappa", "tau"}),
    "ic-remix": ("ic-mixup", {"kappa", "tau"}),
}
"""Methods that are another one where all classes have equally many images, and the settings that do
nothing there. Remix (Chou et al. 2020, equation 5) moves a label only between classes of which one
is at least kappa > 1 times as frequent."""


def twin_problems(files: Iterable[RowsFile]) -> Iterator[str]:
    """One line for each row whose predictions an earlier row of the same protocol has."""
    groups: dict[tuple[str, str], list[tuple[RowsFile, int]]] = defaultdict(list)
    for file in files:
        for number, row in file.keyed():
            if row["predictions_sha256"]:
                groups[file.rules.name, row["predictions_sha256"]].append((file, number))
    for (file, number), *others in groups.values():
        for other, later in others:
            one, two = file.rows[number], other.rows[later]
            if key_of(one) != key_of(two) and not (file is other and _may_agree(one, two, file)):
                where = "" if other is file else f" on {file.split.name}"
                yield (
                    f"{other.row_title(later)}: has the predictions of {run_title(key_of(one))}"
                    f"{where}; remove the copy, or if the methods are one by construction, add "
                    f"the footnote '{SAME} {one['method']}'"
                )
            elif other is not file:
                yield f"{other.row_title(later)}: has the predictions of a run on {file.split.name}"


def _may_agree(one: Row, other: Row, file: RowsFile) -> bool:
    if (one["subset"], one["seed"]) != (other["subset"], other["seed"]):
        return False
    if _names(one, other) or _names(other, one):
        return True
    return not file.split.long_tailed and _reduced(one) == _reduced(other)


def _names(row: Row, twin: Row) -> bool:
    return f"{SAME} {twin['method']}" in row.get("footnote", "").split("; ")


def _reduced(row: Row) -> object:
    """The method with its settings, as what it is where all classes are of one size."""
    if not METHOD.holds(row["method"]):
        return row["method"]
    name, settings = parse_method(row["method"])
    name, idle = _ON_EQUAL_CLASSES.get(name, (name, set()))
    return name, {key: value for key, value in settings.items() if key not in idle}
