"""`<protocol>/protocol.yaml`: the rules that the rows beside it obey, as they were then."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from dcbench.config.base import validated
from dcbench.config.protocol import Entry, Protocol
from dcbench.config.reading import read_yaml
from dcbench.config.recipe import OPEN_KEYS, RENAMED
from dcbench.config.strict_yaml import yaml_text
from dcbench.data.splits import split_config
from dcbench.errors import DataError
from dcbench.leaderboard.rows import Row
from dcbench.leaderboard.tracks import FURTHER, track_of
from dcbench.records.schema import Record

FROZEN = "protocol.yaml"

_NO_RULES = {"extends", "for_cpu", "weights"}
"""What no number depends on."""

_NO_RULES_OF_A_RECIPE = {"threads"}
"""How a run is carried out, which its record tells."""

Used = dict[str, set[str]]
"""The methods that a protocol's rows are of, by recipe."""


def used_by(boards: Mapping[str, Iterable[Row]]) -> Used:
    """The recipes and methods of the rows of each split."""
    used: Used = {}
    for split, rows in boards.items():
        names = {row["method"].partition("[")[0] for row in rows}
        used.setdefault(split_config(split).recipe, set()).update(names)
    return used


def freeze(protocol: Protocol, used: Used) -> Protocol:
    """The rules that these rows obey: only the recipes and the methods that are used."""
    recipes = {name: _only(protocol.entry(name), used[name]) for name in sorted(used)}
    return protocol.model_copy(update={"extends": None, "recipes": recipes})


def _only(entry: Entry, methods: set[str]) -> Entry:
    unused = entry.methods.keys() - methods
    settings = {name: entry.methods.get(name, {}) for name in sorted(methods)}
    sources = {
        key: text for key, text in entry.sources.items() if key.partition(".")[0] not in unused
    }
    return entry.model_copy(update={"methods": settings, "sources": sources})


def read_frozen(folder: Path) -> Protocol | None:
    """The frozen rules of a protocol's folder, or None where there are none yet.

    Raises
    ------
    UsageError
        The file is damaged.
    """
    path = folder / FROZEN
    return validated(Protocol, read_yaml(path), path, DataError) if path.exists() else None


def frozen_text(rules: Protocol) -> str:
    """The content of the file with the rules that the rows of a folder obey."""
    content = rules.model_dump(mode="json", exclude=_NO_RULES)
    for entry in _recipes(content):
        entry["sources"] = {RENAMED.get(key, key): text for key, text in entry["sources"].items()}
    return (
        "# The rules that the rows beside this file obey, written by `dcbench leaderboard build`.\n"
        + yaml_text(content, width=100)
    )


def changed_rules(frozen: Protocol, now: Protocol) -> list[str]:
    """Where the rules of now differ from the frozen ones, one line a key.

    Titles, sources and what is kept are no rules, and neither is what the frozen rules do not
    speak of.
    """
    gone = frozen.recipes.keys() - now.recipes.keys()
    if gone:
        return [f"recipes.{name} is no longer in the protocol" for name in sorted(gone)]
    used = {name: set(entry.methods) for name, entry in frozen.recipes.items()}
    before, after = (_rules(each) for each in (frozen, freeze(now, used)))
    return [
        f"{key}={before.get(key)!r} was frozen, now it is {after.get(key)!r}"
        for key in sorted(before.keys() | after.keys())
        if before.get(key) != after.get(key)
    ]


def _rules(protocol: Protocol) -> dict[str, Any]:
    content = protocol.model_dump(mode="json", exclude={"title", *_NO_RULES})
    for entry in _recipes(content):
        del entry["sources"]
    return _flat(content)


def _recipes(content: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The recipes of a protocol, without what is no rule."""
    for entry in content["recipes"].values():
        for key in _NO_RULES_OF_A_RECIPE:
            del entry[key]
        yield entry


def _flat(content: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in content.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def departures(record: Record, entry: Entry) -> list[str]:
    """In what the recipe and settings of a record are not those of the protocol as it is now.

    What was tuned is no departure, nor what a further track is for.
    """
    open_keys = OPEN_KEYS if track_of(record) in FURTHER else ()
    tuned = {} if record.tuned is None else {**record.tuned.settings, **record.tuned.training}
    used = {**record.recipe.model_dump(mode="json"), **record.settings}
    return [
        f"{key}={value!r} instead of {allowed[0]!r}"
        for key, value in used.items()
        if key not in tuned
        and key not in open_keys
        and (allowed := entry.allowed(record.method, key)) is not None
        and value not in allowed
    ]
