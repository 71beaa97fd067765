"""The columns of a leaderboard: what each holds, and what a cell has to look like."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NamedTuple

from dcbench.records.schema import Detection

HEADLINES = (
    *("accuracy", "balanced_accuracy", "accuracy_many", "accuracy_medium", "accuracy_few"),
    *("nll", "brier", "ece15", "adaptive_ece15", "classwise_ece15"),
)
"""Metrics that a summary gives the mean of, beside AUROC by maximum probability (`msp`)."""

COSTS = {
    "train_seconds": 1,
    "evaluate_seconds": 1,
    "images_per_second": 1,
    "peak_memory_bytes": 0,
    "model_flops": 0,
    "ceiling_share": 6,
    "runs_together": 1,
}
"""Columns of cost, and the decimals that each is written with."""

SPREAD = ("mean", "sd", "ci95")


class Kind(NamedTuple):
    """What the cells of a column look like: a pattern, the largest number, and both in words."""

    pattern: str
    words: str
    largest: float | None = None

    def holds(self, cell: str) -> bool:
        """Whether a cell is of this kind."""
        whole = re.fullmatch(self.pattern, cell) is not None
        return whole and (self.largest is None or float(cell) <= self.largest)


_SIX = r"\d+\.\d{6}"
TEXT = Kind(r"(?![=+\-@\t\r ])[^\r\n]*", "text on one line that does not begin with = + - @")
WHOLE = Kind(r"\d+", "a whole number")
FRACTION = Kind(_SIX, "a fraction from 0 to 1 with six decimals", 1)
UP_TO_2 = Kind(_SIX, "a number from 0 to 2 with six decimals", 2)
POSITIVE = Kind(_SIX, "a number of 0 or more with six decimals")
TENTHS = Kind(r"\d+\.\d", "a number of 0 or more with one decimal")
SHA256 = Kind(r"[0-9a-f]{64}", "64 hexadecimal digits in lower case")
STATE = Kind("ranked|provisional", "ranked or provisional")
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
    """A column of the rows; `empty`: its cells may be empty."""

    name: str
    kind: Kind
    meaning: str
    empty: bool = False


KEYS = ("subset", "method", "seed")

COLUMNS = (
    Column("subset", WHOLE, "which draw of the training images"),
    Column("method", METHOD, "the method, with the settings that differ from the protocol's"),
    Column("seed", WHOLE, "which training run; equal seeds of two methods are paired"),
    Column("status", STATUS, "`protocol`: the run obeys the protocol in everything"),
    Column(
        "unverified_data",
        TEXT,
        "image sets whose files are not the official ones, space separated",
        empty=True,
    ),
    Column("accuracy", FRACTION, "share of the test images that are classified rightly"),
    Column("balanced_accuracy", FRACTION, "mean over the classes of the accuracy in the class"),
    *(
        Column(
            f"accuracy_{group}",
            FRACTION,
            f"accuracy over the classes with {span} training images; long-tailed splits alone",
            empty=True,
        )
        for group, span in (("many", "more than 100"), ("medium", "20 to 100"), ("few", "under 20"))
    ),
    Column("nll", POSITIVE, "mean negative log-likelihood of the labels, in nats"),
    Column("brier", UP_TO_2, "mean squared distance of the probabilities from the one-hot label"),
    Column("ece15", FRACTION, "expected calibration error in 15 bins of equal width"),
    Column("adaptive_ece15", FRACTION, "the same in 15 bins of equally many images"),
    Column("classwise_ece15", FRACTION, "the same of every class's probability, mean over classes"),
)
"""The first columns; those of the OOD sets follow, then `LAST_COLUMNS`."""

LAST_COLUMNS = (
    Column("train_seconds", TENTHS, "duration of the training"),
    Column("evaluate_seconds", TENTHS, "duration of the predictions of all test and OOD images"),
    Column("images_per_second", TENTHS, "training images over training time", empty=True),
    Column("peak_memory_bytes", WHOLE, "memory of the device; on a CPU, of the whole process"),
    Column(
        "model_flops",
        WHOLE,
        "floating-point operations of all forward and backward passes",
        empty=True,
    ),
    Column(
        "ceiling_share",
        POSITIVE,
        "model_flops a second, as a share of a large matrix product's on the device",
        empty=True,
    ),
    Column("runs_together", WHOLE, "runs that shared the device, each of them slower", empty=True),
    Column("device", TEXT, "what it ran on; costs on different devices do not compare"),
    Column("index_sha256", SHA256, "hash of the indices of the training images"),
    Column("predictions_sha256", SHA256, "hash of the stored predictions, `predictions.npz`"),
    Column("schema_version", WHOLE, "of the record that the row was made from"),
    Column("dcbench", TEXT, "version of dcbench"),
    Column("commit", COMMIT, "commit of the source tree; empty for an installed wheel", empty=True),
    Column("torch", TEXT, "version of PyTorch"),
    Column("finished", TIME, "when the run ended"),
    Column("footnote", TEXT, "what else a reader should know", empty=True),
)

SUMMARY_COLUMNS = (
    Column("subsets", Kind("0|all", "0 or all"), "which subsets' runs are counted"),
    Column("method", METHOD, "as in the rows"),
    Column("n", WHOLE, "runs that there are"),
    Column("asked", WHOLE, "runs that the protocol asks"),
    Column("state", STATE, "`ranked`: every run that the protocol asks is there"),
    Column("rank", WHOLE, "by accuracy; ties share it", empty=True),
    Column("tied", TEXT, "methods that share the rank and cannot be told apart", empty=True),
    Column("unverified_data", TEXT, "image sets that any run names so", empty=True),
)
"""The columns of a summary; the metrics and the costs stand before the last."""

SCORES = ("msp", "max_logit", "entropy", "energy")

TEXT_COLUMNS = frozenset(
    column.name
    for column in (*COLUMNS, *LAST_COLUMNS, *SUMMARY_COLUMNS)
    if column.kind not in (WHOLE, FRACTION, UP_TO_2, POSITIVE, TENTHS)
)
"""Columns of the rows or of a summary that are no numbers."""


def is_fraction(name: str) -> bool:
    """Whether a column holds fractions, which people read in percent."""
    kinds = {column.name: column.kind for column in (*COLUMNS, *LAST_COLUMNS)}
    return name.startswith("ood.") or kinds.get(name) == FRACTION


def ood_columns(image_set: str) -> tuple[Column, ...]:
    """The columns of an OOD set: `ood.<set>.<score>.<metric>`, empty where it was not there."""
    return tuple(
        Column(
            f"ood.{image_set}.{score}.{metric}",
            FRACTION,
            f"{metric} of {image_set} by {score}",
            empty=True,
        )
        for score in SCORES
        for metric in Detection.model_fields
    )
