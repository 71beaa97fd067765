"""Protocols: versioned sets of rules, read from `baselines/` and checked.

A protocol gives every split its recipe, every method its settings there, and says which subsets and
seeds make a result. A run that departs from it in anything is `custom`. A setting of a method that
it does not list is no departure: with another value, the method is another one, under a name that
says so.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, PositiveInt, field_validator

from dcbench.config.base import Config, validated
from dcbench.config.keep import Weights
from dcbench.config.names import parse_seeds
from dcbench.config.paths import files_in, shipped_root
from dcbench.config.reading import read_yaml
from dcbench.config.recipe import Recipe
from dcbench.errors import UsageError, unknown

QUEUE = "queue"
"""The file of `baselines/` that is no protocol: which runs come first."""


class RequiredRuns(Config):
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


class Entry(Config):
    """How a protocol runs the splits that name this recipe."""

    asked: RequiredRuns
    training: Recipe
    methods: dict[str, dict[str, Any]] = Field({}, description="settings, where not the default")
    variants: dict[str, tuple[Any, ...]] = Field(
        {}, description="settings that may take any of these values and stay in the protocol"
    )
    threads: PositiveInt | Literal["cores"] = Field(
        1, description="of a run on a CPU where none are asked for; cores: all that it may use"
    )
    sources: dict[str, str] = Field(description="where each number comes from, by key")

    def allowed(self, method: str, key: str) -> tuple[Any, ...] | None:
        """The values of a recipe's field or of a method's setting that stay in the protocol.

        None for a setting that the protocol does not list: it is the method's own, part of its
        name, and may have any value.
        """
        listed = {**self.training.model_dump(mode="json"), **self.methods.get(method, {})}
        given = (listed[key],) if key in listed else ()
        return (*given, *self.variants.get(key, ())) or None


class Protocol(Config):
    """The content of `baselines/<name>.yaml`."""

    name: str
    title: str
    extends: str | None = None
    optional_ood: tuple[str, ...] = Field(description="a result is whole without these sets")
    for_cpu: str | None = Field(None, description="the protocol to take where there is no GPU")
    weights: Weights = Field("keep", description="of a finished run; no number depends on it")
    recipes: dict[str, Entry]

    def entry(self, recipe: str) -> Entry:
        """The entry that a split names."""
        if recipe not in self.recipes:
            raise unknown(f"recipe in protocol {self.name}", recipe, self.recipes)
        return self.recipes[recipe]


def protocol_names(pattern: str = "*") -> list[str]:
    """Names of the protocols, by wildcard: `v1`, `v1-lite`."""
    names = {path.stem for path in files_in(shipped_root() / "baselines", "*.yaml")}
    return sorted(fnmatch.filter(names - {QUEUE}, pattern))


def recipe_names() -> list[str]:
    """Names of the recipes that any protocol has for splits."""
    return sorted({recipe for name in protocol_names() for recipe in load_protocol(name).recipes})


def load_protocol(name: str) -> Protocol:
    """A protocol by name; `extends` takes over whatever is not said again."""
    if name not in protocol_names():
        raise unknown("protocol", name, protocol_names())
    path = shipped_root() / "baselines" / f"{name}.yaml"
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
    named, others = content["extends"], [name for name in protocol_names() if name != path.stem]
    parent = path.with_name(f"{named}.yaml") if named in others else path
    if parent in (path, *children):
        raise UsageError(f"{path}: extends={named!r}: should be one of {others}")
    return _merged(_with_parents(parent, (path, *children)), content)


def _merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    result = dict(below)
    for key, value in above.items():
        both = isinstance(value, dict) and isinstance(result.get(key), dict)
        result[key] = _merged(result[key], value) if both else value
    return result
