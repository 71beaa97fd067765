"""All leaderboards of a protocol at a glance: methods by splits, and what is missing."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import pandas as pd

from dcbench.leaderboard.boards import Board
from dcbench.leaderboard.summary import PROVISIONAL


class MethodStanding(NamedTuple):
    """What a method has on a split, over subset 0.

    Attributes
    ----------
    accuracy : float
        Mean over the runs, in [0, 1].
    n, asked : int
        Runs that there are, and that the protocol requires for a rank.
    rank : int or None
        1 where no method is significantly better; None with fewer runs than required.
    """

    split: str
    method: str
    accuracy: float
    n: int
    asked: int
    rank: int | None


def standings_of(boards: Iterable[Board]) -> list[MethodStanding]:
    """What every method has on every split of some boards."""
    return [
        MethodStanding(
            board.split,
            row["method"],
            float(row["accuracy_mean"]),
            int(row["n"]),
            int(row["asked"]),
            None if row["state"] == PROVISIONAL or pd.isna(row["rank"]) else int(row["rank"]),
        )
        for board in boards
        for row in board.summary[board.summary["subsets"] == "0"].to_dict("records")
    ]


def overview_rows(standings: Sequence[MethodStanding]) -> tuple[list[str], list[list[str]]]:
    """Column titles and rows: a method a row, a split a column.

    Those that are most often among the best come first. A star marks a method that shares the
    first rank of its split; `3/10` that three of the ten runs that a rank needs are there.
    """
    cells: dict[str, dict[str, str]] = defaultdict(dict)
    for each in standings:
        cells[each.method][each.split] = _cell(each)
    best = Counter(each.method for each in standings if each.rank == 1)
    splits = sorted({each.split for each in standings})
    methods = sorted(cells, key=lambda method: (-best[method], -len(cells[method]), method))
    rows = [[method, *(cells[method].get(split, "–") for split in splits)] for method in methods]
    return ["method", *splits], rows


def _cell(each: MethodStanding) -> str:
    mark = f" {each.n}/{each.asked}" if each.rank is None else "*" if each.rank == 1 else ""
    return f"{100 * each.accuracy:.1f}{mark}"


def sentences(
    protocol: str, standings: Sequence[MethodStanding], left_out: Iterable[str] = ()
) -> list[str]:
    """How the table is read, which splits lack runs, and which have none of subset 0."""
    absent = [f"{name}: left out: no run of subset 0, which this table is of" for name in left_out]
    if not standings:
        return absent or [
            f"{protocol}: no rows yet; `dcbench plan SPLIT --protocol {protocol}` lists its runs"
        ]
    said = []
    if any(each.rank is not None for each in standings):
        said.append(
            "* best, or not significantly different from the best; without a mark: significantly "
            "below it"
        )
    lacking = Counter(each.split for each in standings if each.rank is None)
    said += [
        f"{split}: {count} of {_methods(split, standings)} methods have too few runs for a rank"
        for split, count in sorted(lacking.items())
    ]
    return said + absent


def _methods(split: str, standings: Iterable[MethodStanding]) -> int:
    return sum(each.split == split for each in standings)
