"""What a sweep will cost: the state of each run, and its cost here from measured steps."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from dcbench.records import store
from dcbench.runs.execute import estimate
from dcbench.runs.plan import Plan
from dcbench.runs.session import Session
from dcbench.sweep.grid import Request, plan_of


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


def forecast(
    requests: Sequence[Request],
    results: Path,
    place: Session,
    note: Callable[[str], None] = lambda text: None,
) -> list[Forecast]:
    """What is there and what the rest will cost; nothing is written.

    A step is measured once for each method on a split, not for each subset and seed.
    """
    groups: dict[tuple[str, str, str], list[Plan]] = defaultdict(list)
    for request in requests:
        plan = plan_of(request)
        groups[plan.protocol.name, plan.split.name, plan.choice.label].append(plan)
    found = []
    for (protocol, split, method), plans in groups.items():
        states = [state_of(results / plan.folder) for plan in plans]
        counts = {state: states.count(state) for state in ("recorded", "half-done", "missing")}
        seconds = 0.0
        if counts["recorded"] < len(plans):
            note(f"measuring a step of {method} on {split}, protocol {protocol}")
            seconds = estimate(plans[0], place).seconds
        found.append(
            Forecast(
                protocol=protocol,
                split=split,
                method=method,
                recorded=counts["recorded"],
                half_done=counts["half-done"],
                missing=counts["missing"],
                seconds_each=seconds,
            )
        )
    return found


def state_of(folder: Path) -> str:
    """`recorded`, `half-done` or `missing`."""
    if (folder / store.RECORD).exists():
        return "recorded"
    return "half-done" if (folder / store.CHECKPOINT).exists() else "missing"
