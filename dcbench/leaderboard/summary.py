"""Means over runs, with their spread and the methods' ranks: one row a method."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import product

import pandas as pd

from dcbench.config.protocol import RequiredRuns
from dcbench.leaderboard.column_order import averaged
from dcbench.leaderboard.columns import COSTS, SPREAD
from dcbench.leaderboard.ranks import standings
from dcbench.leaderboard.tracks import COLUMN, by_track

RANKED, PROVISIONAL = "ranked", "provisional"


def half_width_95(values: Sequence[float]) -> float:
    """Half of the 95 % interval of the mean by Student's t; NaN for fewer than two values."""
    if len(values) < 2:
        return math.nan
    from scipy.special import stdtrit  # in here: showing a table needs no interval

    quantile = float(stdtrit(len(values) - 1, 0.975))
    return quantile * _deviation(values) / math.sqrt(len(values))


def _mean(values: Sequence[float]) -> float:
    """Mean, rounded once; NaN where a value is lacking."""
    return math.fsum(values) / len(values)


def _deviation(values: Sequence[float]) -> float:
    """Standard deviation of a sample (ddof = 1); NaN for fewer than two values."""
    if len(values) < 2:
        return math.nan
    mean = _mean(values)
    return math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1))


def summarize(rows: pd.DataFrame, asked: RequiredRuns) -> pd.DataFrame:
    """Mean, standard deviation (ddof = 1) and 95 % interval of each metric, and ranks.

    A metric or cost that a run of a method lacks has no mean for that method. A method with fewer
    runs than the protocol requires is provisional and has no rank. Each track has its own ranks.

    Parameters
    ----------
    rows
        One row a run, metrics as numbers.
    asked
        The runs that the protocol requires of a method.

    Returns
    -------
    DataFrame
        One row for each method over subset 0, and one over all subsets where there are others.
    """
    subset_0 = asked.model_copy(update={"subsets": (0,)})
    groups = [("0", rows[rows["subset"] == 0], subset_0)]
    if (rows["subset"] != 0).any():
        groups.append(("all", rows, asked))
    table = pd.DataFrame(
        [
            row
            for title, chosen, required in groups
            for track, of_track in by_track(chosen)
            for row in _of_group(title, track, of_track, required)
        ]
    )
    return table.astype({"rank": "Int64"}) if len(table) else table


def _of_group(
    title: str, track: str, rows: pd.DataFrame, asked: RequiredRuns
) -> list[dict[str, object]]:
    needed = set(product(asked.subsets, asked.seeds))
    values = rows.pivot(index=["subset", "seed"], columns="method", values="accuracy")
    whole = [str(name) for name in values if needed <= set(values[name].dropna().index)]
    ranked = standings(values.loc[values.index.isin(needed), whole])
    metrics = averaged(map(str, rows.columns))
    table = []
    for method, runs in rows.groupby("method", sort=True):
        standing = ranked.get(str(method))
        row: dict[str, object] = {"subsets": title, "method": method, "n": len(runs)}
        row["asked"] = len(needed)
        row["state"] = RANKED if standing else PROVISIONAL
        row["rank"] = standing.rank if standing else None
        row["tied"] = " ".join(standing.tied) if standing else ""
        if COLUMN in rows.columns:
            row[COLUMN] = track
        for metric in metrics:
            row.update(spread_of(metric, runs[metric].tolist()))
        row |= {f"{cost}_mean": _mean(runs[cost].tolist()) for cost in COSTS}
        names = (name for cell in runs["unverified_data"] for name in cell.split())
        row["unverified_data"] = " ".join(dict.fromkeys(names))
        table.append(row)
    return table


def spread_of(column: str, values: Sequence[float]) -> dict[str, float]:
    """Mean, standard deviation and half of the 95 % interval, under the names of a summary."""
    spread = (_mean(values), _deviation(values), half_width_95(values))
    return {f"{column}_{kind}": value for kind, value in zip(SPREAD, spread, strict=True)}
