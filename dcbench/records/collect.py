"""Results folders of several machines into one: a run comes whole and checked, or not at all."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

from dcbench.config.progress import NoProgress, Progress
from dcbench.errors import DataError, RunError, UsageError
from dcbench.records.atomic import write_bytes, writing
from dcbench.records.files import (
    HISTORY,
    POSTHOC,
    RECORD,
    SETS,
    finish,
    parse_record,
    read_stored,
    read_whole,
    remove,
    stored_files,
)
from dcbench.records.identity import earlier_address
from dcbench.records.posthoc import copy_posthoc
from dcbench.records.schema import Record
from dcbench.records.set_files import copy_sets
from dcbench.records.store import address_of, locked, record_paths, under, unfinished_folders

State = Literal["copied", "there_already", "refused", "damaged", "unfinished"]


class Stored(NamedTuple):
    """A run that has a record: its folder, the record, and the record's bytes."""

    folder: Path
    record: Record
    content: bytes


class Collected(NamedTuple):
    """What became of a run in one of the folders.

    Attributes
    ----------
    run : Path
        Where it lies, or should lie, under a results folder.
    folder : Path
        Where it was found.
    rivals : tuple of Stored
        The records that are at odds, this one among them.
    """

    run: Path
    folder: Path
    state: State
    message: str = ""
    rivals: tuple[Stored, ...] = ()


def collect(
    folders: Sequence[Path],
    results: Path,
    *,
    dry_run: bool = False,
    progress: Progress | None = None,
) -> list[Collected]:
    """Copy the finished runs of several results folders into one that may hold runs already.

    Nothing that is there is overwritten but what a half-done run has left. Where two records of a
    run differ, the one that is there stays; if neither is, none is taken.

    Parameters
    ----------
    dry_run
        Read and check as always, and write nothing.
    progress
        Where the runs that are dealt with are counted.

    Returns
    -------
    list of Collected
        One for each run in each folder.

    Raises
    ------
    UsageError
        A folder is not there, is no results folder, or is or overlaps `results`; nothing is
        written.
    RunError
        `results` is no folder.
    """
    outcomes: list[Collected] = []
    found: dict[Path, list[Stored]] = defaultdict(list)
    for folder in _checked(folders, results):
        for each in _survey(folder):
            if isinstance(each, Collected):
                outcomes.append(each)
            else:
                found[address_of(each.record)].append(each)
    total = sum(map(len, found.values()))
    task = (progress or NoProgress()).task("collect", total, unit="runs")
    for run, candidates in found.items():
        outcomes += _merged(run, candidates, under(results, run), dry_run)
        task.advance(len(candidates))
    task.close()
    return outcomes


def counts(outcomes: Sequence[Collected]) -> dict[State, int]:
    """How many runs ended in each state."""
    states: tuple[State, ...] = ("copied", "there_already", "refused", "damaged", "unfinished")
    return {state: sum(each.state == state for each in outcomes) for state in states}


def conflicts(outcomes: Sequence[Collected]) -> list[dict[str, Any]]:
    """The records that are at odds, each once, with what tells one from another."""
    rivals = {rival.folder: rival.record for each in outcomes for rival in each.rivals}
    return [
        {
            "run": str(address_of(record)),
            "folder": str(folder),
            "accuracy": record.metrics.accuracy,
            "device": record.cost.device,
            "torch": record.environment.get("torch"),
            "finished": record.finished,
            "predictions_sha256": record.predictions.recorded_sha256,
        }
        for folder, record in rivals.items()
    ]


def _checked(folders: Sequence[Path], results: Path) -> list[Path]:
    """The folders, each once, if all are there and apart from the results."""
    if not results.is_dir() and (results.exists() or results.is_symlink()):
        raise RunError(f"cannot write {results}: it is no folder; choose another with --results")
    home = results.resolve()
    places: dict[Path, Path] = {}
    for folder in folders:
        if not folder.exists():
            raise UsageError(f"{folder}: there is no such folder")
        if not folder.is_dir():
            raise UsageError(f"{folder}: is a file; name a results folder")
        place = folder.resolve()
        if place == home:
            raise UsageError(f"{folder}: is the results folder that is collected into")
        if place.is_relative_to(home) or home.is_relative_to(place):
            how = "lies within" if place.is_relative_to(home) else "holds"
            raise UsageError(f"{folder}: {how} the results folder {results}; name one beside it")
        places.setdefault(place, folder)
    return list(places.values())


def _survey(folder: Path) -> list[Stored | Collected]:
    """The runs in a folder that may be taken, and what is to be said of the others."""
    surveyed: list[Stored | Collected] = []

    def skipped(place: Path, reason: str) -> None:
        told = f"{place}: {reason}"
        surveyed.append(Collected(place.relative_to(folder), place, "damaged", told))

    surveyed += [_read(folder, path) for path in record_paths(folder, skipped)]
    surveyed += [
        Collected(each.relative_to(folder), each, "unfinished", f"{each}: has no record yet")
        for each in unfinished_folders(folder)
    ]
    if not surveyed:
        raise UsageError(f"{folder}: holds no run; name a results folder")
    return surveyed


