"""A record as a row of a leaderboard: keys first, then metrics in fractions, then provenance."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from dcbench.evaluation import flatten
from dcbench.records import RECORD, Detection, Record, read_record

KEYS = ("subset", "method", "seed")
TEXT = (
    *("subsets", "method", "status", "unverified_data", "device", "index_sha256"),
    *("predictions_sha256", "dcbench", "commit", "torch", "finished"),
)
"""Columns of a leaderboard or its summary that are no numbers."""

Row = dict[str, str]
"""Every cell as it stands in the CSV."""


def row_of(record: Record) -> Row:
    """The row of a record; a metric that does not apply is an empty cell."""
    metrics = {key: _fixed(value) for key, value in flatten(_with_all_scores(record)).items()}
    return {
        "subset": str(record.subset),
        "method": record.label,
        "seed": str(record.seed),
        "status": record.status,
        "unverified_data": " ".join(record.unverified_data),
        **metrics,
        "train_seconds": f"{record.cost.train_seconds:.1f}",
        "evaluate_seconds": f"{record.cost.evaluate_seconds:.1f}",
        "peak_memory_bytes": str(record.cost.peak_memory_bytes),
        "device": record.cost.device,
        "index_sha256": record.index_sha256,
        "predictions_sha256": record.predictions.sha256,
        "schema_version": str(record.schema_version),
        "dcbench": str(record.environment.get("dcbench", "")),
        "commit": str(record.environment.get("commit") or ""),
        "torch": str(record.environment.get("torch", "")),
        "finished": record.finished,
    }


_SCORES = ("msp", "max_logit", "entropy", "energy")


def _with_all_scores(record: Record) -> dict[str, object]:
    """The metrics with an empty cell for each number of an OOD set that was not there."""
    nothing = {score: dict.fromkeys(Detection.model_fields) for score in _SCORES}
    ood = {name: scores or nothing for name, scores in record.metrics["ood"].items()}
    return {**record.metrics, "ood": ood}


def _fixed(value: float | None) -> str:
    return "" if value is None else f"{value:.6f}"


def find_records(results: Path) -> Iterator[tuple[Path, Record]]:
    """Every record under a results folder, in the order of their paths."""
    for path in sorted(results.rglob(RECORD)):
        yield path, read_record(path)
