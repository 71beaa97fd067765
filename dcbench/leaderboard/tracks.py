"""Tracks of a leaderboard: what has to be equal for methods to be ranked together.

`default` is closed: it has the settings that a protocol gives every method. `tuned(n)` has those
that a search of n trials has found; `open` another network or augmentation; `extra-data` images
beside the split's. None is ever ranked with another, nor two budgets of tuning.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import pandas as pd

from dcbench.config.names import EXTRA, EXTRA_DEPARTURE, parse_method
from dcbench.config.recipe import OPEN_KEYS
from dcbench.config.tuned import SETTING
from dcbench.errors import UsageError
from dcbench.records.schema import Record

DEFAULT = "default"

COLUMN = "track"
"""The column of rows and summaries; it is there once a run is tuned, and empty means `default`."""

OPEN, EXTRA_DATA = "open", "extra-data"

FURTHER = (OPEN, EXTRA_DATA)
"""Tracks of runs that depart from the protocol in what the track is for, and in nothing else."""

PATTERN = rf"default|tuned\([1-9][0-9]{{0,8}}\)|{OPEN}|{EXTRA_DATA}"


def track_of(record: Record) -> str:
    """The cell of a record's row: empty on the default track."""
    said = track_of_label(record.label)
    if said in FURTHER:
        return said
    return "" if record.tuned is None else f"tuned({record.tuned.budget.trials})"


def is_taken(record: Record) -> bool:
    """Whether a custom run departs from the protocol only in what a further track is for."""
    track = track_of(record)
    return track in FURTHER and all(_belongs(each, track) for each in record.departures)


def _belongs(departure: str, track: str) -> bool:
    """Whether a departure, as a record tells it, is what a track is for."""
    if departure.startswith(EXTRA_DEPARTURE):
        return track == EXTRA_DATA
    return departure.partition("=")[0] in OPEN_KEYS


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


def _place(track: str) -> tuple[int, int]:
    number = re.search(r"[0-9]+", track)
    kinds = (DEFAULT, "tuned", *FURTHER)
    return kinds.index(track.partition("(")[0]), int(number[0]) if number else 0


def track_of_label(label: str) -> str:
    """The track that a method's label says: `tuned(50)` of `erm[tuned=50-1a2b3c4d]`."""
    try:
        settings = parse_method(label).settings
    except UsageError:
        return DEFAULT
    if EXTRA in settings:
        return EXTRA_DATA
    if not settings.keys().isdisjoint(OPEN_KEYS):
        return OPEN
    said = str(settings.get(SETTING, ""))
    return f"tuned({said.partition('-')[0]})" if said else DEFAULT


def provenance_problem(record: Record) -> str | None:
    """What is wrong with what a record says of its tuned recipe; None where nothing is.

    That the recipe was not changed since it was written is checked when a record is read.
    """
    said, recipe = track_of_label(record.label), record.tuned
    if recipe is None:
        plain = said in (DEFAULT, *FURTHER) and SETTING not in parse_method(record.label).settings
        return None if plain else f"has no tuned recipe, though its label says {said}"
    if recipe.sha256 != recipe.content_sha256():
        return "its tuned recipe has no hash of its content"
    if parse_method(record.label).settings.get(SETTING) != recipe.name:
        return f"its label should say {SETTING}={recipe.name}"
    if (record.method, record.protocol) != (recipe.method, recipe.protocol):
        return f"its recipe is of {recipe.method} under {recipe.protocol}"
    if not recipe.is_of_code(record.method_sha256):
        return f"its recipe is of other code of {recipe.method}"
    if record.subset == recipe.subset and not recipe.is_of_images(record.data_sha256):
        return f"its recipe is of other images of {recipe.split}"
    used = {**record.settings, **record.recipe.model_dump(mode="json")}
    for key, value in {**recipe.settings, **recipe.training}.items():
        if used.get(key) != value:
            return f"{key}={used.get(key)!r}, but its recipe has {value!r}"
    return None
