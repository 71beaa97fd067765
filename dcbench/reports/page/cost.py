"""What a method's training costs beside `erm`'s on the same machine."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from dcbench.reports.absent import has_values

BASE = "erm"
FEWEST = 3
"""Runs whose fastest is taken for what a training takes on a machine that does nothing else."""


@dataclass(frozen=True)
class RelativeCost:
    """The cost of a method's training over that of `erm`.

    Attributes
    ----------
    time : float or None
        Seconds of the fastest run over those of `erm`'s fastest run on the same device, shared by
        equally many runs. None where `erm` has fewer than three runs on a device of the method's.
    at_most : bool
        The method has fewer than three runs there, which load may all have slowed; the ratio is
        then an upper bound.
    flops : float or None
        Ratio of the floating-point operations; None where either was not counted.
    """

    time: float | None
    at_most: bool
    flops: float | None

    @property
    def text(self) -> str:
        """As a table shows it: `1.9×`, `≤ 4.5×`, or a dash."""
        if self.time is None:
            return "–"
        return f"{'≤ ' * self.at_most}{self.time:.1f}×"

    @property
    def flops_text(self) -> str:
        """`2.0× FLOPs`, or nothing."""
        return "" if self.flops is None else f"{self.flops:.1f}× FLOPs"


def relative_costs(runs: pd.DataFrame) -> dict[str, RelativeCost]:
    """The cost of each method of some rows beside `erm`.

    Wall times of runs that had a machine to themselves and of others do not compare, and a mean
    says how busy the machine was; the fastest of several runs is the one that load slowed least.
    """
    timed = _timed(runs)
    counted = has_values(runs, "model_flops")
    flops = runs.groupby("method")["model_flops"].mean() if counted else pd.Series(dtype=float)
    fastest = timed.groupby(["machine", "method"])["train_seconds"].agg(["min", "size"])
    found = {}
    for method in map(str, runs["method"].unique()):
        time, at_most = _time(fastest, method)
        ratio = flops.get(method, float("nan")) / flops.get(BASE, float("nan"))
        found[method] = RelativeCost(time, at_most, None if ratio != ratio else float(ratio))
    return found


def _timed(runs: pd.DataFrame) -> pd.DataFrame:
    """Method, machine and seconds of the runs that have them: a machine is a device and a load."""
    missing = pd.Series(float("nan"), runs.index)
    device = runs.get("device", missing).astype(object).fillna("").astype(str)
    together = runs.get("runs_together", missing).fillna(1).astype(int)
    found = {
        "method": runs["method"],
        "machine": device + " " + together.astype(str),
        "train_seconds": runs.get("train_seconds", missing),
    }
    return pd.DataFrame(found).dropna(subset=["train_seconds"])


def _time(fastest: pd.DataFrame, method: str) -> tuple[float | None, bool]:
    """The ratio on the machine with most of the method's runs, and whether it is a bound."""
    best: tuple[int, float] | None = None
    for machine, name in fastest.index:
        if name != method or (machine, BASE) not in fastest.index:
            continue
        own, base = fastest.loc[(machine, method)], fastest.loc[(machine, BASE)]
        if base["size"] < FEWEST or base["min"] <= 0:
            continue
        found = (int(own["size"]), float(own["min"] / base["min"]))
        best = found if best is None or found[0] > best[0] else best
    return (None, False) if best is None else (best[1], best[0] < FEWEST)
