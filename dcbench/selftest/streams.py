"""Standard streams that are closed, full, or that nobody reads."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

from dcbench.selftest.processes import FULL, Handicap
from dcbench.selftest.remains import differences
from dcbench.selftest.signals import LOKY, RUN
from dcbench.selftest.trial import Place, Trial, Try

_STREAMS = {
    "standard output closed": Handicap(closed=(1,)),
    "standard error closed": Handicap(closed=(2,)),
    "both closed": Handicap(closed=(1, 2)),
    "standard output that nobody reads": Handicap(unread=True),
    "standard output on a full disk": Handicap(full=(1,)),
    "standard error on a full disk": Handicap(full=(2,)),
}
_COMMANDS: dict[tuple[str, ...], int] = {
    ("--help",): 0,
    ("--version",): 0,
    ("splits",): 0,
    ("methods", "--json"): 0,
    ("methods", "nothing"): 2,
    ("methods", "--nothing"): 2,
    RUN: 0,
    LOKY: 0,
}
"""With the exit code of each, whatever becomes of its streams but for a full disk."""


def trials() -> list[Trial]:
    """Every command with every stream, once."""
    return [Trial("streams that are closed or full", len(_pairs()), _without_streams)]


def _pairs() -> list[tuple[str, tuple[str, ...]]]:
    return [
        (how, words)
        for how, handicap in _STREAMS.items()
        for words in _COMMANDS
        if (FULL.exists() or not handicap.full) and (words != LOKY or how == "both closed")
    ]


def _without_streams(place: Place, times: int, chance: random.Random) -> Iterator[Try]:
    for how, words in _pairs():
        handicap, codes = _STREAMS[how], {_COMMANDS[words]}
        if 1 in handicap.full:
            codes.add(1)
        results = ["--results", str(place.new_folder("streams"))] if words in (RUN, LOKY) else []
        ended = place.commands.run(*words, *results, handicap=handicap)
        wrong = ended.unlike(*codes)
        if results:
            wrong += differences(Path(results[1]), place.whole(words).records)
        yield Try(how, [f"dcbench {' '.join(words)}, {how}: {each}" for each in wrong])
