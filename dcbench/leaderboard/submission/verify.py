"""`verify`: what is wrong with an unpacked submission, and which rows it would make."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from dcbench.config.paths import shipped_root
from dcbench.errors import RunError, UsageError
from dcbench.leaderboard.build import BuildResult, build
from dcbench.leaderboard.checks import check
from dcbench.leaderboard.diff import Diff, diff
from dcbench.leaderboard.files import write_files
from dcbench.leaderboard.rows import run_title
from dcbench.leaderboard.states import State, state_of_folder
from dcbench.leaderboard.submission.manifest import RESULTS, Submission
from dcbench.leaderboard.submission.sources import needed_by
from dcbench.methods import is_own
from dcbench.records.schema import Record
from dcbench.records.store import address_of, find_records


@dataclass(frozen=True)
class Verified:
    """What a check of a submission found.

    Attributes
    ----------
    records : tuple of (Path, Record)
        Its runs, and where their records lie.
    problems : list of str
        One line each: the file or row, what is wrong and what would be right.
    change : Diff or None
        How the leaderboards would change; None where no rows can be made of the runs.
    """

    records: tuple[tuple[Path, Record], ...]
    problems: list[str]
    change: Diff | None


def verify(submission: Submission, folder: Path, scratch: Path, boards: Path | None) -> Verified:
    """Hold the runs of a submission to the protocol, to the code and to their own predictions.

    Parameters
    ----------
    folder
        Where it lies unpacked.
    scratch
        An empty folder, in which the leaderboards are made as they would be.
    boards
        The leaderboards that the rows are meant for; None: those that ship.

    Raises
    ------
    UsageError
        `boards` is no folder of leaderboards.
    DataError
        A record, or a table of the leaderboards, is damaged.
    """
    records = tuple(find_records(folder / RESULTS))
    problems = [
        f"{path.relative_to(folder)}: {what}"
        for path, record in records
        for what in (*_misplaced(path, record, folder), *_code(record, submission))
    ]
    problems += _unused(records, submission)
    where = boards or shipped_root() / "leaderboard"
    before = _copied(where, scratch)
    try:
        built = build(folder / RESULTS, scratch, footnote=submission.footnote, further=True)
    except (RunError, UsageError) as problem:
        return Verified(records, _plain([*problems, str(problem)], folder, scratch), None)
    problems += [f"{path}: is custom: no leaderboard takes it" for path in built.custom]
    problems += _rivals(built)
    problems += check(
        scratch, predictions=folder / RESULTS, base=str(where), require_predictions=True
    ).problems
    change = diff(before, state_of_folder(scratch))
    return Verified(records, _plain(problems, folder, scratch), change)


def _copied(boards: Path, scratch: Path) -> State:
    """The leaderboards as they are, of which `scratch` has a copy now."""
    state = state_of_folder(boards)
    write_files({scratch / name: text for name, text in state.files.items()})
    return state


def _misplaced(path: Path, record: Record, folder: Path) -> Iterator[str]:
    run = address_of(record)
    if path.parent != folder / RESULTS / run:
        yield f"is the record of {run}; a run's folder follows from its record"


def _code(record: Record, submission: Submission) -> Iterator[str]:
    """Where the code behind a run is not there, or not told."""
    there = {(each.kind, each.sha256) for each in submission.sources}
    for each in needed_by(record):
        if (each.kind, each.sha256) not in there:
            yield (
                f"{each.kind} '{each.name}' is from a file with SHA-256 {each.sha256}, which is "
                "not in source/; pack it with --source"
            )
    if is_own(record.method) and record.method_sha256 is not None:
        yield f"method_sha256={record.method_sha256}: {record.method} is dcbench's own method"
    if not is_own(record.method) and record.method_sha256 is None:
        yield (
            f"method_sha256=null: {record.method} is no method of dcbench's; its code has to be in "
            "a file or a package, of which the record has the hash"
        )


def _unused(records: Sequence[tuple[Path, Record]], submission: Submission) -> Iterator[str]:
    named = {(each.kind, each.sha256) for _, record in records for each in needed_by(record)}
    for source in submission.sources:
        packed = {each.name: each.sha256 for each in submission.files}.get(source.file)
        if packed != source.sha256:
            yield f"{source.file}: SHA-256 is {packed}, but sources say {source.sha256}"
        if (source.kind, source.sha256) not in named:
            yield f"{source.file}: no run names its hash, {source.sha256}"


def _rivals(built: BuildResult) -> Iterator[str]:
    """Runs that have a row already, of other predictions, or whose row was withdrawn."""
    for board in built.boards:
        for key in board.withdrawn:
            yield f"{board.path} ({run_title(key)}): was withdrawn, and is not taken again"
        for key in board.other:
            yield (
                f"{board.path} ({run_title(key)}): has other predictions than the run that is "
                "submitted; a published row stays, unless there is a mistake in it"
            )


def _plain(problems: list[str], folder: Path, scratch: Path) -> list[str]:
    """The problems by names that mean something outside this process."""
    named = [
        each.replace(f"{folder}/", "").replace(f"{scratch}/", "leaderboard/") for each in problems
    ]
    return list(dict.fromkeys(named))
