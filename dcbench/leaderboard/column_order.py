"""Which columns a table of rows or a summary has, and in what order."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache

from dcbench.config.image_sets import ALL_CORRUPTIONS, FURTHER_OOD, OOD_MEANS
from dcbench.leaderboard.columns import (
    COLUMNS,
    COSTS,
    LAST_COLUMNS,
    SPREAD,
    SUMMARY_COLUMNS,
    TRACK_COLUMN,
    Column,
    fixed,
    metric_kind,
)
from dcbench.metrics.metric import Metric
from dcbench.metrics.table import (
    METRICS,
    OOD_METRICS,
    OOD_SCORES,
    SHIFT_METRICS,
    is_headline_ood,
    ood_key,
    shift_key,
)
from dcbench.records.schema import Record


@cache
def ood_columns(image_set: str) -> tuple[Column, ...]:
    """The columns of an OOD set: `ood.<set>.<score>.<metric>`, empty where it was not there."""
    return tuple(
        _ood_column(image_set, score.key, metric) for score in OOD_SCORES for metric in OOD_METRICS
    )


def _ood_column(image_set: str, score: str, metric: Metric) -> Column:
    def take(record: Record) -> str:
        scores = record.metrics.ood.get(image_set) or {}
        return fixed(scores[score][metric.key]) if score in scores else ""

    name = ood_key(image_set, score, metric.key)
    meaning = f"{metric.key} of {image_set} by {score}"
    return Column(name, metric_kind(metric), meaning, take, empty=True)


def _shift_column(metric: Metric) -> Column:
    def take(record: Record) -> str:
        values = record.metrics.shift.get(ALL_CORRUPTIONS)
        return fixed(values[metric.key]) if values else ""

    name = shift_key(ALL_CORRUPTIONS, metric.key)
    return Column(name, metric_kind(metric), metric.meaning, take, empty=True)


_SHIFT_COLUMNS = tuple(map(_shift_column, SHIFT_METRICS))


_FURTHER_SETS = (*FURTHER_OOD, *OOD_MEANS)
"""What has columns only where a run has predicted it; `near` and `far` are means over sets."""


def further_columns() -> tuple[Column, ...]:
    """The columns of what is predicted after a run, in their order; a table has them by sets."""
    ood = [column for name in _FURTHER_SETS for column in ood_columns(name)]
    return (*ood, *_SHIFT_COLUMNS)


def columns_of(record: Record) -> list[Column]:
    """The columns of a record's row; of what was predicted later, those that are filled."""
    own = [name for name in record.metrics.ood if name not in _FURTHER_SETS]
    ood = [column for image_set in own for column in ood_columns(image_set)]
    later = [column for column in further_columns() if column.take(record)]
    track = [TRACK_COLUMN] if TRACK_COLUMN.take(record) else []
    return [*COLUMNS, *track, *ood, *later, *LAST_COLUMNS]


def row_names(names: Iterable[str]) -> list[str]:
    """The columns of rows in their order: all that there are now, and what else `names` has.

    The OOD sets are those of `names`, first those of the split.
    """
    names = list(names)
    first, last = ([column.name for column in part] for part in (COLUMNS, LAST_COLUMNS))
    first += [TRACK_COLUMN.name] if TRACK_COLUMN.name in names else []
    sets = dict.fromkeys(name.split(".")[1] for name in names if name.startswith("ood."))
    own = [image_set for image_set in sets if image_set not in _FURTHER_SETS]
    later = [image_set for image_set in _FURTHER_SETS if image_set in sets]
    ood = [column.name for image_set in (*own, *later) for column in ood_columns(image_set)]
    shift = [column.name for column in _SHIFT_COLUMNS if column.name in names]
    known = {*first, *ood, *shift, *last}
    others = [name for name in dict.fromkeys(names) if name not in known]
    return [*first, *ood, *shift, *others, *last]


def averaged(names: Iterable[str]) -> list[str]:
    """The metrics whose means a summary has, given the columns of the rows."""
    shift = {column.name for column in _SHIFT_COLUMNS}
    further = [name for name in names if is_headline_ood(name) or name in shift]
    return [*(metric.key for metric in METRICS), *further]


def summary_names(names: Iterable[str]) -> list[str]:
    """The columns of a summary in their order, as `row_names`."""
    names = list(names)
    *first, last = (column.name for column in SUMMARY_COLUMNS)
    first += [TRACK_COLUMN.name] if TRACK_COLUMN.name in names else []
    ood = [name.removesuffix("_mean") for name in names if name.endswith("_mean")]
    means = [f"{metric}_{kind}" for metric in averaged(ood) for kind in SPREAD]
    known = [*first, *means, *(f"{cost}_mean" for cost in COSTS)]
    others = [name for name in dict.fromkeys(names) if name not in {*known, last}]
    return [*known, *others, last]
