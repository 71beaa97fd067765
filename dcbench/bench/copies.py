"""Runs that nobody trained: `python -m dcbench.bench.copies COUNT RESULTS`.

One run a subset is trained. Each other one has its weights, its history and its predictions with
noise, and a record of its own, in which the metrics are those of its predictions: whatever reads
results cannot tell them from runs that were trained, but for `leaderboard check --predictions`,
which sees that they share their weights. What is there already stays.
"""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from dcbench.bench.many_runs import (
    PROTOCOL,
    SPLIT,
    NumberedRun,
    numbered_run,
)
from dcbench.data.source import Folder
from dcbench.draws import stream
from dcbench.methods import Method
from dcbench.metrics.measure import Predictions, measure
from dcbench.records.files import (
    HISTORY,
    WEIGHTS,
    read_predictions,
    write_predictions,
    write_record,
)
from dcbench.records.schema import Record
from dcbench.records.store import Finished, Store
from dcbench.runs.execute import execute
from dcbench.runs.plan import Plan
from dcbench.runs.session import Session
from dcbench.sweep.grid import Request, plan_of

NOISE = 0.5
"""Its least standard deviation, in logits; that of methods differs, and so do their metrics."""


class Original(NamedTuple):
    """A run that was trained, which others are copies of."""

    folder: Path
    record: Record
    predictions: Predictions


def make_runs(count: int, results: Path) -> None:
    """Fill a results folder with the first runs."""
    store = Store(results)
    session = Session(Folder(results), torch.device("cpu"))
    originals: dict[int, Original] = {}
    for number in range(count):
        run = numbered_run(number)
        plan = _plan(run)
        if run.subset not in originals:
            originals[run.subset] = _trained(plan, store, session)
        elif not isinstance(store.find(plan.identity), Finished):
            _copy(originals[run.subset], plan, store.folder(plan.identity), number)


def _trained(plan: Plan, store: Store, session: Session) -> Original:
    record = execute(plan, store, session)
    folder = store.folder(plan.identity)
    return Original(folder, record, read_predictions(folder, record))


def _copy(original: Original, plan: Plan, folder: Path, number: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name in (HISTORY, WEIGHTS):
        _link(original.folder / name, folder / name)
    predictions = _with_noise(original.predictions, number, plan.choice.method)
    write_record(folder, _record(original.record, plan, predictions, folder))


def _plan(run: NumberedRun) -> Plan:
    return plan_of(Request(run.method, SPLIT, run.subset, run.seed, PROTOCOL, "{}"))


def _link(source: Path, target: Path) -> None:
    """The same file under another name: it takes no room."""
    target.unlink(missing_ok=True)
    os.link(source, target)


def _with_noise(predictions: Predictions, number: int, method: Method) -> Predictions:
    strength = method.settings.get("alpha", 0.0) % 1
    noise = stream(number, "growth").normal(size=predictions.logits.shape)
    logits = predictions.logits + NOISE * (1 + strength) * noise
    return replace(predictions, logits=logits.astype(np.float32))


def _record(trained: Record, plan: Plan, predictions: Predictions, folder: Path) -> Record:
    metrics = measure(predictions, long_tailed=False, ood_sets=plan.split.config.ood)
    return trained.model_copy(
        update={
            **dict(plan.identity.configuration),
            "label": plan.choice.label,
            "metrics": metrics,
            "predictions": write_predictions(folder, predictions),
        }
    )


if __name__ == "__main__":
    make_runs(int(sys.argv[1]), Path(sys.argv[2]))
