"""How the cost grows: with training images, with seeds and with methods, in one process."""

from __future__ import annotations

import logging
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import torch

from dcbench.config.protocol import load_protocol
from dcbench.data.source import Folder
from dcbench.draws import stream
from dcbench.methods import build_method, method_names
from dcbench.records.store import Store
from dcbench.runs.execute import execute
from dcbench.runs.machine import device_title, synchronize
from dcbench.runs.plan import plan_run
from dcbench.runs.session import Session
from dcbench.training.augment import DeviceImages, normalization_statistics
from dcbench.training.trainer import Trainer

_log = logging.getLogger(__name__)

IMAGES = (500, 1000, 2000, 4000)
SEEDS = (1, 2, 4, 8)
METHODS = (1, 2, 4, 7)
PROTOCOL, SPLIT, EPOCHS = "v1-lite", "digits", 60
REPEATS = 3


@dataclass(frozen=True)
class Growth:
    """The time that amounts of one thing take.

    Attributes
    ----------
    what : str
        What there is more and more of.
    amounts : tuple of int
    seconds : tuple of float
        Of all of it together, start-up apart.
    """

    what: str
    amounts: tuple[int, ...]
    seconds: tuple[float, ...]

    @property
    def each(self) -> float:
        """Seconds of one, by a straight line through zero with the least relative squares."""
        ratios = np.array(self.seconds) / np.array(self.amounts)
        return float((ratios**2).sum() / ratios.sum())

    @property
    def deviation(self) -> float:
        """The largest relative distance of a measured time from the straight line."""
        expected = self.each * np.array(self.amounts)
        return float(np.abs(np.array(self.seconds) / expected - 1).max())


@dataclass(frozen=True)
class GrowthReport:
    """All that was measured, with where and when.

    Attributes
    ----------
    start_up : float
        Seconds that the first run of a process takes longer than those that follow.
    """

    device: str
    date: str
    growths: tuple[Growth, ...]
    start_up: float


def measure_growth(device: torch.device) -> GrowthReport:
    """Train on more and more random images, then more and more seeds and methods on `digits`."""
    images = _epochs(device)
    with tempfile.TemporaryDirectory() as folder:
        session = Session(Folder(Path(folder)), device, torch.get_num_threads())
        runs = _Runs(session, Store(Path(folder)))
        first = runs.take([("erm", 0)])
        again = runs.take([("erm", 1)])
        names = ["erm", *(name for name in method_names() if name != "erm")]
        by_seed = [[("erm", 10 * count + seed) for seed in range(count)] for count in SEEDS]
        by_method = [[(name, 100 + count) for name in names[:count]] for count in METHODS]
        growths = (
            images,
            Growth("seeds of erm", SEEDS, tuple(map(runs.take, by_seed))),
            Growth("methods", METHODS, tuple(map(runs.take, by_method))),
        )
    date = datetime.now(UTC).date().isoformat()
    return GrowthReport(device_title(device), date, growths, max(0.0, first - again))


def _epochs(device: torch.device) -> Growth:
    """Seconds of one epoch of erm by number of training images, under v1-lite's recipe."""
    recipe = load_protocol(PROTOCOL).entry("cifair10").training
    seconds = []
    for count in IMAGES:
        _log.info("an epoch of %d images", count)
        pixels = stream(0, "growth").randint(256, size=(count, 32, 32, 3), dtype=np.uint8)
        mean, std = normalization_statistics(recipe.normalization, pixels)
        on_device = DeviceImages(
            pixels,
            mean=mean,
            std=std,
            device=device,
            padding=recipe.padding,
            border=recipe.border,
        )
        labels = np.arange(count) % 10
        trainer = Trainer(on_device, labels, 10, build_method("erm", {}), recipe, seed=0)
        trainer.measure_step()
        seconds.append(min(_epoch(trainer, device) for _ in range(REPEATS)))
    return Growth("training images (an epoch)", IMAGES, tuple(seconds))


def _epoch(trainer: Trainer, device: torch.device) -> float:
    synchronize(device)
    began = time.perf_counter()
    trainer.load(0)
    for step in range(trainer.steps_per_epoch):
        trainer.train_step.advance(trainer.size_of(step))
    synchronize(device)
    return time.perf_counter() - began


class _Runs:
    """Whole runs, from plan to record, one after the other."""

    def __init__(self, session: Session, store: Store) -> None:
        self._session, self._store = session, store

    def take(self, asked: Sequence[tuple[str, int]]) -> float:
        """The seconds that runs of (method, seed) take."""
        _log.info("%d runs on %s", len(asked), SPLIT)
        began = time.perf_counter()
        for method, seed in asked:
            plan = plan_run(
                method, SPLIT, seed=seed, protocol=PROTOCOL, settings={"epochs": EPOCHS}
            )
            execute(plan, self._store, self._session)
        return time.perf_counter() - began


def markdown(report: GrowthReport) -> str:
    """The report as a Markdown table, with where and when it was measured."""
    lines = [
        f"Measured on {report.date}, {report.device}. The first run of a process takes "
        f"{report.start_up:.1f} s longer than those that follow.",
        "",
        "| | amount: seconds | seconds each | off the straight line by at most |",
        "|---|---|---|---|",
    ]
    for growth in report.growths:
        pairs = zip(growth.amounts, growth.seconds, strict=True)
        cells = ", ".join(f"{amount}: {seconds:.2f}" for amount, seconds in pairs)
        lines.append(f"| {growth.what} | {cells} | {growth.each:.4g} | {growth.deviation:.0%} |")
    return "\n".join(lines)
