"""Tracks of a leaderboard: runs by the protocol's settings, and runs by settings that were tuned.

`default` has the settings that a protocol gives every method; `tuned(n)` those that a search of n
trials has found. What was tuned is never ranked with what was not, nor with another budget.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import pandas as pd

from dcbench.config.names import parse_method
from dcbench.config.tuned import SETTING
from dcbench.errors import UsageError
from dcbench.records.schema import Record

DEFAULT = "default"

COLUMN = "track"
"""The column of rows and summaries; it is there once a run is tuned, and empty means `default`."""

PATTERN = r"default|tuned\([1-9][0-9]{0,8}\)"


def track_of(record: Record) -> str:
    """The cell of a record's row: empty where nothing was tuned."""
    return "" if record.tuned is None else f"tuned({record.tuned.budget.trials})"


def by_track(table: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """The rows of each track, of runs or of a summary: `default` first, then by the budget.

    Whatever ranks, tests or lists methods takes one of these at a time.
    """
    if COLUMN not in table.columns:
        yield DEFAULT, table
        return
    tracks = table[COLUMN].replace("", DEFAULT)
    for track in sorted(tracks.unique(), key=_place):
        yield track, table[tracks == track]


def _place(track: str) -> tuple[int, str]:
    number = re.search(r"[0-9]+", track)
    return (int(number[0]) if number else 0), track


def track_of_label(label: str) -> str:
    """The track that a method's label says: `tuned(50)` of `erm[tuned=50-1a2b3c4d]`."""
    try:
        said = str(parse_method(label).settings.get(SETTING, ""))
    except UsageError:
        return DEFAULT
    return f"tuned({said.partition('-')[0]})" if said else DEFAULT


def provenance_problem(record: Record) -> str | None:
    """What is wrong with what a record says of its tuned recipe; None where nothing is.

    That the recipe was not changed since it was written is checked when a record is read.
    """
    said, recipe = track_of_label(record.label), record.tuned
    if recipe is None:
        return None if said == DEFAULT else f"has no tuned recipe, though its label says {said}"
    if recipe.sha256 != recipe.content_sha256():
        return "its tuned recipe has no hash of its content"
    if parse_method(record.label).settings.get(SETTING) != recipe.name:
        return f"its label should say {SETTING}={recipe.name}"
    if (record.method, record.protocol) != (recipe.method, recipe.protocol):
        return f"its recipe is of {recipe.method} under {recipe.protocol}"
    used = {**record.settings, **record.recipe.model_dump(mode="json")}
    for key, value in {**recipe.settings, **recipe.training}.items():
        if used.get(key) != value:
            return f"{key}={used.get(key)!r}, but its recipe has {value!r}"
    return None
