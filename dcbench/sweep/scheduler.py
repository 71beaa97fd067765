"""A sweep from its requests to its outcomes, and what is told on the way."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Sequence

from dcbench.config.text import duration
from dcbench.records.store import Finished
from dcbench.sweep.engines import Engine, Outcome, Site
from dcbench.sweep.grid import Request, packs, plan_of

_log = logging.getLogger(__name__)


def sweep(
    requests: Sequence[Request],
    site: Site,
    engine: Engine,
    *,
    pack: int = 1,
    workers: int = 1,
) -> list[Outcome]:
    """Do what is missing, and nothing twice.

    Parameters
    ----------
    pack
        How many runs share a device at once.
    workers
        How many jobs the engine does at once: for the time that is left.

    Returns
    -------
    list of Outcome
        One for each request, in the order in which they ended; those that were there come first.
    """
    there = [each for each in requests if _is_found(each, site)]
    missing = [each for each in requests if each not in set(there)]
    outcomes = [Outcome(request, "found", 0.0) for request in there]
    _log.info("%d runs: %d recorded, %d to do", len(requests), len(there), len(missing))
    clock = _Clock(missing, workers)
    for ended in engine(packs(missing, pack), site):
        for outcome in ended:
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


class _Clock:
    """How long the rest of a sweep will take, by what the runs that ended have taken."""

    def __init__(self, missing: Sequence[Request], workers: int) -> None:
        self._missing, self._workers = {*missing}, workers
        self._taken: dict[tuple[str, ...], list[float]] = defaultdict(list)
        self._all: list[float] = []
        self.ended = 0

    def count(self, outcome: Outcome) -> None:
        """A run has ended."""
        self.ended += 1
        self._missing.discard(outcome.request)
        if outcome.state == "done":
            self._taken[_kind(outcome.request)].append(outcome.seconds)
            self._all.append(outcome.seconds)

    def left(self) -> str:
        """In words; runs of a kind that has not been seen count as the mean of all."""
        if not self._missing:
            return "none left"
        if not self._all:
            return f"{len(self._missing)} left"
        seconds = 0.0
        for request in self._missing:
            taken = self._taken.get(_kind(request)) or self._all
            seconds += sum(taken) / len(taken)
        return f"about {duration(seconds / self._workers)} left"


def _kind(request: Request) -> tuple[str, ...]:
    return request.protocol, request.split, request.method, request.settings
