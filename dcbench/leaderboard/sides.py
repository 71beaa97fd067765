"""Stored runs as the sides of a comparison: a method with its settings and recipe, under one name.

Records of any status will do. Where runs of one label have several recipes, several versions of a
method's file, or come from folders that have the same runs, each is a side of its own, whose name
says what distinguishes it.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from dcbench.config.names import as_text
from dcbench.errors import UsageError
from dcbench.methods import method_class
from dcbench.records.schema import Record
from dcbench.records.store import find_records

Facts = dict[str, str]


class StoredRun(NamedTuple):
    """A record with the folder of its run, and the folder that was searched for it."""

    record: Record
    folder: Path
    root: Path


Sides = dict[str, list[StoredRun]]
"""The runs of each side, by its name."""


def find_sides(roots: Sequence[Path]) -> dict[tuple[str, str], Sides]:
    """The sides of each protocol and split, from the records in some folders.

    Parameters
    ----------
    roots
        Results folders, or folders below them. A run that lies in two of them counts once.

    Raises
    ------
    UsageError
        A folder holds no record, or two runs of a folder cannot be told apart.
    DataError
        A record is damaged.
    """
    groups: dict[tuple[str, str], dict[object, StoredRun]] = defaultdict(dict)
    for root in roots:
        found = [StoredRun(record, path.parent, root) for path, record in find_records(root)]
        if not found:
            raise UsageError(f"{root}: holds no record; name a results folder, or one below it")
        for run in found:
            record = run.record
            same = (*_pair(run), record.label, record.predictions.recorded_sha256, _version(run))
            groups[record.protocol, record.split].setdefault(same, run)
    return {key: _named(list(groups[key].values())) for key in sorted(groups)}


def _named(runs: Sequence[StoredRun]) -> Sides:
    labels = _grouped(runs, lambda run: run.record.label)
    sides: Sides = {}
    for label in sorted(labels):
        versions = list(_grouped(labels[label], _version).values())
        if any(map(_twice, versions)):
            by_root = [_grouped(version, lambda run: str(run.root)) for version in versions]
            versions = [group for groups in by_root for group in groups.values()]
        sides |= {_name(label, group, versions): group for group in versions}
    for name, group in sides.items():
        if twice := _twice(group):
            raise UsageError(f"{name}: {twice[0].folder} and {twice[1].folder} hold the same run")
    return sides


def _name(label: str, runs: Sequence[StoredRun], versions: Sequence[Sequence[StoredRun]]) -> str:
    """The label; beside other versions of it, with what distinguishes these runs from them."""
    all_facts = [_decisive(version[0].record) for version in versions]
    own = _decisive(runs[0].record)
    keys = dict.fromkeys(key for facts in all_facts for key in facts)
    parts = [
        f"{key} {own.get(key, 'unknown')}"
        for key in keys
        if any(facts.get(key) != own.get(key) for facts in all_facts)
    ]
    alike = [version for version in versions if _version(version[0]) == _version(runs[0])]
    if len(alike) > 1:
        parts.append(str(runs[0].root))
    return f"{label} ({', '.join(parts)})" if parts else label


def _twice(runs: Sequence[StoredRun]) -> list[StoredRun]:
    """Two runs of one subset and seed, if there are any."""
    pairs = _grouped(runs, _pair)
    return next((group[:2] for group in pairs.values() if len(group) > 1), [])


def _pair(run: StoredRun) -> tuple[int, int]:
    return run.record.subset, run.record.seed


def _version(run: StoredRun) -> str:
    return json.dumps([run.record.method, _decisive(run.record)], sort_keys=True)


def _grouped(
    runs: Sequence[StoredRun], key: Callable[[StoredRun], Any]
) -> dict[Any, list[StoredRun]]:
    groups: dict[Any, list[StoredRun]] = defaultdict(list)
    for run in runs:
        groups[key(run)].append(run)
    return groups


def what_differs(one: Sequence[StoredRun], other: Sequence[StoredRun]) -> list[str]:
    """In what two sides differ besides their methods, as `epochs=2 instead of 60`.

    Settings are compared where the method is the same. Device, PyTorch and numerics are no part
    of a recipe, but decide the last bits of a run.
    """
    kinds: list[tuple[Callable[[Record], Facts], str]] = [
        (_recipe, "="),
        (_network_file, " "),
        (_surroundings, " "),
    ]
    if one[0].record.method == other[0].record.method:
        kinds[1:1] = [(_settings, "="), (_method_file, " ")]
    found = []
    for facts, sign in kinds:
        here, there = _collected(one, facts), _collected(other, facts)
        found += [
            f"{key}{sign}{here.get(key, 'none')} instead of {there.get(key, 'none')}"
            for key in {**here, **there}
            if here.get(key) != there.get(key)
        ]
    return found


def _collected(runs: Sequence[StoredRun], facts: Callable[[Record], Facts]) -> Facts:
    """Facts of all runs of a side; where they differ, each of them."""
    values: dict[str, dict[str, None]] = defaultdict(dict)
    for run in runs:
        for key, value in facts(run.record).items():
            values[key][value] = None
    return {key: " and ".join(each) for key, each in values.items()}


def _decisive(record: Record) -> Facts:
    """What decides the numbers of a run besides its method, its data and its seed."""
    files = {**_method_file(record), **_network_file(record)}
    return {**_recipe(record), **_settings(record), **files}


def _recipe(record: Record) -> Facts:
    return {key: as_text(value) for key, value in record.recipe.model_dump(mode="json").items()}


def _settings(record: Record) -> Facts:
    """The method's settings; one that is newer than the record has its default."""
    settings = {**_defaults(record.method), **record.settings}
    return {key: as_text(value) for key, value in settings.items()}


def _defaults(method: str) -> Mapping[str, Any]:
    # A record's method is a name; what looks like a file would be run.
    if ".py:" in method:
        return {}
    try:
        return method_class(method).default_settings()
    except UsageError:
        return {}


def _method_file(record: Record) -> Facts:
    return {"method file": record.method_sha256[:8]} if record.method_sha256 else {}


def _network_file(record: Record) -> Facts:
    return {"network file": record.network_sha256[:8]} if record.network_sha256 else {}


def _surroundings(record: Record) -> Facts:
    return {
        "device": record.cost.device,
        "torch": str(record.environment.get("torch")),
        "numerics": "unknown" if record.numerics is None else str(record.numerics),
    }
