"""Successive halving: which trials are trained on, judged by those that came as far.

Asynchronous, as Li et al., A System for Massively Parallel Hyperparameter Tuning, MLSys 2020: no
trial waits for another one.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise


def rungs_below(epochs: int, first: int, reduction: int) -> tuple[int, ...]:
    """Epochs after which a trial of `epochs` is compared: `first`, times `reduction` each."""
    found = []
    while first < epochs:
        found.append(first)
        first *= reduction
    return tuple(found)


def goes_on(score: float, scores: Sequence[float], reduction: int) -> bool:
    """Whether a trial is one of the best in `reduction` of those that reached its rung.

    Parameters
    ----------
    scores
        Of all these trials, its own among them; larger is better. The best goes on, however few
        they are.
    """
    count = max(1, len(scores) // reduction)
    return score >= sorted(scores, reverse=True)[count - 1]


def expected_epochs(epochs: int, rungs: Sequence[int], trials: int, reduction: int) -> float:
    """Epochs of all trials if one in `reduction` goes on beyond each rung."""
    total, going = 0.0, float(trials)
    for before, end in pairwise((0, *rungs, epochs)):
        total += going * (end - before)
        going = max(going / reduction, 1.0)
    return total
