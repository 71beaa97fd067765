"""Boards of one split under two protocols, whose agreement is computed by hand."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import pandas as pd

from dcbench.config.protocol import RequiredRuns
from dcbench.leaderboard.boards import Board
from dcbench.leaderboard.columns import COSTS
from dcbench.leaderboard.summary import summarize
from dcbench.leaderboard.tables import runs_path, summary_path, write_table
from dcbench.metrics.table import METRICS

Runs = Mapping[tuple[int, int], float]


def seeds(values: Sequence[float], subset: int = 0) -> Runs:
    """Runs of a subset, by seed."""
    return {(subset, seed): value for seed, value in enumerate(values)}


def above(base: Sequence[float], *differences: float) -> Runs:
    """Runs of subset 0 that differ from others by so much, seed by seed."""
    return seeds([round(a + b, 6) for a, b in zip(base, differences, strict=False)])


def board(
    protocol: str,
    accuracies: Mapping[str, Runs],
    split: str = "cifair10-common",
    asked: str = "0-2",
    subsets: str = "0",
) -> Board:
    """A board from the accuracies of each method by subset and seed; ECE is 1 less accuracy."""
    rows = pd.DataFrame(
        {"subset": subset, "method": method, "seed": seed}
        | dict.fromkeys((metric.key for metric in METRICS), math.nan)
        | {"accuracy": value, "ece15": round(1 - value, 6)}
        | dict.fromkeys(COSTS, 1.0)
        | {"unverified_data": "", "predictions_sha256": f"{method}-{subset}-{seed}"}
        for method, runs in accuracies.items()
        for (subset, seed), value in runs.items()
    )
    required = RequiredRuns.model_validate({"subsets": subsets, "seeds": asked})
    return Board(protocol, split, rows, summarize(rows, required))


LITE_ERM, ERM = (0.49, 0.50, 0.51), (0.59, 0.60, 0.61)

LITE = board(
    "v1-lite",
    {
        "erm": seeds(LITE_ERM),
        "mixup": above(LITE_ERM, 0.01, 0.02, 0.03),
        "remix": above(LITE_ERM, 0.039, 0.040, 0.041),
        "regmixup": above(LITE_ERM, 0.029, 0.030, 0.031),
        "cutmix": above(LITE_ERM, 0.1, 0.1, 0.1),
    },
)
FULL = board(
    "v1",
    {
        "erm": seeds(ERM),
        "mixup": above(ERM, -0.019, -0.020, -0.021),
        "remix": above(ERM, 0.059, 0.060, 0.061),
        "regmixup": above(ERM, 0.0, 0.06, 0.12),
        "sam": above(ERM, 0.2, 0.2, 0.2),
    },
)
"""Means under v1-lite, v1: erm .50 .60, mixup .52 .58, regmixup .53 .66, remix .54 .66."""


def publish(folder: Path, boards: Iterable[Board]) -> Path:
    """The boards as files."""
    for each in boards:
        place = folder / each.protocol
        (place / "runs").mkdir(parents=True, exist_ok=True)
        write_table(runs_path(place, each.split), each.runs)
        write_table(summary_path(place, each.split), each.summary)
    return folder
