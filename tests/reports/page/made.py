"""Boards made for the tests of the page; their numbers are of no training."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from dcbench.config.base import validated
from dcbench.leaderboard.boards import Board
from dcbench.metrics.table import METRICS
from dcbench.reports.reported import Reported

KEYS = tuple(metric.key for metric in METRICS)

HOSTILE = "<script>alert(1)</script>"
OOD = tuple(f"ood.{name}.msp.auroc" for name in ("cifar100", "mnist", "svhn", "gaussian"))


def digest(method: str, subset: int, seed: int) -> str:
    """The hash of the predictions of a made run."""
    return hashlib.sha256(f"{method} {subset} {seed}".encode()).hexdigest()


def run(method: str, subset: int, seed: int, accuracy: float, **others: Any) -> dict[str, Any]:
    """A row of a run: all metrics follow the accuracy, so that orders are known."""
    metrics: dict[str, Any] = dict.fromkeys((*KEYS, *OOD), accuracy)
    metrics |= dict.fromkeys(("accuracy_many", "accuracy_medium", "accuracy_few"))
    metrics |= {"ece15": 1 - accuracy, "nll": 2 - accuracy, "ood.svhn.msp.auroc": None}
    row = {"subset": subset, "method": method, "seed": seed, "status": "protocol"}
    row |= {"unverified_data": "", **metrics, "train_seconds": 1000 * accuracy}
    row |= {"device": "made", "predictions_sha256": digest(method, subset, seed), "footnote": ""}
    return row | others


def board(
    accuracies: Mapping[str, Sequence[float]],
    ranks: Mapping[str, int],
    tied: Mapping[str, str] | None = None,
    *,
    split: str = "cifair10-common",
    protocol: str = "v1-lite",
    asked: int = 3,
) -> Board:
    """A board of subset 0 with a run for each accuracy; a method without a rank is provisional."""
    runs = pd.DataFrame(
        run(method, 0, seed, value)
        for method, values in accuracies.items()
        for seed, value in enumerate(values)
    )
    rows = []
    for method, own in runs.groupby("method", sort=True):
        name = str(method)
        row: dict[str, Any] = {"subsets": "0", "method": name, "n": len(own), "asked": asked}
        row["state"] = "ranked" if name in ranks else "provisional"
        row |= {"rank": ranks.get(name), "tied": (tied or {}).get(name, "")}
        for metric in (*KEYS, *OOD):
            row[f"{metric}_mean"] = own[metric].mean()
            row[f"{metric}_sd"] = own[metric].std()
            row[f"{metric}_ci95"] = 2 * own[metric].std()
        row |= {"train_seconds_mean": own["train_seconds"].mean(), "unverified_data": ""}
        rows.append(row)
    summary = pd.DataFrame(rows).astype({"rank": "Int64"})
    return Board(protocol, split, runs, summary)


def two_boards() -> list[Board]:
    """One with a shared rank, a method with two runs and a hostile name; one of another protocol.

    Accuracies in percent by seed: erm 9.5, 10, 10.5; mixup 52, 53, 54; ic-mixup 54, 54, 55.5;
    remix 60, 61; the hostile name 30, 31, 32.
    """
    first = board(
        {
            "erm": (0.095, 0.10, 0.105),
            "mixup": (0.52, 0.53, 0.54),
            "ic-mixup": (0.54, 0.54, 0.555),
            "remix": (0.60, 0.61),
            HOSTILE: (0.30, 0.31, 0.32),
        },
        {"ic-mixup": 1, "mixup": 1, HOSTILE: 3, "erm": 4},
        {"ic-mixup": "mixup", "mixup": "ic-mixup"},
    )
    second = board({"erm": (0.5, 0.6)}, {}, split="digits", protocol="v1")
    return [first, second]


def reported(method: str, value: float | None, **others: Any) -> Reported:
    """A published accuracy of the first board's split."""
    facts: dict[str, Any] = {
        "table": "made",
        "split": "cifair10-common",
        "subsets": "0 1",
        "method": method,
    }
    facts |= {"metric": "accuracy", "value": "" if value is None else value}
    facts |= {"averaged": "", "recipe_differs": "yes", "source": "Made 2020", "note": "by hand"}
    facts |= {"url": "https://example.org/a?b=1&c=2", **others}
    return validated(Reported, facts, "made")
