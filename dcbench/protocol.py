"""Protocols: versioned sets of rules, read from `baselines/` and checked.

A protocol gives every split its recipe, every method its settings there, and says which subsets and
seeds make a result. A run that departs from it in anything is `custom`.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import Field, field_validator

from dcbench.errors import UsageError, unknown
from dcbench.facts import facts_root
from dcbench.methods import Method
from dcbench.recipe import Recipe
from dcbench.validation import Facts, read_yaml, validated

QUEUE = "queue"
"""The file of `baselines/` that is no protocol: which runs come first."""


def parse_seeds(text: str | int, what: str = "seed") -> tuple[int, ...]:
    """`"0-4"`, `"0,2,5"` or `3` as seeds (or subsets, if that is `what`), in the order given.

    Raises
    ------
    UsageError
        Not numbers, a range that runs backwards, or a number given twice.
    """
    seeds: list[int] = []
    for part in str(text).split(","):
        match = re.fullmatch(r"\s*(\d+)(?:\s*-\s*(\d+))?\s*", part)
        if match is None:
            raise UsageError(f"{what}s '{text}': write a number, a range (0-9) or a list (0,2,5)")
        first, last = int(match[1]), int(match[2] or match[1])
        if last < first:
            raise UsageError(f"{what}s '{text}': the range runs backwards; write {last}-{first}")
        seeds += range(first, last + 1)
    if len(set(seeds)) != len(seeds):
        raise UsageError(f"{what}s '{text}': a {what} is given twice")
    return tuple(seeds)


class Asked(Facts):
    """The runs that make a result: every subset with every seed."""

    subsets: tuple[int, ...]
    seeds: tuple[int, ...]

    @field_validator("subsets", "seeds", mode="before")
    @classmethod
    def _range(cls, value: Any) -> Any:
        if isinstance(value, (str, int)):
            try:
                return parse_seeds(value)
            except UsageError as problem:
                raise ValueError(str(problem)) from None
        return value


class Entry(Facts):
    """How a protocol runs the splits that name this recipe."""

    asked: Asked
    training: Recipe
    methods: dict[str, dict[str, Any]] = Field({}, description="settings, where not the default")
    variants: dict[str, tuple[Any, ...]] = Field(
        {}, description="settings that may take any of these values and stay in the protocol"
    )
    sources: dict[str, str] = Field(description="where each number comes from, by key")


class Protocol(Facts):
    """The content of `baselines/<name>.yaml`."""

    name: str
    title: str
    extends: str | None = None
    optional_ood: tuple[str, ...] = Field(description="a result is whole without these sets")
    recipes: dict[str, Entry]

    def entry(self, recipe: str) -> Entry:
        """The entry that a split names."""
        if recipe not in self.recipes:
            raise unknown(f"recipe in protocol {self.name}", recipe, self.recipes)
        return self.recipes[recipe]


def protocol_names(pattern: str = "*") -> list[str]:
    """Names of the protocols, by wildcard: `v1`, `v1-lite`."""
    names = {path.stem for path in (facts_root() / "baselines").glob("*.yaml")}
    return sorted(fnmatch.filter(names - {QUEUE}, pattern))


def load_protocol(name: str) -> Protocol:
    """A protocol by name; `extends` takes over whatever is not said again."""
    if name not in protocol_names():
        raise unknown("protocol", name, protocol_names())
    path = facts_root() / "baselines" / f"{name}.yaml"
    protocol = validated(Protocol, _with_parents(path, ()), path)
    if protocol.name != name:
        raise UsageError(
            f"{path}: name='{protocol.name}': should be '{name}', as the file is called"
        )
    return protocol


def _with_parents(path: Path, children: tuple[Path, ...]) -> dict[str, Any]:
    content = read_yaml(path)
    if not isinstance(content, dict):
        raise UsageError(f"{path}: should be a mapping with name, title and recipes")
    if "extends" not in content:
        return content
    parent = path.with_name(f"{content['extends']}.yaml")
    if parent in (path, *children) or not parent.exists():
        others = [name for name in protocol_names() if name != path.stem]
        raise UsageError(f"{path}: extends={content['extends']!r}: should be one of {others}")
    return _merged(_with_parents(parent, (path, *children)), content)


def _merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    result = dict(below)
    for key, value in above.items():
        both = isinstance(value, dict) and isinstance(result.get(key), dict)
        result[key] = _merged(result[key], value) if both else value
    return result


@dataclass(frozen=True)
class Choice:
    """A method and a recipe as a run uses them, after all settings are applied.

    Attributes
    ----------
    label : str
        Name with the asked settings that differ, as in `ic-mixup[axes=class]`: the run's folder.
    departures : tuple of str
        In what the choice departs from the protocol; empty if it follows it.
    """

    method: Method
    recipe: Recipe
    label: str
    departures: tuple[str, ...]


def choose(entry: Entry, method: type[Method], asked: Mapping[str, Any]) -> Choice:
    """Apply the asked settings, of the method or of the recipe, to what the protocol gives.

    Raises
    ------
    UsageError
        A key that neither has, or a value out of its range.
    """
    shared = sorted(method.model_fields.keys() & Recipe.model_fields.keys())
    if shared:
        raise UsageError(f"method {method.name}: setting '{shared[0]}' is a recipe's; rename it")
    own = {key: value for key, value in asked.items() if key in method.model_fields}
    of_recipe = {key: value for key, value in asked.items() if key not in own}
    for key in of_recipe:
        if key not in Recipe.model_fields:
            known = [*method.model_fields, *Recipe.model_fields]
            raise unknown(f"setting of {method.name} or its recipe", key, known)
    given = entry.methods.get(method.name, {})
    chosen = validated(method, {**given, **own}, f"method {method.name}")
    training = entry.training.model_dump()
    recipe = validated(Recipe, {**training, **of_recipe}, "recipe")
    defaults = {key: field.get_default() for key, field in method.model_fields.items()}
    before = {**training, **defaults, **given}
    after = {**recipe.model_dump(), **chosen.settings}
    differing = {key: after[key] for key in sorted(asked) if after[key] != before[key]}
    pairs = [f"{key}={as_text(value)}" for key, value in differing.items()]
    return Choice(
        method=chosen,
        recipe=recipe,
        label=f"{method.name}[{','.join(pairs)}]" if pairs else method.name,
        departures=tuple(
            f"{key}={as_text(value)} instead of {as_text(before[key])}"
            for key, value in differing.items()
            if value not in entry.variants.get(key, ())
        ),
    )


def as_text(value: Any) -> str:
    """A value as it stands in a label, and so in a folder's name."""
    text = "-".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)
    return re.sub(r"[^A-Za-z0-9.+-]", "_", text)
