"""What commands leave in a results folder, and how it differs from what undisturbed ones leave."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dcbench.config.reading import parse_csv
from dcbench.errors import DcbenchError
from dcbench.records.files import CHECKPOINT, HISTORY, read_stored, read_whole, stored_files
from dcbench.records.store import find_records, is_held

_OF_THE_OCCASION = {"cost", "started", "finished"}
"""What of a record another run of the same plan has otherwise."""

Records = Mapping[str, Any]
"""By the folder of each run, what is to be the same whenever and however it was made."""


def records(results: Path) -> Records:
    """The records of a results folder, each with the losses of its history.

    Raises
    ------
    DataError
        A file is damaged, or not the one that its record names.
    """
    found = {}
    for path, record in find_records(results):
        for stored in stored_files(record):
            read_stored(path.parent, stored)
        history = path.with_name(HISTORY)
        header, lines = parse_csv(read_whole(history), history)
        losses = [line[header.index("loss")] for line in lines]
        content = record.model_dump(mode="json", exclude=_OF_THE_OCCASION)
        found[str(path.parent.relative_to(results))] = {"record": content, "losses": losses}
    return found


def differences(results: Path, expected: Records) -> list[str]:
    """How the records differ from those that were expected; which locks are still held."""
    try:
        found = records(results)
    except DcbenchError as problem:
        return [str(problem)]
    lost = [f"{results / run}: has no record" for run in expected if run not in found]
    lost += [f"{results / run}: is a run that was not asked for" for run in found.keys() - expected]
    for run in found.keys() & expected:
        lost += [
            f"{results / run}: is not what the undisturbed run left: {key}"
            for key in _differing(found[run], expected[run])
        ]
        if is_held(results / run):
            lost.append(f"{results / run}: its lock is still held")
    return lost


def _differing(one: dict[str, Any], other: dict[str, Any]) -> list[str]:
    keys = [key for key in one["record"] if one["record"][key] != other["record"].get(key)]
    return keys + (["history"] if one["losses"] != other["losses"] else [])


def left_behind(results: Path) -> list[str]:
    """What nobody needs: half-written files, and checkpoints of finished runs.

    A process that was killed has no time to remove them.
    """
    found = [*results.rglob("*.unfinished")]
    found += [path.with_name(CHECKPOINT) for path in results.rglob("record.json")]
    return [f"{path}: is left behind" for path in found if path.exists()]
