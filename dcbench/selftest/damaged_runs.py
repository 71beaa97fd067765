"""Files of runs that are damaged between two commands: they are named, and nothing is lost."""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterator
from pathlib import Path

from dcbench.records.files import CHECKPOINT, HISTORY, PREDICTIONS, RECORD, WEIGHTS
from dcbench.selftest.damage import mutated
from dcbench.selftest.remains import differences, left_behind
from dcbench.selftest.signals import LONG_RUN, RUN, stopped
from dcbench.selftest.trial import Place, Trial, Try

_OF_A_HALF_DONE = (CHECKPOINT, PREDICTIONS, HISTORY, WEIGHTS)
"""The last three are there before the record, if a process is killed then."""
_OF_A_FINISHED = (RECORD, PREDICTIONS, WEIGHTS)


def trials(times: int) -> list[Trial]:
    """Trials of so many half-done and finished runs."""
    return [
        Trial("half-done runs with a damaged file", times, _half_done),
        Trial("finished runs with a damaged file", times, _finished),
    ]


def _half_done(place: Place, times: int, chance: random.Random) -> Iterator[Try]:
    whole = place.whole(LONG_RUN)
    [finished] = [path.parent for path in whole.results.rglob(RECORD)]
    kept = place.new_folder("half-done")
    half_done = stopped(place, kept, chance)
    for number in range(times):
        name = _OF_A_HALF_DONE[number % len(_OF_A_HALF_DONE)]
        results = _copied(kept, place)
        target = results / half_done.relative_to(kept) / name
        honest = ((half_done if name == CHECKPOINT else finished) / name).read_bytes()
        target.write_bytes(mutated(honest, number))
        ended = place.commands.run(*LONG_RUN, "--results", results)
        if name == CHECKPOINT:
            lost = ended.refused(0 if target.read_bytes() == honest else 3)
            again = place.commands.run(*LONG_RUN, "--restart", "--results", results)
            lost += again.unlike(0)
        else:
            lost = ended.unlike(0)
        lost += left_behind(results) + differences(results, whole.records)
        yield Try(name, [f"{name}, damage {number}: {each}" for each in lost])


def _finished(place: Place, times: int, chance: random.Random) -> Iterator[Try]:
    whole = place.whole(RUN)
    [run] = [path.parent.relative_to(whole.results) for path in whole.results.rglob(RECORD)]
    for number in range(times):
        name = _OF_A_FINISHED[number % len(_OF_A_FINISHED)]
        results = _copied(whole.results, place)
        path = results / run / name
        path.write_bytes(mutated(path.read_bytes(), number))
        lost = _told(place, results, run, name)
        lost += place.commands.run(*RUN, "--restart", "--results", results).unlike(0)
        lost += left_behind(results) + differences(results, whole.records)
        yield Try(name, [f"{name}, damage {number}: {each}" for each in lost])


def _told(place: Place, results: Path, run: Path, name: str) -> list[str]:
    """What is wrong with how commands tell of a damaged file, if they do not."""
    measured = place.commands.run("measure", results / run)
    if name == RECORD:  # it has no hash: what is still a record is found, and measured against
        found = place.commands.run(*RUN, "--results", results)
        return found.refused(0, 1, 3) + measured.unlike(0, 1, 3)
    lost = measured.refused(0, 3)
    target = place.new_folder("collected")
    collected = place.commands.run("collect", results, "--results", target)
    lost += collected.unlike(0, 1)
    arrived = any(target.rglob(RECORD))
    if arrived != (collected.code == 0):
        lost.append(f"collect ends with {collected.code}, and the run has come: {arrived}")
    return lost + (differences(target, place.whole(RUN).records) if arrived else [])


def _copied(results: Path, place: Place) -> Path:
    copy = place.new_folder("damaged")
    shutil.copytree(results, copy, dirs_exist_ok=True)
    return copy
