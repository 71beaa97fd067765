"""Two commands at once on one folder: each run is done once, and both know of it."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator

from dcbench.selftest.remains import differences, left_behind
from dcbench.selftest.signals import LOKY, SWEEP
from dcbench.selftest.trial import Place, Trial, Try


def trials(times: int) -> list[Trial]:
    """Trials of so many pairs of sweeps."""
    return [Trial("two sweeps at once on one folder", times, _two_sweeps)]


def _two_sweeps(place: Place, times: int, chance: random.Random) -> Iterator[Try]:
    whole = place.whole(SWEEP)
    for number in range(times):
        results = place.new_folder("at-once")
        other = (SWEEP, LOKY)[number % 2]
        both = [
            place.commands.begin(*words, "--json", "--results", results) for words in (SWEEP, other)
        ]
        ended = [each.ended() for each in both]
        lost = [wrong for each in ended for wrong in each.unlike(0)]
        if not lost:
            done = sum(json.loads(each.out)["counts"]["done"] for each in ended)
            if done != len(whole.records):
                lost.append(f"{done} runs were done, of {len(whole.records)} that there are")
        lost += left_behind(results) + differences(results, whole.records)
        yield Try("beside one with workers" if other is LOKY else "beside its like", lost)
