"""Rows of what is fitted after training: tables of their own, never of a leaderboard's."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from dcbench.metrics.measure import flatten
from dcbench.metrics.table import METRICS, OOD_METRICS
from dcbench.records.posthoc import Ensemble, Posthoc, read_ensembles, read_posthoc
from dcbench.records.schema import Record
from dcbench.records.store import find_records

PosthocRow = dict[str, str | int | float | None]

KEYS = ("protocol", "split", "subset", "method", "seed", "posthoc")
"""What a row is of; the seeds of an ensemble stand side by side, and `posthoc` is `ensemble`."""


def posthoc_rows(results: Path) -> list[PosthocRow]:
    """A row for each detector, adjustment and ensemble under a results folder.

    Of a detector, `ood.<set>.<metric>`; of adjusted logits and of an ensemble, the metrics of a
    leaderboard's rows by the same names. A number that does not apply is None, or absent.

    Raises
    ------
    DataError
        A file is damaged.
    """
    rows = [
        _row(record, each)
        for path, record in find_records(results)
        for each in read_posthoc(path.parent, record)
    ]
    return rows + [_ensemble_row(each) for _, each in read_ensembles(results)]


def _row(record: Record, found: Posthoc) -> PosthocRow:
    keys = (record.protocol, record.split, record.subset, record.label, record.seed, found.name)
    values: PosthocRow = dict(zip(KEYS, keys, strict=True))
    if found.metrics is not None:
        values |= flatten(found.metrics)
    for name, scores in found.ood.items():
        values |= {f"ood.{name}.{metric.key}": scores[metric.key] for metric in OOD_METRICS}
    return values


def _ensemble_row(found: Ensemble) -> PosthocRow:
    seeds = " ".join(map(str, found.seeds))
    keys = (found.protocol, found.split, found.subset, found.label, seeds, "ensemble")
    return {**dict(zip(KEYS, keys, strict=True)), **flatten(found.metrics)}


def column_names(rows: list[PosthocRow]) -> list[str]:
    """The columns of a table of rows: keys, metrics in the order of the table, then OOD sets."""
    metrics = [metric.key for metric in METRICS]
    there = dict.fromkeys(name for row in rows for name in row)
    return [*KEYS, *(name for name in metrics if name in there), *_others(there, metrics)]


def _others(there: dict[str, None], metrics: list[str]) -> Iterator[str]:
    return (name for name in there if name not in KEYS and name not in metrics)
