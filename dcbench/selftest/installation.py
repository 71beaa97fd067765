"""Whether an installation does what it promises: a few short runs, compared to the bit."""

from __future__ import annotations

import random
import signal
from collections.abc import Iterator

from dcbench.records.files import RECORD
from dcbench.records.store import LOCK, is_held
from dcbench.selftest.remains import differences, left_behind
from dcbench.selftest.signals import LONG_RUN, RUN, send, stopped, training
from dcbench.selftest.trial import Place, Trial, Try


def trials() -> list[Trial]:
    """What is tried without faults."""
    return [
        Trial("a run trains, predicts and is recorded", 1, _recorded),
        Trial("the same run again is the same to the bit", 1, _repeated),
        Trial("stopped, killed and resumed, it is the same to the bit", 1, _resumed),
        Trial("its metrics follow from its predictions", 1, _measured),
        Trial("a second process waits for its folder", 1, _locked),
    ]


def _recorded(place: Place, times: int, chance: random.Random) -> Iterator[Try]:
    whole = place.whole(RUN)
    lost = [] if len(whole.records) == 1 else [f"{whole.results}: has not one record"]
    yield Try("trained", lost + left_behind(whole.results))


def _repeated(place: Place, times: int, chance: random.Random) -> Iterator[Try]:
    results = place.new_folder("again")
    lost = place.commands.run(*RUN, "--results", results).unlike(0)
    yield Try("repeated", lost + differences(results, place.whole(RUN).records))


def _resumed(place: Place, times: int, chance: random.Random) -> Iterator[Try]:
    whole, results = place.whole(LONG_RUN), place.new_folder("resumed")
    stopped(place, results, chance)
    command = training(place, results)
    send(command, signal.SIGKILL)
    ended = command.ended()
    lost = ended.unlike(-signal.SIGKILL)
    if "going on from epoch" not in ended.err:
        lost.append("it did not go on from its checkpoint")
    lost += place.commands.run(*LONG_RUN, "--results", results).unlike(0)
    yield Try("SIGTERM, then SIGKILL", lost + differences(results, whole.records))


def _measured(place: Place, times: int, chance: random.Random) -> Iterator[Try]:
    [run] = [path.parent for path in place.whole(RUN).results.rglob(RECORD)]
    yield Try("measured", place.commands.run("measure", run).unlike(0))


def _locked(place: Place, times: int, chance: random.Random) -> Iterator[Try]:
    results, lost = place.new_folder("locked"), []
    command = training(place, results)
    folder = next((path.parent for path in results.rglob(LOCK)), results)
    if not is_held(folder):
        lost.append(f"{folder}: a lock does not hold on this file system")
    send(command, signal.SIGKILL)
    command.ended()
    if is_held(folder):
        lost.append(f"{folder}: the lock of a process that was killed is still held")
    yield Try("held", lost)
