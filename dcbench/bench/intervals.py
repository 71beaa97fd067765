"""Ratios with intervals that hold, and whether the machine was quiet enough to believe them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from dcbench.config.base import Config
from dcbench.draws import stream

RESAMPLES = 4000

LOUD = 0.1
"""Cores of other load above which a block counts as disturbed."""

DISTURBED_SHARE = 0.2
"""The share of disturbed blocks above which a measurement is noisy."""


class Ratio(Config):
    """A ratio of two speeds with its 95 % interval."""

    value: float
    low: float
    high: float

    @property
    def holds_one(self) -> bool:
        """Whether the two may be equally fast."""
        return self.low <= 1 <= self.high


class Verdict(Config):
    """Whether a measurement can be believed, and why."""

    outcome: Literal["CLEAN", "NOISY"]
    reasons: tuple[str, ...]


def ratio(pairs: NDArray[np.float64], control: NDArray[np.float64] | None = None) -> Ratio:
    """The median ratio of pairs of blocks, with its 95 % interval.

    Parameters
    ----------
    pairs : float64 [processes, pairs]
        Ratio of each pair of neighbouring blocks.
    control : float64 [processes, pairs], optional
        Ratios of the same loop against itself; the interval is widened, at both ends, by the
        largest deviation from 1 that the median of any process has here.

    Notes
    -----
    The bootstrap draws processes and then pairs within them, since blocks of one process share
    where its memory lies and are more alike than blocks of two. With three processes that alone
    is too narrow (about 80 % where processes differ as much as blocks do); with the widening, in
    simulation, the interval holds the truth in at least 95 %. Of one process it says nothing about
    how processes differ.
    """
    logs = np.log(pairs)
    processes, count = logs.shape
    generator = stream(0, "bench-bootstrap")
    chosen = generator.randint(processes, size=(RESAMPLES, processes, 1))
    rows = generator.randint(count, size=(RESAMPLES, processes, count))
    medians = np.median(logs[chosen, rows].reshape(RESAMPLES, -1), axis=1)
    low, high = np.percentile(medians, [2.5, 97.5])
    widening = 0.0
    if control is not None:
        widening = float(np.abs(np.median(np.log(control), axis=1)).max())
    return Ratio(
        value=float(np.exp(np.median(logs))),
        low=float(np.exp(low - widening)),
        high=float(np.exp(high + widening)),
    )


def verdict(controls: dict[str, Ratio], loads: Sequence[float | None]) -> Verdict:
    """Whether a measurement can be believed.

    Parameters
    ----------
    controls
        The loop against itself, by the clock it was timed with.
    loads
        Cores busy with other processes, during each block.
    """
    reasons = [
        f"the loop differs from itself in {clock} time: [{found.low:.3f}, {found.high:.3f}]"
        for clock, found in controls.items()
        if not found.holds_one
    ]
    known = [load for load in loads if load is not None]
    disturbed = sum(load > LOUD for load in known)
    load = f"others used more than {LOUD} cores in {disturbed} of {len(known)} blocks"
    if disturbed > DISTURBED_SHARE * len(known):
        reasons.append(load)
    if reasons:
        return Verdict(outcome="NOISY", reasons=tuple(reasons))
    quiet = load if known else "the load of others is not known (short blocks, or no /proc/stat)"
    return Verdict(outcome="CLEAN", reasons=("the loop equals itself", quiet))
