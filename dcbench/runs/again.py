"""Recorded runs trained again, and how far the new predictions are from the old ones."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dcbench.config.names import parse_method
from dcbench.config.progress import Progress
from dcbench.config.recipe import OPEN_KEYS
from dcbench.config.tuned import SETTING
from dcbench.errors import RunError, UsageError
from dcbench.records.files import read_predictions
from dcbench.records.schema import Record
from dcbench.records.store import Store, configuration_of
from dcbench.runs.execute import execute
from dcbench.runs.plan import Plan, plan_run
from dcbench.runs.session import Session


@dataclass(frozen=True)
class Again:
    """A run beside its repetition.

    Attributes
    ----------
    title : str
        The run in a few words.
    same : bool
        Whether all predictions are equal to the bit.
    accuracy, again : float
        Of the recorded run, and of its repetition; fractions.
    equal_classes : float
        The share of test images that both put into the same class.
    tolerance : float
        How far the accuracies may be apart.
    """

    title: str
    same: bool
    accuracy: float
    again: float
    equal_classes: float
    tolerance: float

    @property
    def within(self) -> bool:
        """Whether it is the same to the bit, or its accuracy is near enough."""
        return self.same or abs(self.again - self.accuracy) <= self.tolerance


def plan_again(record: Record, method: str | None = None, network: str | None = None) -> Plan:
    """The plan of a recorded run.

    Parameters
    ----------
    method
        `FILE.py:Class`, for a method that is from a file: no record names code that is run.
    network
        The same for a network.

    Raises
    ------
    UsageError
        The method is not there, or is from a file that is not named.
    RunError
        What would be trained is another run: of other code, of another recipe.
    """
    asked: dict[str, Any] = record.settings if record.tuned is None else {SETTING: record.tuned}
    in_name = parse_method(record.label).settings
    asked = asked | {key: getattr(record.recipe, key) for key in OPEN_KEYS if key in in_name}
    if "model" in asked:
        of_a_file = record.network_sha256 is not None and record.network_package is None
        asked["model"] = _named("model", record.recipe.model, network, of_a_file)
    of_a_file = record.method_sha256 is not None and record.method_package is None
    plan = plan_run(
        _named("method", record.method, method, of_a_file),
        record.split,
        subset=record.subset,
        seed=record.seed,
        protocol=record.protocol,
        settings=asked,
    )
    difference = plan.identity.difference(configuration_of(record))
    if difference is not None:
        raise RunError(f"{plan.title}: cannot be trained again here: it was made with {difference}")
    return plan


def _named(what: str, name: str, given: str | None, of_a_file: bool) -> str:
    if not of_a_file:
        return name
    if given is None:
        raise UsageError(
            f"{what} '{name}' is from a file: read its code, which `--unpack DIR` leaves in "
            f"DIR/source, then name it with --{what} FILE.py:Class"
        )
    return given


def train_again(
    folder: Path,
    record: Record,
    plan: Plan,
    store: Store,
    session: Session,
    tolerance: float,
    progress: Progress | None = None,
) -> Again:
    """Train a run again, into another results folder, and compare the predictions.

    Parameters
    ----------
    folder
        Of the recorded run.
    store
        Where the repetition is kept; one that is there already is not trained again.

    Raises
    ------
    DcbenchError
        The run fails, or predictions are damaged; or what is in `store` is no repetition.
    """
    repeated = execute(plan, store, session, progress=progress)
    # Repetitions have other times, even where they are the same to the bit.
    if repeated.as_recorded == record.as_recorded:
        raise RunError(
            f"{store.folder(plan.identity)}: is the run itself, or a copy of it; name another "
            "folder with --rerun-results"
        )
    old = read_predictions(folder, record)
    new = read_predictions(store.folder(plan.identity), repeated)
    if old.logits.shape != new.logits.shape or not np.array_equal(old.labels, new.labels):
        raise RunError(f"{folder}: its predictions are of other test images")
    same = np.array_equal(old.logits, new.logits) and all(
        name in new.ood and np.array_equal(logits, new.ood[name])
        for name, logits in old.ood.items()
    )
    classes = old.logits.argmax(axis=1) == new.logits.argmax(axis=1)
    return Again(
        title=plan.title,
        same=same,
        accuracy=record.metrics.accuracy,
        again=repeated.metrics.accuracy,
        equal_classes=float(classes.mean()),
        tolerance=tolerance,
    )
