"""Something to be tried so many times, and what came of it."""

from __future__ import annotations

import random
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from dcbench.config.progress import Progress
from dcbench.errors import DcbenchError, RunError
from dcbench.selftest.processes import Commands
from dcbench.selftest.remains import Records, records


class Try(NamedTuple):
    """One try: what was done, and what is not as it should be."""

    how: str
    lost: Sequence[str] = ()


class NotHereError(DcbenchError):
    """Why something cannot be tried on this machine."""


class Whole(NamedTuple):
    """What an undisturbed command has left, and how long it took once it had begun."""

    results: Path
    records: Records
    seconds: float


@dataclass
class Place:
    """Where things are tried.

    Attributes
    ----------
    folder : Path
        On the file system that is tried.
    """

    commands: Commands
    folder: Path
    _whole: dict[tuple[str, ...], Whole] = field(default_factory=dict)

    def new_folder(self, name: str) -> Path:
        """A folder that is empty."""
        path = self.folder / name
        shutil.rmtree(path, ignore_errors=True)
        path.mkdir(parents=True)
        return path

    def whole(self, words: Sequence[str]) -> Whole:
        """What a command leaves that nothing disturbs; it is run once.

        Raises
        ------
        RunError
            It fails.
        """
        key = tuple(words)
        if key not in self._whole:
            results = self.new_folder(f"undisturbed-{len(self._whole)}")
            command, began = self.commands.begin(*words, "--results", results), time.monotonic()
            ended = command.ended()
            if wrong := ended.unlike(0):
                raise RunError(f"dcbench {' '.join(words)}, undisturbed: {'; '.join(wrong)}")
            seconds = time.monotonic() - began
            self._whole[key] = Whole(results, records(results), seconds)
        return self._whole[key]


@dataclass(frozen=True)
class Trial:
    """What is tried: a row of the table.

    Attributes
    ----------
    times : int
        How often.
    attempt
        Tries it so often in a place, by the chance that it is given.
    """

    what: str
    times: int
    attempt: Callable[[Place, int, random.Random], Iterator[Try]]


@dataclass
class Outcome:
    """What came of a trial.

    Attributes
    ----------
    how : Counter of str
        How often each way was tried.
    lost : list of str
        What is not as it should be, a line each.
    not_here : str
        Why it was not tried, or not further.
    """

    what: str
    how: Counter[str] = field(default_factory=Counter)
    lost: list[str] = field(default_factory=list)
    seconds: float = 0.0
    not_here: str = ""

    @property
    def tried(self) -> int:
        """How often it was tried."""
        return self.how.total()


def outcomes(trials: Sequence[Trial], place: Place, progress: Progress) -> Iterator[Outcome]:
    """Try one after another; one that fails does not hide the others."""
    for trial in trials:
        outcome, began = Outcome(trial.what), time.monotonic()
        shown = progress.task(trial.what, trial.times)
        chance = random.Random(trial.what)  # noqa: S311 # nosec B311
        try:
            for how, lost in trial.attempt(place, trial.times, chance):
                outcome.how[how] += 1
                outcome.lost += lost
                shown.advance(1, how)
        except NotHereError as reason:
            outcome.not_here = str(reason)
        except (DcbenchError, OSError) as problem:
            outcome.lost.append(str(problem))
        finally:
            shown.close()
        outcome.lost += place.commands.orphans()
        outcome.seconds = time.monotonic() - began
        yield outcome
