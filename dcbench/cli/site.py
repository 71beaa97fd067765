"""Where the commands that have engines work, from their flags."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

from dcbench.config.text import duration

if TYPE_CHECKING:
    from dcbench.config.keep import Weights
    from dcbench.sweep.engines.base import Site


def site_of(
    results: Path | None,
    data: Path | None,
    device: str,
    allow_unverified: bool,
    threads: int | None,
    budget: str | None,
    weights: Weights | None = None,
    *,
    compiled: bool = False,
) -> Site:
    """The results folder, the data and the device of a command; `budget` begins now."""
    from dcbench.config.names import parse_duration
    from dcbench.config.paths import results_root
    from dcbench.data.source import open_source
    from dcbench.records.store import Store
    from dcbench.sweep.engines.base import Site

    if compiled:
        from dcbench.runs.machine import find_device
        from dcbench.training.compiled import prepare_compilation

        prepare_compilation(find_device(device))  # before any worker is started
    return Site(
        store=Store(results_root(results), weights),
        source=open_source(data, allow_unverified=allow_unverified),
        device=device,
        threads=threads,
        compiled=compiled,
        deadline=time.time() + parse_duration(budget) if budget else None,
    )


def as_workers(seconds: float, workers: int) -> str:
    """How long something takes with several workers, as the end of a sentence."""
    if workers == 1:
        return ""
    return f", or {duration(seconds / workers)} if {workers} workers are as fast together"
