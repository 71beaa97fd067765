"""What commands leave in a results folder, and how it differs from what undisturbed ones leave."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from dcbench.config.names import shortened
from dcbench.config.reading import parse_csv
from dcbench.errors import DcbenchError
from dcbench.records.files import CHECKPOINT, HISTORY, read_stored, read_whole, stored_files
from dcbench.records.store import find_records, is_held

_OF_THE_OCCASION: Mapping[str, Any] = {
    **dict.fromkeys(("cost", "started", "finished"), True),
    "environment": {"commit"},
}
"""What of a record another run of the same plan has otherwise, beside one who edits the code."""

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
        found[str(path.parent.relative_to(results))] = {**content, "losses": losses}
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
            f"{results / run}: is not what the undisturbed run left: {difference}"
            for difference in _differing(found[run], expected[run])
        ]
        if is_held(results / run):
            lost.append(f"{results / run}: its lock is still held")
    return lost


def _differing(one: Mapping[str, Any], other: Mapping[str, Any], of: str = "") -> Iterator[str]:
    """Each key whose values differ, with both; where they are mappings, each key within."""
    for key in dict.fromkeys([*one, *other]):
        found, expected = one.get(key), other.get(key)
        if isinstance(found, Mapping) and isinstance(expected, Mapping):
            yield from _differing(found, expected, f"{of}{key}.")
        elif found != expected:
            said = f"{of}{key} is {shortened(str(found))}"
            yield f"{said} instead of {shortened(str(expected))}"


def left_behind(results: Path) -> list[str]:
    """What nobody needs: half-written files, and checkpoints of finished runs.

    A process that was killed has no time to remove them.
    """
    found = [*results.rglob("*.unfinished")]
    found += [path.with_name(CHECKPOINT) for path in results.rglob("record.json")]
    return [f"{path}: is left behind" for path in found if path.exists()]
