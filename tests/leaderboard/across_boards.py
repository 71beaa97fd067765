"""Boards of several splits, made for the tests of what is said across them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from dcbench.leaderboard.boards import Board


def board(split: str, accuracies: Mapping[str, Mapping[tuple[int, int], float]]) -> Board:
    """A board from the accuracy of each method by subset and seed; ECE is 1 less accuracy."""
    rows = [
        {"subset": subset, "method": method, "seed": seed, "accuracy": value, "ece15": 1 - value}
        for method, runs in accuracies.items()
        for (subset, seed), value in runs.items()
    ]
    return Board("v1", split, pd.DataFrame(rows), pd.DataFrame())


def boards(accuracies: Mapping[str, Mapping[str, Sequence[float]]]) -> list[Board]:
    """A board a split, from the accuracies of each method by seed."""
    return [
        board(
            split,
            {
                method: {(0, seed): value for seed, value in enumerate(values)}
                for method, values in methods.items()
            },
        )
        for split, methods in accuracies.items()
    ]


def single_runs(accuracies: Mapping[str, Sequence[float]]) -> list[Board]:
    """Boards `u`, `v`, `w` … of one run a method, from the accuracies of each method by split."""
    count = len(next(iter(accuracies.values())))
    return boards(
        {
            chr(ord("u") + number) if count <= 5 else f"s{number}": {
                method: (values[number],) for method, values in accuracies.items()
            }
            for number in range(count)
        }
    )
