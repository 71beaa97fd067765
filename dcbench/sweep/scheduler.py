"""A sweep from its requests to its outcomes, and what is told on the way."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from dcbench.config.garbage import garbage_kept
from dcbench.config.text import duration
from dcbench.records.store import Finished
from dcbench.sweep.attempts import settled
from dcbench.sweep.engines.base import Engine, Outcome, Site, at_once
from dcbench.sweep.grid import Request, packs, plan_of

_log = logging.getLogger(__name__)


def sweep(
    requests: Sequence[Request],
    site: Site,
    engine: Engine[Any],
    *,
    pack: int = 1,
) -> list[Outcome]:
    """Do what is missing, and nothing twice.

    Parameters
    ----------
    pack
        How many runs share a device at once.

    Returns
    -------
    list of Outcome
        One for each request, in the order in which they ended; those that were there come first.
    """
    with garbage_kept():
        there = [each for each in requests if _is_found(each, site)]
    found = set(there)
    missing = [each for each in requests if each not in found]
    outcomes = [Outcome(request, "found", 0.0) for request in there]
    _log.info("%d runs: %d recorded, %d to do", len(requests), len(there), len(missing))
    clock = _Clock(missing, engine.workers(site.device))
    for outcome in settled(packs(missing, pack), site, engine):
        outcomes.append(outcome)
        clock.count(outcome)
        _log.info("[%d/%d] %s; %s", clock.ended, len(missing), _line(outcome), clock.left())
    return outcomes


def _is_found(request: Request, site: Site) -> bool:
    return isinstance(site.store.find(plan_of(request).identity), Finished)


def _line(outcome: Outcome) -> str:
    title = plan_of(outcome.request).title
    if outcome.accuracy is None:
        return f"{title}: {outcome.state}: {outcome.message}"
    return f"{title}: accuracy {100 * outcome.accuracy:.2f} % in {duration(outcome.seconds)}"


Kind = tuple[str, ...]
"""Runs of one kind take about as long as one another."""


def _kind(request: Request) -> Kind:
    return request.protocol, request.split, request.method, request.settings


@dataclass
class _Tally:
    """How many runs of a kind are missing, and what those that were done have taken."""

    missing: int = 0
    done: int = 0
    seconds: float = 0.0

    @property
    def forecast(self) -> tuple[int, float]:
        """The missing runs whose time is known from others of their kind, and that time."""
        if not self.done:
            return 0, 0.0
        return self.missing, self.missing * self.seconds / self.done


class _Clock:
    """How long the rest of a sweep will take, by what the runs that ended have taken.

    Sums are kept for each kind, so that a run that ends costs the same however many are missing.
    """

    def __init__(self, missing: Sequence[Request], workers: int) -> None:
        self._missing, self._workers = {*missing}, workers
        self._kinds: dict[Kind, _Tally] = defaultdict(_Tally)
        for request in self._missing:
            self._kinds[_kind(request)].missing += 1
        self._all = _Tally(len(self._missing))
        self._known_runs, self._known_seconds = 0, 0.0
        self.ended = 0

    def count(self, outcome: Outcome) -> None:
        """A run has ended."""
        self.ended += 1
        gone = outcome.request in self._missing
        self._missing.discard(outcome.request)
        kind = self._kinds[_kind(outcome.request)]
        runs_before, seconds_before = kind.forecast
        for tally in (kind, self._all):
            tally.missing -= gone
            if outcome.state == "done":
                tally.done += 1
                tally.seconds += outcome.seconds
        runs, seconds = kind.forecast
        self._known_runs += runs - runs_before
        self._known_seconds += seconds - seconds_before

    def left(self) -> str:
        """In words; runs of a kind that has not been seen count as the mean of all."""
        missing, done = self._all.missing, self._all.done
        if not missing:
            return "none left"
        if not done:
            return f"{missing} left"
        mean = self._all.seconds / done
        seconds = self._known_seconds + (missing - self._known_runs) * mean
        return f"about {duration(seconds / at_once(self._workers, missing))} left"
