"""How far a training is, as the trainer counts it and as a checkpoint holds it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from dcbench.records.schema import EpochSummary


@dataclass
class Position:
    """How far a run is: what a checkpoint holds beside the weights.

    Attributes
    ----------
    global_draws : set of str
        The process's generators (torch, numpy, random) that the run has drawn from.
    """

    epoch: int = 0
    step: int = 0
    loss_sum: float = 0.0
    seconds: float = 0.0
    epoch_seconds: float = 0.0
    history: list[EpochSummary] = field(default_factory=list)
    stage: int = 0
    global_draws: set[str] = field(default_factory=set)

    def plain(self) -> dict[str, Any]:
        """As plain values, for a checkpoint."""
        history = [tuple(row) for row in self.history]
        return {**vars(self), "history": history, "global_draws": sorted(self.global_draws)}

    @classmethod
    def from_plain(cls, stored: Mapping[str, Any]) -> Self:
        """What `plain` gave; a field that an earlier version lacks is at its default."""
        position = cls(**stored)
        position.history = [EpochSummary(*row) for row in position.history]
        position.global_draws = set(position.global_draws)
        return position
