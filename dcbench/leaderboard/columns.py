"""The columns of a leaderboard: what each holds, where it comes from, how a cell has to look.

A new column is one row of `COLUMNS` or `LAST_COLUMNS`; metrics have theirs from the table of
metrics.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from dcbench.leaderboard import tracks
from dcbench.leaderboard.standing import CLAIMED, CURRENT, STATES, TIERS
from dcbench.metrics.metric import Metric
from dcbench.metrics.table import METRICS, find_metric
from dcbench.records.schema import Record

SPREAD = ("mean", "sd", "ci95")


class Kind(NamedTuple):
    """What the cells of a column look like: a pattern, the largest number, and both described."""

    pattern: str
    words: str
    largest: float | None = None
    numeric: bool = False

    def holds(self, cell: str) -> bool:
        """Whether a cell is of this kind."""
        whole = re.fullmatch(self.pattern, cell, re.ASCII) is not None
        return whole and (self.largest is None or float(cell) <= self.largest)


_WHOLE = r"(0|[1-9]\d*)"
_SIX = rf"{_WHOLE}\.\d{{6}}"
TEXT = Kind(
    r"(?![=+\-@ ])[^\x00-\x1f\x7f-\x9f]*", "text on one line that does not begin with = + - @"
)
WHOLE = Kind(_WHOLE, "a whole number", numeric=True)
FRACTION = Kind(_SIX, "a fraction from 0 to 1 with six decimals", 1, numeric=True)
POSITIVE = Kind(_SIX, "a number of 0 or more with six decimals", numeric=True)
TENTHS = Kind(rf"{_WHOLE}\.\d", "a number of 0 or more with one decimal", numeric=True)
SHA256 = Kind(r"[0-9a-f]{64}", "64 hexadecimal digits in lower case")
STATE = Kind("ranked|provisional", "ranked or provisional")
KEY = Kind(_WHOLE, "a whole number, which is a name")
TIER = Kind("|".join(TIERS), "claimed, recomputed or rerun")
ROW_STATE = Kind("|".join(STATES), "current, disputed, superseded or withdrawn")
STATUS = Kind("protocol|custom", "protocol or custom")
COMMIT = Kind(r"[0-9a-f]{40}(-dirty)?", "40 hexadecimal digits, with -dirty or without")
TIME = Kind(
    r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?([+-]\d\d:\d\d|Z)",
    "a time as 2026-11-22T23:21:21+00:00",
)
METHOD = Kind(
    r"[a-z0-9]+(-[a-z0-9]+)*(\[\w+=[\w.+-]+(,\w+=[\w.+-]+)*\])?",
    "lower-case words joined by hyphens, with settings as in ic-mixup[axes=class]",
)


@dataclass(frozen=True)
class Column:
    """A column of the rows.

    Attributes
    ----------
    take : callable
        Gives the cell of a record.
    empty : bool
        Whether a cell may be empty though others of its column are not.
    default : str
        The cell of a row that is older than the column.
    mean_decimals : int or None
        Decimals of the column's mean in a summary; None: a summary has no mean of it.
    """

    name: str
    kind: Kind
    meaning: str
    take: Callable[[Record], str]
    empty: bool = False
    mean_decimals: int | None = None
    default: str = ""


class SummaryColumn(NamedTuple):
    """A column of a summary that is no mean."""

    name: str
    kind: Kind
    meaning: str
    empty: bool = False


def fixed(value: float | None, decimals: int = 6) -> str:
    """The cell of a number, which is empty where there is none."""
    return "" if value is None else f"{value:.{decimals}f}"


def _whole(value: int | None) -> str:
    return "" if value is None else str(value)


def metric_kind(metric: Metric) -> Kind:
    """What the cells of a metric look like."""
    if metric.largest is None:
        return POSITIVE
    if metric.unit == "fraction":
        return FRACTION
    words = f"a number from 0 to {metric.largest:g} with six decimals"
    return Kind(_SIX, words, metric.largest, numeric=True)


def _metric_column(metric: Metric) -> Column:
    return Column(
        metric.key,
        metric_kind(metric),
        metric.meaning,
        lambda record: fixed(record.metrics[metric.key]),
        empty=not metric.required,
    )


KEYS = ("subset", "method", "seed")

REQUIRED = (*KEYS, "predictions_sha256")
"""Columns that every table of rows has; whatever else a table lacks is empty."""

COLUMNS = (
    Column("subset", WHOLE, "which draw of the training images", lambda r: str(r.subset)),
    Column(
        "method",
        METHOD,
        "the method, with the settings that differ from the protocol's",
        lambda r: r.label,
    ),
    Column(
        "seed",
        WHOLE,
        "which training run; equal seeds of two methods are paired",
        lambda r: str(r.seed),
    ),
    Column(
        "status",
        STATUS,
        "`protocol`: the run obeys the protocol in everything",
        lambda r: r.status,
    ),
    Column(
        "unverified_data",
        TEXT,
        "image sets whose files are not the official ones, space separated",
        lambda r: " ".join(r.unverified_data),
        empty=True,
    ),
    *map(_metric_column, METRICS),
)
"""The first columns; those of the OOD sets follow, then `LAST_COLUMNS`."""

LAST_COLUMNS = (
    Column(
        "train_seconds",
        TENTHS,
        "duration of the training",
        lambda r: fixed(r.cost.train_seconds, 1),
        mean_decimals=1,
    ),
    Column(
        "evaluate_seconds",
        TENTHS,
        "duration of the predictions of all test and OOD images",
        lambda r: fixed(r.cost.evaluate_seconds, 1),
        mean_decimals=1,
    ),
    Column(
        "images_per_second",
        TENTHS,
        "training images over training time",
        lambda r: fixed(r.cost.images_per_second, 1),
        empty=True,
        mean_decimals=1,
    ),
    Column(
        "peak_memory_bytes",
        WHOLE,
        "memory of the device; on a CPU, of the whole process",
        lambda r: _whole(r.cost.peak_memory_bytes),
        mean_decimals=0,
    ),
    Column(
        "model_flops",
        WHOLE,
        "floating-point operations of the training: three times those of its forward passes",
        lambda r: _whole(r.cost.model_flops),
        empty=True,
        mean_decimals=0,
    ),
    Column(
        "ceiling_share",
        POSITIVE,
        "model_flops a second, as a share of a large matrix product's on the device",
        lambda r: fixed(r.cost.ceiling_share),
        empty=True,
        mean_decimals=6,
    ),
    Column(
        "runs_together",
        WHOLE,
        "runs that shared the device, each of them slower",
        lambda r: _whole(r.cost.runs_together),
        empty=True,
        mean_decimals=1,
    ),
    Column(
        "device",
        TEXT,
        "what it ran on; costs on different devices do not compare",
        lambda r: r.cost.device,
    ),
    Column(
        "index_sha256",
        SHA256,
        "hash of the indices of the training images",
        lambda r: r.index_sha256,
    ),
    Column(
        "predictions_sha256",
        SHA256,
        "hash of the stored predictions: of their arrays; of older runs, of `predictions.npz`",
        lambda r: r.predictions.recorded_sha256,
    ),
    Column(
        "schema_version",
        WHOLE,
        "of the record that the row was made from",
        lambda r: str(r.schema_version),
    ),
    Column(
        "numerics",
        KEY,
        "runs of equal numerics with equal PyTorch on one machine are comparable to the bit; "
        "empty: older than the column",
        lambda r: _whole(r.numerics),
        empty=True,
    ),
    Column("dcbench", TEXT, "version of dcbench", lambda r: str(r.environment.get("dcbench", ""))),
    Column(
        "commit",
        COMMIT,
        "commit of the source tree; empty for an installed wheel",
        lambda r: str(r.environment.get("commit") or ""),
        empty=True,
    ),
    Column("torch", TEXT, "version of PyTorch", lambda r: str(r.environment.get("torch", ""))),
    Column("finished", TIME, "when the run ended", lambda r: r.finished),
    # Of the row and not of its record: the changelog says these, and whoever builds the footnote.
    Column(
        "tier",
        TIER,
        "the evidence: `claimed`: the row alone; `recomputed`: its predictions were given and "
        "give its metrics; `rerun`: the run was also trained again on another machine, with a "
        "difference within the spread between machines",
        lambda r: CLAIMED,
        default=CLAIMED,
    ),
    Column(
        "state",
        ROW_STATE,
        "`current`; `disputed`: somebody doubts it; `superseded`, `withdrawn`: kept apart in "
        "`retired/`, it does not count",
        lambda r: CURRENT,
        default=CURRENT,
    ),
    Column("footnote", TEXT, "what else a reader should know", lambda r: "", empty=True),
)

TRACK_COLUMN = Column(
    tracks.COLUMN,
    Kind(tracks.PATTERN, "default, tuned(n) after a search of n trials, open, or extra-data"),
    "`tuned(n)`: by settings that a search of n trials has found; the protocol's where it is empty",
    tracks.track_of,
    empty=True,
)
"""Behind the keys; it is there once a run is tuned."""

SUMMARY_COLUMNS = (
    SummaryColumn("subsets", Kind("0|all", "0 or all"), "which subsets' runs are counted"),
    SummaryColumn("method", METHOD, "as in the rows"),
    SummaryColumn("n", WHOLE, "runs that there are"),
    SummaryColumn("asked", WHOLE, "runs that the protocol requires"),
    SummaryColumn("state", STATE, "`ranked`: every run that the protocol requires is there"),
    SummaryColumn("rank", WHOLE, "by accuracy; ties share it", empty=True),
    SummaryColumn(
        "tied",
        TEXT,
        "methods that share the rank and are not significantly different",
        empty=True,
    ),
    SummaryColumn("unverified_data", TEXT, "image sets that any run names so", empty=True),
)
"""The columns of a summary; the metrics and the costs stand before the last."""

COSTS = {
    column.name: column.mean_decimals for column in LAST_COLUMNS if column.mean_decimals is not None
}
"""Columns of cost, and the decimals that each mean is written with."""

_KINDS: dict[str, Kind] = {
    **{column.name: column.kind for column in (*COLUMNS, TRACK_COLUMN, *LAST_COLUMNS)},
    **{column.name: column.kind for column in SUMMARY_COLUMNS},
}

OF_THE_ROW = ("tier", "state", "footnote")
"""Columns that no record knows."""

DEFAULTS = {column.name: column.default for column in LAST_COLUMNS if column.default}
"""The cells of rows that are older than the column."""

TEXT_COLUMNS = frozenset(name for name, kind in _KINDS.items() if not kind.numeric)
"""Columns of the rows or of a summary that are no numbers."""


def is_known(name: str) -> bool:
    """Whether a column of rows or of a summary is one of this version's."""
    base = next((name.removesuffix(f"_{kind}") for kind in SPREAD if name.endswith(f"_{kind}")), "")
    mean = base in COSTS or find_metric(base) is not None
    return name in _KINDS or find_metric(name) is not None or mean