def _read(folder: Path, path: Path) -> Stored | Collected:
    """The record at `path`, if it can be read and lies at its address under `folder`."""
    place = path.parent.relative_to(folder)
    try:
        stored = _stored(path)
    except DataError as problem:
        return Collected(place, path.parent, "damaged", str(problem))
    run, where = address_of(stored.record), path.parent.resolve()
    if place in (run, earlier_address(run)):
        return stored
    root = Path(*where.parts[: -len(run.parts)])
    if where not in (root / run, root / earlier_address(run)):
        message = f"{path}: is the record of {run}; a run's folder follows from its record"
    elif folder.resolve().is_relative_to(root):
        raise UsageError(f"{folder}: lies within the results folder {root}; name that one")
    else:
        message = f"{path}: lies in the results folder {root}; name that one"
    return Collected(place, path.parent, "refused", message)


def _stored(path: Path) -> Stored:
    content = read_whole(path)
    return Stored(path.parent, parse_record(content, path), content)


def _merged(
    run: Path, candidates: Sequence[Stored], target: Path, dry_run: bool
) -> list[Collected]:
    """Take a run from the first folder that has it whole, with its weights where one has them.

    It is refused where two records of it differ.
    """
    outcomes, whole = [], []
    for each in candidates:
        try:
            _check_files(each)
            whole.append(each)
        except DataError as problem:
            outcomes.append(Collected(run, each.folder, "damaged", str(problem)))
    # The first is copied, and the others are nothing but the same again: weights must not be lost.
    whole.sort(key=lambda each: not each.record.model.kept)
    differ = any(not _same(each, candidates[0]) for each in candidates)
    for each in whole:
        if any(before.state == "copied" for before in outcomes):
            outcome = Collected(run, each.folder, "there_already")
        else:
            outcome = _taken(run, each, target, dry_run, candidates if differ else [])
        outcomes.append(_with_what_came_later(outcome, each, target, dry_run))
    return outcomes


def _with_what_came_later(
    outcome: Collected, stored: Stored, target: Path, dry_run: bool
) -> Collected:
    """Bring what was predicted and fitted after a run too, once the run is there."""
    if outcome.state not in ("copied", "there_already"):
        return outcome
    try:
        if dry_run or not any((stored.folder / name).is_dir() for name in (SETS, POSTHOC)):
            sets, fitted = _copied_later(stored, target, dry_run=True)
        else:
            with locked(target, busy="collect again when it is done"):
                sets, fitted = _copied_later(stored, target)
    except RunError as problem:
        return outcome._replace(state="refused", message=str(problem))
    except DataError as problem:
        return outcome._replace(state="damaged", message=str(problem))
    if outcome.state == "there_already":
        kinds = {"sets": sets, "posthoc": fitted}
        said = [f"{kind} added: {', '.join(names)}" for kind, names in kinds.items() if names]
        return outcome._replace(message="; ".join(said))
    return outcome


def _copied_later(
    stored: Stored, target: Path, *, dry_run: bool = False
) -> tuple[list[str], list[str]]:
    """The sets and the fitted detectors that came."""
    folder, record = stored.folder, stored.record
    return (
        copy_sets(folder, target, record, dry_run=dry_run),
        copy_posthoc(folder, target, record, dry_run=dry_run),
    )


def _check_files(stored: Stored) -> None:
    for file in stored_files(stored.record):
        read_stored(stored.folder, file)


def _same(one: Stored, other: Stored) -> bool:
    """Whether two records are of one run; either may since have been pruned or packed anew."""
    return one.record.as_recorded == other.record.as_recorded


def _taken(
    run: Path, stored: Stored, target: Path, dry_run: bool, rivals: Sequence[Stored]
) -> Collected:
    """What becomes of a whole run: `rivals` are the records of it that other folders have."""
    try:
        with writing(target):
            there = (target / RECORD).exists()
        if not there and rivals:
            return _refused(run, stored, rivals)
        if not there and (dry_run or _placed(stored, target)):
            return Collected(run, stored.folder, "copied")
    except RunError as problem:
        return Collected(run, stored.folder, "refused", str(problem))
    except DataError as problem:
        return Collected(run, stored.folder, "damaged", str(problem))
    return _compared(run, stored, target)


def _compared(run: Path, stored: Stored, target: Path) -> Collected:
    """A run beside the one of its name that the results have; that one is looked through too."""
    try:
        there = _stored(target / RECORD)
        if not _same(there, stored):
            return _refused(run, stored, [there, stored])
        _check_files(there)
    except DataError as problem:
        message = f"{problem}; or remove {target} and collect again"
        return Collected(run, stored.folder, "damaged", message)
    return Collected(run, stored.folder, "there_already")


def _refused(run: Path, stored: Stored, rivals: Sequence[Stored]) -> Collected:
    others = ", ".join(str(each.folder) for each in rivals if not _same(each, stored))
    message = (
        f"{stored.folder} and {others} hold different records of this run: remove the folder of "
        "the one that is not to count, and collect again"
    )
    return Collected(run, stored.folder, "refused", message, tuple(rivals))


def _placed(stored: Stored, target: Path) -> bool:
    """Copy a run, the record last; False where a record has come there meanwhile."""
    with locked(target, busy="collect again when it is done"):
        if (target / RECORD).exists():
            return False
        for file in stored_files(stored.record):
            write_bytes(target / file.file, read_stored(stored.folder, file))
        if (stored.folder / HISTORY).exists():
            write_bytes(target / HISTORY, read_whole(stored.folder / HISTORY))
        else:
            remove(target, HISTORY)
        finish(target, stored.content)
    return True
