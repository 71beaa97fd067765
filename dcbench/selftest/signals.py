"""Signals at random moments, to runs, packs and sweeps: to the command, and to its workers."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import time
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from dcbench.errors import RunError
from dcbench.records.files import CHECKPOINT, RECORD
from dcbench.selftest.processes import PROC, Command
from dcbench.selftest.remains import differences, left_behind
from dcbench.selftest.trial import NotHereError, Place, Trial, Try

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL)
_MOMENTS = 5
"""Times that a signal may come when the training is over already."""
_ASKED_AGAIN = 3
"""Times that an undisturbed command is asked until it is done: a worker may just have died."""

_SHORT = ("--device", "cpu", "--set", "epochs=8")
RUN = ("run", "--method", "erm", "--split", "digits", *_SHORT)
LONG_RUN = (*RUN[:-1], "epochs=40")
"""A run that still trains when it has said how long it will take."""
SWEEP = ("sweep", "--methods", "erm,ic-mixup", "--splits", "digits", "--seeds", "0", *_SHORT)
PACK = (*SWEEP, "--pack", "2")
LOKY = (*SWEEP, "--engine", "loky", "--jobs", "2")

_KINDS = {
    "a run": (RUN, 10),
    "a sweep, two runs packed together": (PACK, 6),
    "a sweep, run after run": (SWEEP, 3),
    "a sweep with two workers": (LOKY, 1),
}
"""What gets signals, and how large a share: what takes longer gets fewer."""


def trials(count: int) -> list[Trial]:
    """Trials of so many signals in all."""
    return [
        Trial(f"signals to {title}", times, partial(signalled, words))
        for (title, (words, _)), times in zip(_KINDS.items(), _shares(count), strict=True)
        if times
    ]


def _shares(count: int) -> list[int]:
    """How many signals each kind gets; of few, each gets one at least, as long as there are any."""
    weights = [weight for _, weight in _KINDS.values()]
    shares = [min(1, max(0, count - number)) for number in range(len(weights))]
    rest = count - sum(shares)
    shares = [
        share + rest * weight // sum(weights) for share, weight in zip(shares, weights, strict=True)
    ]
    shares[0] += count - sum(shares)
    return shares


def training(place: Place, results: Path) -> Command:
    """A long run that has begun to train, or to go on."""
    command = place.commands.begin(*LONG_RUN, "--results", results)
    command.says(" steps of ")  # the estimate, after which it trains
    return command


def stopped(place: Place, results: Path, chance: random.Random) -> Path:
    """Stop a long run while it trains; the folder in which it leaves its checkpoint.

    Raises
    ------
    RunError
        It cannot be stopped so.
    """
    for _ in range(_MOMENTS):
        shutil.rmtree(results, ignore_errors=True)
        command = training(place, results)
        command.process.join(chance.uniform(0, 0.2))
        send(command, signal.SIGTERM)
        ended = command.ended()
        if wrong := ended.unlike(0, 130):
            raise RunError(f"a run that got SIGTERM: {'; '.join(wrong)}")
        for checkpoint in results.rglob(CHECKPOINT):
            if not checkpoint.with_name(RECORD).exists():
                return checkpoint.parent
    raise RunError(f"{results}: a run left no checkpoint, whenever SIGTERM came")


def send(command: Command, number: signal.Signals) -> None:
    """Send a signal to a command, unless that has ended."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(command.pid, number)


def signalled(
    words: Sequence[str], place: Place, times: int, chance: random.Random
) -> Iterator[Try]:
    """Send signals to a command until so many have reached it; each time it is asked again.

    Where it is done, it begins anew in an empty folder; after the last signal it is left alone
    until it is done.
    """
    if not PROC.is_dir():
        raise NotHereError("needs Linux's /proc, which names the workers of a sweep")
    whole = place.whole(words)
    results, killed, sent = place.new_folder("signalled"), False, 0
    while sent < times:
        command = place.commands.begin(*words, "--results", results)
        hit = _hit(command, chance, whole.seconds)
        ended = command.ended()
        if hit is not None:
            sent, killed = sent + 1, killed or hit.number == signal.SIGKILL
        codes = {0, 130}
        if "--engine" in words:
            codes.add(1)  # a run has failed whose worker died twice; it is asked again
        if hit is not None and hit.ends(recorded=_recorded(results) == len(whole.records)):
            codes.add(-hit.number)
        lost = ended.unlike(*sorted(codes))
        last = sent == times and hit is not None
        if last and ended.code != 0:
            lost += _completed(words, place, results)
        if not killed:
            lost += left_behind(results)
        if ended.code == 0 or last:
            lost += place.commands.orphans() if killed else []
            lost += differences(results, whole.records)
            shutil.rmtree(results)
            results, killed = place.new_folder("signalled"), False
        if hit is not None:
            yield Try(hit.words, lost)
        elif lost:
            yield Try("no signal: it was done before", lost)


def _recorded(results: Path) -> int:
    return sum(1 for _ in results.rglob(RECORD))


class _Hit(NamedTuple):
    """A signal that was sent: which, and whether to the command or to a worker of it."""

    number: signal.Signals
    to_it: bool

    def ends(self, recorded: bool) -> bool:
        """Whether it may end the command at once, which hears none once it has only to leave."""
        return self.to_it and (recorded or self.number == signal.SIGKILL)

    @property
    def words(self) -> str:
        return f"{self.number.name} to {'it' if self.to_it else 'a worker'}"


def _hit(command: Command, chance: random.Random, seconds: float) -> _Hit | None:
    """Send a signal within so many seconds; None where who was to get it has ended."""
    command.process.join(chance.uniform(0, seconds))
    number = chance.choice(SIGNALS)
    whom = chance.choice([command.pid, *command.workers])
    if not command.process.is_alive():
        return None
    with contextlib.suppress(ProcessLookupError):
        os.kill(whom, number)
        return _Hit(number, to_it=whom == command.pid)
    return None


def _completed(words: Sequence[str], place: Place, results: Path) -> list[str]:
    """Ask until it is done: what is wrong if it never is."""
    wrong: list[str] = []
    for _ in range(_ASKED_AGAIN):
        wrong = place.commands.run(*words, "--results", results).unlike(0)
        if not wrong:
            return []
        time.sleep(1)
    return wrong
