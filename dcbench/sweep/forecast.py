"""What a sweep will cost: the state of each run, and its cost here from measured steps."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from dcbench.config.garbage import garbage_kept
from dcbench.records.store import Finished, HalfDone, Store
from dcbench.runs.execute import estimate
from dcbench.runs.plan import Plan
from dcbench.runs.session import Session
from dcbench.sweep.grid import Request, plan_of

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Forecast:
    """The runs of one method on one split.

    Attributes
    ----------
    recorded, half_done, missing : int
        Number of runs.
    seconds_each : float
        Of a whole run on this device, from a measured step; 0 where none is to be done.
    """

    protocol: str
    split: str
    method: str
    recorded: int
    half_done: int
    missing: int
    seconds_each: float

    @property
    def seconds(self) -> float:
        """Of all that is not recorded; what a half-done run has behind it is not taken off."""
        return (self.half_done + self.missing) * self.seconds_each


@garbage_kept()
def forecast(requests: Sequence[Request], store: Store, session: Session) -> list[Forecast]:
    """What is there and what the rest will cost; nothing is written.

    A step is measured once for each method on a split, not for each subset and seed. A run in
    whose place something else stands is counted as missing, for that is what it lacks.
    """
    groups: dict[tuple[str, str, str], list[Plan]] = defaultdict(list)
    for request in requests:
        plan = plan_of(request)
        groups[plan.protocol.name, plan.split.name, plan.choice.label].append(plan)
    forecasts = []
    for (protocol, split, method), plans in groups.items():
        found = [store.find(plan.identity) for plan in plans]
        recorded = sum(isinstance(each, Finished) for each in found)
        half_done = sum(isinstance(each, HalfDone) for each in found)
        seconds = 0.0
        if recorded < len(plans):
            _log.info("measuring a step of %s on %s, protocol %s", method, split, protocol)
            seconds = estimate(plans[0], session).seconds
        forecasts.append(
            Forecast(
                protocol=protocol,
                split=split,
                method=method,
                recorded=recorded,
                half_done=half_done,
                missing=len(plans) - recorded - half_done,
                seconds_each=seconds,
            )
        )
    return forecasts
