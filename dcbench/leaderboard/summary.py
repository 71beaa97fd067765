"""Means over runs, with their spread: one row a method."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy import stats

from dcbench.protocol import Asked

HEADLINES = (
    *("accuracy", "balanced_accuracy", "accuracy_many", "accuracy_medium", "accuracy_few"),
    *("nll", "brier", "ece15", "adaptive_ece15", "classwise_ece15"),
)
SPREAD = ("mean", "sd", "ci95")


def half_width_95(values: Sequence[float]) -> float:
    """Half of the 95 % interval of the mean by Student's t; NaN for fewer than two values."""
    if len(values) < 2:
        return math.nan
    error = float(np.std(values, ddof=1)) / math.sqrt(len(values))
    return float(stats.t.ppf(0.975, len(values) - 1)) * error


def summarise(rows: pd.DataFrame, asked: Asked) -> pd.DataFrame:
    """Mean, standard deviation (ddof = 1) and 95 % interval of each headline metric.

    Parameters
    ----------
    rows
        One row a run, metrics as numbers.
    asked
        The runs that the protocol asks of a method.

    Returns
    -------
    DataFrame
        One row for each method over subset 0, and one over all subsets where there are others.
    """
    columns = [*HEADLINES, *(name for name in rows.columns if name.endswith(".msp.auroc"))]
    groups = [("0", rows[rows["subset"] == 0])]
    if (rows["subset"] != 0).any():
        groups.append(("all", rows))
    table = []
    for title, group in groups:
        for method, runs in group.groupby("method", sort=True):
            row: dict[str, object] = {"subsets": title, "method": method, "n": len(runs)}
            row["asked"] = len(asked.seeds) * (1 if title == "0" else len(asked.subsets))
            for column in columns:
                row.update(_spread(column, runs[column].dropna().tolist()))
            table.append(row)
    return pd.DataFrame(table)


def _spread(column: str, values: list[float]) -> dict[str, float]:
    mean = float(np.mean(values)) if values else math.nan
    deviation = float(np.std(values, ddof=1)) if len(values) > 1 else math.nan
    return {
        f"{column}_mean": mean,
        f"{column}_sd": deviation,
        f"{column}_ci95": half_width_95(values),
    }
