"""Whether each row obeys the description of the columns and the protocol."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from itertools import pairwise

from dcbench.config.names import as_text, parse_method
from dcbench.config.recipe import OPEN_KEYS
from dcbench.data.splits import load_split
from dcbench.errors import UsageError
from dcbench.leaderboard.checks.read import RowsFile
from dcbench.leaderboard.column_order import ood_columns
from dcbench.leaderboard.columns import METHOD
from dcbench.leaderboard.rows import Key, Row, is_whole, key_of
from dcbench.leaderboard.tracks import COLUMN, DEFAULT, FURTHER, track_of_label
from dcbench.metrics.table import METRICS, find_metric

_GROUPS = tuple(metric.key for metric in METRICS if metric.long_tailed)


def row_problems(file: RowsFile) -> Iterator[str]:
    """One line for each departure of a table of rows from what it should be.

    A column after the first version that is not there, or that no row fills, is newer than the
    rows, and no problem.
    """
    names = [column.name for column in file.columns]
    header = list(file.rows[0]) if file.rows else names
    for name in header:
        if name not in names:
            yield f"{file.path}: unknown column {name}; the columns are described in README.md"
    there = [name for name in names if name in header]
    if [name for name in header if name in names] != there:
        yield f"{file.path}: the columns are not in the order of README.md; build again"
    ood = _required_ood_columns(file)
    of_methods = {name: _settings_problems(name, file) for name in {r["method"] for r in file.rows}}
    for number, row in enumerate(file.rows):
        found = [*_cell_problems(row, file), *_ood_problems(row, ood, file)]
        found += [*_rule_problems(row, file), *of_methods[row["method"]]]
        yield from (f"{file.row_title(number)}: {problem}" for problem in found)
    yield from _key_problems(file)
    yield from _group_problems(file)


def _cell_problems(row: Row, file: RowsFile) -> Iterator[str]:
    for column in file.columns:
        cell = row.get(column.name, "")
        empty = column.empty or column.name in file.empty_columns
        if not (empty if cell == "" else column.kind.holds(cell)):
            yield f"{column.name}='{cell}': should be {column.kind.words}"


def _required_ood_columns(file: RowsFile) -> dict[str, list[str]]:
    """The columns of each OOD set that every row with the set fills."""
    return {
        image_set: [
            column.name
            for column in ood_columns(image_set)
            # Rows may be older than a score or a metric that came later.
            if _is_required(column.name)
        ]
        for image_set in file.split.ood
    }


def _ood_problems(row: Row, columns: dict[str, list[str]], file: RowsFile) -> Iterator[str]:
    for image_set, names in columns.items():
        empty = [name for name in names if not row.get(name)]
        if len(empty) == len(names) and image_set in file.rules.optional_ood:
            continue
        if empty:
            others = f" and {len(empty) - 1} more" if len(empty) > 1 else ""
            yield f"{empty[0]} is empty{others}: should hold a number"


def _is_required(name: str) -> bool:
    metric = find_metric(name)
    return metric is not None and metric.required


def _rule_problems(row: Row, file: RowsFile) -> Iterator[str]:
    """Where a row is none of the protocol's: a custom run, other images, a seed not asked for."""
    asked = file.entry.asked
    track, said = row.get(COLUMN) or DEFAULT, track_of_label(row["method"])
    if track != said:
        yield f"{COLUMN}='{track}': should be {said}, as the method's name says"
    if row.get("status") == "custom" and said not in FURTHER:
        yield "a custom run: no leaderboard takes it; remove the row"
    for key, choices in (("subset", asked.subsets), ("seed", asked.seeds)):
        if is_whole(row[key]) and int(row[key]) not in choices:
            listed = ", ".join(map(str, choices))
            yield f"{key}={row[key]}: the protocol asks for {listed}; others are custom runs"
    yield from _index_problems(row, file)


def _settings_problems(label: str, file: RowsFile) -> list[str]:
    """Where a name has another value of what the protocol lists; other settings are a method's."""
    if not METHOD.holds(label):
        return []
    method, settings = parse_method(label)
    found = []
    open_keys = OPEN_KEYS if track_of_label(label) in FURTHER else ()
    for key, value in settings.items():
        allowed = None if key in open_keys else file.entry.allowed(method, key)
        right = None if allowed is None else [as_text(each) for each in allowed]
        if right is not None and as_text(value) not in right:
            instead = f"one of {', '.join(right)}" if right[1:] else right[0]
            found.append(f"{key}={as_text(value)}: a custom run; {key} should be {instead}")
    return found


def _index_problems(row: Row, file: RowsFile) -> Iterator[str]:
    if not is_whole(row["subset"]):
        return
    try:
        listed = _index_sha256(file.split.name, int(row["subset"]))
    except UsageError as problem:
        yield str(problem)
        return
    if row.get("index_sha256") != listed:
        yield f"index_sha256={row.get('index_sha256')}: trained on other images; should be {listed}"


@cache
def _index_sha256(split: str, subset: int) -> str:
    return load_split(split, subset).hashes.index_sha256


def _key_problems(file: RowsFile) -> Iterator[str]:
    first: dict[Key, int] = {}
    for number, row in file.keyed():
        before = first.setdefault(key_of(row), number)
        if before != number:
            title = file.row_title(number)
            yield f"{title}: is there twice, first in line {before + 2}; remove one"
    for (_, one), (number, other) in pairwise(file.keyed()):
        if key_of(other) < key_of(one):
            yield f"{file.row_title(number)}: rows are not sorted; build again"
            return


def _group_problems(file: RowsFile) -> Iterator[str]:
    """Accuracy by class frequency: on long-tailed splits alone, there in all runs of a subset."""
    for group in _GROUPS:
        filled = {row["subset"] for row in file.rows if row.get(group)}
        for number, row in enumerate(file.rows):
            title = file.row_title(number)
            if row.get(group) and not file.split.long_tailed:
                yield f"{title}: {group}='{row[group]}': should be empty here"
            if not row.get(group) and row["subset"] in filled:
                yield f"{title}: {group} is empty: other runs of the subset have it"
