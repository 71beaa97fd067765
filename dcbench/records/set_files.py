"""The files of image sets that are predicted after a run: two a set, in `sets/` beside the record.

`sets/<name>.npz` holds the predictions and `sets/<name>.json` says what they are; it is written
last, so a set that has it is done.
"""

from __future__ import annotations

from pathlib import Path

from dcbench.config.base import validated
from dcbench.config.paths import files_in
from dcbench.config.reading import parse_json
from dcbench.errors import DataError
from dcbench.records import files
from dcbench.records.arrays import Arrays
from dcbench.records.atomic import write_bytes, writing
from dcbench.records.files import SETS, read_record, read_stored, read_whole
from dcbench.records.schema import Record, StoredPredictions
from dcbench.records.sets import FurtherSet, completed


def read_sets(folder: Path, record: Record) -> list[FurtherSet]:
    """The sets that were predicted after the run in a folder.

    Raises
    ------
    DataError
        A file is damaged, or of other weights than the record's.
    """
    found = []
    for path in files_in(folder / SETS, "*.json"):
        each = _parse(path)
        if each.model_sha256 != record.model.sha256:
            raise DataError(
                f"{path}: was predicted by other weights than those of the record beside it; "
                f"remove {folder / SETS} and predict again"
            )
        found.append(each)
    return found


def _parse(path: Path) -> FurtherSet:
    content = parse_json(read_whole(path), path, hint="; remove it, and predict again")
    found = validated(FurtherSet, content, path, DataError)
    if found.name != path.stem:
        raise DataError(
            f"{path}: name='{found.name}': should be '{path.stem}', as the file is called"
        )
    return found


def read_completed(path: Path) -> Record:
    """The record of a run, from its file or folder, with all sets that were predicted later.

    Raises
    ------
    DataError
        As `read_record` and `read_sets`.
    """
    folder = path if path.is_dir() else path.parent
    record = read_record(path)
    return completed(record, read_sets(folder, record))


def write_arrays(folder: Path, name: str, arrays: Arrays) -> StoredPredictions:
    """Store the predictions of a set."""
    _make_room(folder)
    return files.write_arrays(folder, arrays, f"{SETS}/{name}.npz")


def read_arrays(folder: Path, stored: StoredPredictions) -> Arrays:
    """The stored predictions of a set; errors as for `read_stored`."""
    return files.read_arrays(folder, stored)[1]


def _make_room(folder: Path) -> None:
    with writing(folder / SETS):
        (folder / SETS).mkdir(exist_ok=True)


def write_set(folder: Path, found: FurtherSet) -> None:
    """Finish a set: from now on it is one of the run's."""
    write_bytes(folder / SETS / f"{found.name}.json", files.json_text(found))


def copy_sets(source: Path, target: Path, record: Record, *, dry_run: bool = False) -> list[str]:
    """Bring the sets that a run has in one folder to the folder of the same run elsewhere.

    What is there stays.

    Returns
    -------
    list of str
        The names of the sets that came, or would.

    Raises
    ------
    DataError
        A set is damaged in one of the folders; or they have other predictions of one set.
    """
    there = {each.name: each for each in read_sets(target, record)}
    found, contents = read_sets(source, record), {}
    for each in found:
        rival = there.get(each.name)
        if rival is not None and rival.predictions.sha256 != each.predictions.sha256:
            raise DataError(
                f"{source / SETS} and {target / SETS} hold other predictions of {each.name}: "
                "remove those that are not to count, and collect again"
            )
        contents[each.name] = read_stored(source, each.predictions)
    new = [each for each in found if each.name not in there]
    for each in [] if dry_run else new:
        _make_room(target)
        write_bytes(target / each.predictions.file, contents[each.name])
        write_set(target, each)
    return [each.name for each in new]
