"""`leaderboard/README.md`: what the files and their columns hold, from the code's own words."""

from __future__ import annotations

from collections.abc import Iterable

from dcbench.config.image_sets import ALL_CORRUPTIONS, FAR, FURTHER_OOD, NEAR
from dcbench.leaderboard.columns import (
    COLUMNS,
    COSTS,
    FRACTION,
    KEYS,
    LAST_COLUMNS,
    SUMMARY_COLUMNS,
    TRACK_COLUMN,
    Column,
    SummaryColumn,
)
from dcbench.metrics.metric import Metric
from dcbench.metrics.table import (
    METRICS,
    OOD_METRICS,
    OOD_SCORES,
    SHIFT_METRICS,
    OodScore,
    ood_key,
    shift_key,
)

_FILES = f"""# Leaderboards

Written by `dcbench leaderboard build`, checked by `dcbench leaderboard check`, never edited by hand
(but for `CHANGELOG.md`).

| file | holds |
|---|---|
| `<protocol>/runs/<split>.csv` | one row a run, sorted by {", ".join(f"`{key}`" for key in KEYS)} |
| `<protocol>/<split>.csv` | one row a method, over subset 0 and over all subsets |
| `<protocol>/retired/<split>.csv` | rows that count no more: superseded, withdrawn |
| `<protocol>/protocol.yaml` | the rules that the rows obey; another rule is another protocol |
| `CHANGELOG.md` | what became of rows, when and why |

CSV in UTF-8, lines end with a line feed. Metrics are fractions, not percent. An empty cell: it does
not apply, was not measured, or the row is older than the column. After an update of dcbench,
`dcbench leaderboard migrate` adds the new columns.
"""

_RANKS = """
A method has a rank once it has every run that the protocol requires (`state` is `ranked`); until
then it is `provisional`. Runs of two methods are paired by subset and seed, and a paired t-test
compares their accuracies; Holm's correction is over all pairs of ranked methods, so that choosing
the best by its mean does no harm. The method with the largest mean has rank 1, and all that are not
significantly different from it (corrected p of 0.05 or more) share the rank; then the rest in the
same way. `tied` are the methods of the same rank from which it is not significantly different. All
runs share the test set, and those of a subset its images: what is compared is training on these
images, not on new draws of them. Each track has ranks and tests of its own: what was tuned is
ranked neither with what was not, nor with another number of trials, nor another network or
augmentation (`open`) or further images (`extra-data`) with anything else.
"""


def readme() -> str:
    """The text of `leaderboard/README.md`."""
    ood = (
        f"| `ood.<set>.<score>.<metric>` | {FRACTION.words} | {_names(OOD_METRICS)} of an OOD set "
        f"by the scores {_names(OOD_SCORES)}; empty: the set was not there |"
    )
    further = [
        f"| `ood.<set>.…` of {_listed(FURTHER_OOD)}; `ood.{NEAR}.…`, `ood.{FAR}.…` | "
        f"{FRACTION.words}, or empty | the same of sets that `dcbench predict` adds, and the means "
        "over OpenOOD's near and far sets; the columns are there once a run has them |",
        f"| `{shift_key(ALL_CORRUPTIONS, '<metric>')}` | as the metric's | "
        f"{_names(SHIFT_METRICS)} on the fifteen common corruptions, mean over all at five "
        "severities; as above |",
    ]
    means = [
        f"| `<metric>_mean`, `_sd`, `_ci95` | six decimals | mean, standard deviation (n − 1) and "
        "half-width of the 95 % interval (Student's t) over the runs of "
        f"{_names(METRICS)}, `{ood_key('<set>')}` and corruptions; empty where a run lacks the "
        "metric |",
        "| `<cost>_mean` | as in the rows | mean over the runs of "
        f"{', '.join(f'`{name}`' for name in COSTS)}; empty where a run lacks it |",
    ]
    track = (
        f"{_line(TRACK_COLUMN)[:-2]}; the column is there once a run is on a track but default |"
    )
    *first, last = map(_line, SUMMARY_COLUMNS)
    parts = [
        _FILES,
        _table(
            "Rows: `<protocol>/runs/<split>.csv`",
            [*map(_line, COLUMNS), track, ood, *further, *map(_line, LAST_COLUMNS)],
        ),
        _table("Summaries: `<protocol>/<split>.csv`", [*first, track, *means, last]),
        _RANKS,
    ]
    return "".join(parts)


def _names(rows: Iterable[Metric | OodScore]) -> str:
    return ", ".join(f"`{row.key}`" for row in rows)


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _table(title: str, lines: list[str]) -> str:
    return "\n".join(
        ["", f"## {title}", "", "| column | cell | meaning |", "|---|---|---|", *lines, ""]
    )


def _line(column: Column | SummaryColumn) -> str:
    words = f"{column.kind.words}, or empty" if column.empty else column.kind.words
    return f"| `{column.name}` | {words} | {column.meaning} |"
