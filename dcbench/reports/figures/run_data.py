"""What figures need of the stored runs of a leaderboard's rows: small, whatever the run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dcbench import metrics
from dcbench.config.reading import parse_csv
from dcbench.errors import DataError, UsageError
from dcbench.metrics.calibration import CalibrationBins
from dcbench.metrics.measure import Predictions
from dcbench.records.files import HISTORY, read_predictions, read_whole
from dcbench.records.schema import Record
from dcbench.records.store import find_records

FloatArray = NDArray[np.float64]
Key = tuple[str, str, int]
"""Hash of the predictions, name of the method in tables, seed."""

StoredRuns = Mapping[Key, tuple[Path, Record]]


@dataclass(frozen=True)
class RunData:
    """What figures show of one run.

    Attributes
    ----------
    bins : CalibrationBins
        Of the test set.
    recall : float64 [classes]
    class_counts : int64 [classes]
        Training images of each class.
    scores : float64 [N]
        Largest softmax probability (`msp`) of each test image.
    ood_scores : dict of float64 [M]
        The same for each OOD set.
    losses : float64 [epochs]
        Mean training loss of each epoch.
    """

    method: str
    bins: CalibrationBins
    recall: FloatArray
    class_counts: NDArray[np.int64]
    scores: FloatArray
    ood_scores: dict[str, FloatArray]
    losses: FloatArray


def find_runs(results: Path) -> StoredRuns:
    """The folder and the record of every stored run, by the hash of its predictions.

    Two methods may predict the same, as Mixup and Remix do on balanced classes, so the hash has
    the method and the seed beside it.
    """
    return {
        (record.predictions.recorded_sha256, record.label, record.seed): (path.parent, record)
        for path, record in find_records(results)
    }


def row_keys(rows: pd.DataFrame) -> list[Key]:
    """The keys of a leaderboard's rows."""
    return list(zip(rows["predictions_sha256"], rows["method"], rows["seed"], strict=True))


def read_runs(rows: pd.DataFrame, found: StoredRuns) -> list[RunData]:
    """The stored runs of a leaderboard's rows; those that are not there are left out.

    Raises
    ------
    DataError
        The predictions or the history of a run are missing, damaged, or make no sense.
    """
    return [_read(key[1], *found[key]) for key in row_keys(rows) if key in found]


def _read(method: str, folder: Path, record: Record) -> RunData:
    predictions = read_predictions(folder, record)
    try:
        return reduce_predictions(method, predictions, read_losses(folder / HISTORY))
    except UsageError as problem:
        raise DataError(f"{folder / record.predictions.file}: {problem}") from None


def reduce_predictions(method: str, predictions: Predictions, losses: FloatArray) -> RunData:
    """What figures show of predictions and of a history of losses."""
    logits, labels = predictions.logits, predictions.labels
    return RunData(
        method=method,
        bins=metrics.calibration_bins(metrics.softmax(logits), labels),
        recall=metrics.class_recall(logits, labels),
        class_counts=predictions.class_counts,
        scores=metrics.ood_scores(logits)["msp"],
        ood_scores={name: metrics.ood_scores(ood)["msp"] for name, ood in predictions.ood.items()},
        losses=losses,
    )


def read_losses(path: Path) -> FloatArray:
    """Mean training loss [epochs] of each epoch, from a run's history.

    Raises
    ------
    DataError
        It is missing, damaged, or no history.
    """
    header, lines = parse_csv(read_whole(path), path)
    try:
        place = header.index("loss")
        return np.array([float(line[place]) for line in lines], dtype=np.float64)
    except ValueError as problem:
        raise DataError(f"{path}: not a history of losses: {problem}") from None
