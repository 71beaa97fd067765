"""What a sweep will cost: the state of each run, and its cost here from measured steps."""

from __future__ import annotations

import logging
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from dcbench.config.garbage import garbage_kept
from dcbench.errors import DcbenchError
from dcbench.records.store import Differs, Finished, HalfDone, Missing, Store
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
    recorded, half_done, missing, refused : int
        Number of runs; refused are those in whose place something else stands.
    seconds_each : float or None
        Of a whole run on this device, from a measured step; 0 where none is to be done, None where
        none can be.
    problems : tuple of DcbenchError
        Why runs are refused, and why no step can be measured.
    """

    protocol: str
    split: str
    method: str
    recorded: int
    half_done: int
    missing: int
    refused: int
    seconds_each: float | None
    problems: tuple[DcbenchError, ...] = ()

    @property
    def to_do(self) -> int:
        """Number of runs that a sweep would begin or go on with."""
        return self.half_done + self.missing

    @property
    def seconds(self) -> float | None:
        """Of all that is to do; what a half-done run has behind it is not taken off."""
        return None if self.seconds_each is None else self.to_do * self.seconds_each


@garbage_kept()
def forecast(requests: Sequence[Request], store: Store, session: Session) -> list[Forecast]:
    """What is there and what the rest will cost; nothing is written.

    A step is measured once for each method on a split, not for each subset and seed. Where it
    cannot be, as its images are missing, the others are told all the same.
    """
    groups: dict[tuple[str, str, str], list[Plan]] = defaultdict(list)
    for request in requests:
        plan = plan_of(request)
        groups[plan.protocol.name, plan.split.name, plan.choice.label].append(plan)
    return [_of_group(*names, plans, store, session) for names, plans in groups.items()]


def _of_group(
    protocol: str, split: str, method: str, plans: Sequence[Plan], store: Store, session: Session
) -> Forecast:
    found = [store.find(plan.identity) for plan in plans]
    count = Counter(map(type, found))
    problems = [each.error for each in found if isinstance(each, Differs)]
    seconds: float | None = 0.0
    if count[HalfDone] + count[Missing]:
        _log.info("measuring a step of %s on %s, protocol %s", method, split, protocol)
        try:
            seconds = estimate(plans[0], session).seconds
        except DcbenchError as problem:
            seconds = None
            problems.append(problem)
    return Forecast(
        protocol=protocol,
        split=split,
        method=method,
        recorded=count[Finished],
        half_done=count[HalfDone],
        missing=count[Missing],
        refused=count[Differs],
        seconds_each=seconds,
        problems=tuple(problems),
    )
