"""Every run to its end: tried again if its worker died, waited for if it is busy elsewhere."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Generator, Iterator, Sequence
from typing import Any

from dcbench.records.store import Finished, is_held
from dcbench.sweep.engines.base import Ended, Engine, Job, Outcome, Site
from dcbench.sweep.grid import Request, plan_of

_LOOK_EVERY = 1.0
"""Seconds from one look at runs that other processes hold to the next."""

_log = logging.getLogger(__name__)


def settled(jobs: Sequence[Job], site: Site, engine: Engine[Any]) -> Iterator[Outcome]:
    """The outcome of each run, as they end.

    A run whose worker dies is tried once more, alone. A run that another process holds is put at
    the end; it is looked at until it is done there or free, or there is no time left.
    """
    lost: set[Request] = set()
    while jobs:
        again: list[Request] = []
        busy: list[Request] = []
        with contextlib.closing(engine.carry_out(jobs, site)) as ended_jobs:
            for ended in ended_jobs:
                yield from _lost(ended, lost, again)
                for outcome in ended.outcomes:
                    if outcome.state == "busy":
                        busy.append(outcome.request)
                    else:
                        yield outcome
        again += yield from _freed(busy, site, wait=not again)
        jobs = [(request,) for request in again]


def _lost(ended: Ended, lost: set[Request], again: list[Request]) -> Iterator[Outcome]:
    """The runs of a job whose worker died: those that are lost twice have failed."""
    for request in ended.job if ended.lost else ():
        if request in lost:
            yield Outcome(request, "failed", 0.0, message=f"lost twice: {ended.lost}")
        else:
            _log.warning("%s: %s; it is tried once more", plan_of(request).title, ended.lost)
            lost.add(request)
            again.append(request)


def _freed(
    busy: Sequence[Request], site: Site, *, wait: bool
) -> Generator[Outcome, None, list[Request]]:
    """Runs that other processes hold: yield those that are done there, return what can be tried.

    With `wait`, until one of them is free or there is no time left.
    """
    waiting = list(busy)
    if waiting and wait:
        _log.info("%d runs are at work in other processes; waiting for them", len(waiting))
    while True:
        free: list[Request] = []
        held: list[Request] = []
        for request in waiting:
            plan = plan_of(request)
            found = site.store.find(plan.identity)
            if isinstance(found, Finished):
                yield Outcome(request, "found", 0.0, float(found.record.metrics.accuracy))
            else:
                (held if is_held(site.store.folder(plan.identity)) else free).append(request)
        if free or not held or not wait:
            return [*free, *held]
        left = site.seconds_left
        if left is not None and left <= 0:
            for request in held:
                yield Outcome(request, "left", 0.0, message="another process is at it")
            return []
        time.sleep(_LOOK_EVERY if left is None else min(_LOOK_EVERY, left))
        waiting = held
