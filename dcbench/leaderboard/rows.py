"""A record as a row of a leaderboard: keys first, then metrics in fractions, then provenance."""

from __future__ import annotations

from collections.abc import Iterable

from dcbench.leaderboard.columns import COLUMNS, LAST_COLUMNS, SCORES
from dcbench.metrics.measure import flatten
from dcbench.records.schema import Detection, Record

Row = dict[str, str]
"""Every cell as it stands in the CSV."""

Key = tuple[int, str, int]
"""Subset, method and seed of a row."""


def row_of(record: Record, footnote: str = "") -> Row:
    """The row of a record; a metric or a cost that is not there is an empty cell."""
    metrics = {key: _fixed(value) for key, value in flatten(_with_all_scores(record)).items()}
    cost = record.cost
    return {
        "subset": str(record.subset),
        "method": record.label,
        "seed": str(record.seed),
        "status": record.status,
        "unverified_data": " ".join(record.unverified_data),
        **metrics,
        "train_seconds": f"{cost.train_seconds:.1f}",
        "evaluate_seconds": f"{cost.evaluate_seconds:.1f}",
        "images_per_second": f"{cost.images_per_second:.1f}",
        "peak_memory_bytes": str(cost.peak_memory_bytes),
        "model_flops": "" if cost.model_flops is None else str(cost.model_flops),
        "ceiling_share": _fixed(cost.ceiling_share),
        "runs_together": str(cost.runs_together),
        "device": cost.device,
        "index_sha256": record.index_sha256,
        "predictions_sha256": record.predictions.sha256,
        "schema_version": str(record.schema_version),
        "dcbench": str(record.environment.get("dcbench", "")),
        "commit": str(record.environment.get("commit") or ""),
        "torch": str(record.environment.get("torch", "")),
        "finished": record.finished,
        "footnote": footnote,
    }


def _with_all_scores(record: Record) -> dict[str, object]:
    """The metrics with an empty cell for each number of an OOD set that was not there."""
    nothing = {score: dict.fromkeys(Detection.model_fields) for score in SCORES}
    ood = {name: scores or nothing for name, scores in record.metrics["ood"].items()}
    return {**record.metrics, "ood": ood}


def _fixed(value: float | None) -> str:
    return "" if value is None else f"{value:.6f}"


def key_of(row: Row) -> Key:
    """What a row is found by, and sorted by."""
    return int(row["subset"]), row["method"], int(row["seed"])


def run_title(key: Key) -> str:
    """A run in words."""
    subset, method, seed = key
    return f"subset {subset}, method {method}, seed {seed}"


def in_order(rows: Iterable[Row]) -> list[Row]:
    """Rows with the same columns in the order of `COLUMNS`; a cell that a row lacks is empty."""
    rows = list(rows)
    first, last = ([column.name for column in part] for part in (COLUMNS, LAST_COLUMNS))
    others = dict.fromkeys(name for row in rows for name in row if name not in {*first, *last})
    return [{name: row.get(name, "") for name in (*first, *others, *last)} for row in rows]
