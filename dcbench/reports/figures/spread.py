"""Means over runs with their 95 % intervals, as figures show and describe them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pandas as pd

from dcbench.leaderboard.summary import half_width_95
from dcbench.reports.figures.palette import sorted_methods


def mean_and_half(values: npt.ArrayLike) -> tuple[float, float]:
    """Mean, and half of its 95 % interval: 0 where one run alone gives none."""
    sample = np.asarray(values, dtype=np.float64)
    half = half_width_95(sample.tolist())
    return float(sample.mean()), 0.0 if np.isnan(half) else half


def interval(values: npt.ArrayLike) -> tuple[float, float]:
    """Low and high end of the 95 % interval of the mean, as seaborn asks for it."""
    mean, half = mean_and_half(values)
    return mean - half, mean + half


def percent_texts(runs: pd.DataFrame, column: str) -> dict[str, str]:
    """The mean of a column of fractions for each method, as `52.4 ± 0.6`; one alone as `52.4`.

    Methods without a value are left out.
    """
    if column not in runs.columns:
        return {}
    there = runs.dropna(subset=column)
    return {
        method: _percent(there.loc[there["method"] == method, column])
        for method in sorted_methods(there["method"])
    }


def _percent(fractions: pd.Series[float]) -> str:
    mean, half = mean_and_half(100 * fractions)
    return f"{mean:.1f} ± {half:.1f}" if len(fractions) > 1 else f"{mean:.1f}"


def sentence_of(name: str, values: Mapping[str, str]) -> str:
    """Numbers in a sentence: `Accuracy in percent: erm 52.4 ± 0.6, mixup 53.0 ± 0.4.`."""
    return f"{name}: " + ", ".join(f"{method} {value}" for method, value in values.items()) + "."
