"""Tuned recipes: settings that were searched for on validation images, and what the search cost.

A recipe is a YAML file that `dcbench tune` writes. A run by it records the whole of it, and stands
on a leaderboard's track `tuned(n)`, n being the number of trials.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from dcbench.config.base import Config, validated
from dcbench.config.reading import read_yaml
from dcbench.config.strict_yaml import yaml_text
from dcbench.errors import UsageError

SETTING = "tuned"
"""The setting that names a tuned recipe, and its place in a label: `erm[tuned=50-1a2b3c4d]`."""

TUNABLE = ("learning_rate", "weight_decay", "batch_size")
"""What may be searched of a protocol's recipe; the rest of it, such as epochs, is the task's."""

_DIGITS = 8


class Range(Config):
    """Where a value is searched: between two bounds, or among choices."""

    low: float | None = None
    high: float | None = None
    log: bool = Field(default=False, description="drawn evenly on a logarithmic scale")
    integer: bool = False
    choices: tuple[Any, ...] = ()

    @model_validator(mode="after")
    def _is_one_of_both(self) -> Self:
        if self.choices:
            if self.low is not None or self.high is not None:
                raise ValueError("has bounds and choices: should have one of them")
            return self
        if self.low is None or self.high is None or self.low > self.high:
            raise ValueError(f"low={self.low}, high={self.high}: should be bounds that rise")
        if self.log and self.low <= 0:
            raise ValueError(f"low={self.low}: should be above 0 on a logarithmic scale")
        return self

    def __contains__(self, value: object) -> bool:
        """Whether a value may be found here."""
        if self.choices:
            return value in self.choices
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        assert self.low is not None
        assert self.high is not None
        return number and self.low <= value <= self.high  # type: ignore[operator]

    def __str__(self) -> str:
        if self.choices:
            return " or ".join(map(str, self.choices))
        whole = " in whole numbers" if self.integer else ""
        return f"{self.low:g} to {self.high:g}{whole}{', logarithmic' if self.log else ''}"


class Budget(Config):
    """What a search has spent."""

    trials: int = Field(gt=0, description="settings that were tried")
    completed: int = Field(gt=0, description="of these, trained to the end")
    stopped: int = Field(ge=0, description="stopped early, by successive halving")
    failed: int = Field(ge=0, description="that could not be trained, such as diverged ones")
    epochs: int = Field(gt=0, description="of all trials together")
    epochs_each: int = Field(gt=0, description="of a trial that is not stopped")
    first_rung: int = Field(gt=0, description="epochs after which trials are first compared")
    reduction: int = Field(ge=2, description="one in so many goes on beyond a rung")
    seeds: tuple[int, ...] = Field(description="that each trial was trained with")
    sampler: Literal["random", "tpe"]


class Score(Config):
    """What the best trial reached on the images that were held out."""

    metric: Literal["balanced_accuracy"] = "balanced_accuracy"
    value: float = Field(ge=0, le=1)
    images: int = Field(gt=0, description="that are scored: none of the test set's")
    trial: int = Field(ge=0, description="counted from 0")


class TunedRecipe(Config):
    """The content of a tuned recipe's file."""

    method: str
    settings: dict[str, Any] = Field(description="of the method: found, or fixed by its name")
    training: dict[str, Any] = Field(description="what differs from the protocol's recipe")
    protocol: str
    split: str
    subset: int = Field(ge=0)
    index_sha256: str = Field(description="of the training images, without those scored on")
    data_sha256: str | None = Field(
        None, description="of all images and labels, where no official checksums prove them"
    )
    method_sha256: str | None = Field(
        None, description="of the method's file, if not dcbench's own"
    )
    budget: Budget
    score: Score
    space: dict[str, Range] = Field(min_length=1)
    space_sha256: str
    dcbench: str = Field(description="version")
    sha256: str = Field(default="", description="of all of the above")

    @model_validator(mode="after")
    def _is_what_was_found(self) -> Self:
        """Each value lies where it was searched, and nothing was changed since."""
        for key in self.training:
            if key not in TUNABLE or key not in self.space:
                raise ValueError(f"training.{key}: should be searched, one of {', '.join(TUNABLE)}")
        for key, range_ in self.space.items():
            values = self.settings if key in self.settings else self.training
            if values.get(key) not in range_:
                raise ValueError(f"{key}={values.get(key)!r}: should be {range_}, as space says")
        if self.space_sha256 != space_sha256(self.space):
            raise ValueError("space_sha256 is not that of space: the file was changed")
        if self.sha256 and self.sha256 != self.content_sha256():
            raise ValueError("sha256 is not that of its content: the file was changed; tune again")
        return self

    @model_serializer(mode="wrap")
    def _without_absent(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """What is None is left out: older recipes lack it, and they keep their hash."""
        return {key: value for key, value in serialize(self).items() if value is not None}

    def content_sha256(self) -> str:
        """What `sha256` should be: of all fields but itself, as JSON with sorted keys."""
        return _sha256_of(self.model_dump(mode="json", exclude={"sha256"}))

    def is_of_images(self, data_sha256: str | None) -> bool:
        """Whether it was found on these images, as far as it says: older ones say nothing."""
        return self.data_sha256 in (None, data_sha256)

    def is_of_code(self, method_sha256: str | None) -> bool:
        """Whether it was found with this code of the method, as far as it says."""
        return self.method_sha256 in (None, method_sha256)

    @property
    def name(self) -> str:
        """What a label calls it by: the number of trials, and the beginning of its hash."""
        return f"{self.budget.trials}-{self.sha256[:_DIGITS]}"

    @property
    def fixed(self) -> dict[str, Any]:
        """The method's settings that its name fixed."""
        return {key: value for key, value in self.settings.items() if key not in self.space}


def space_sha256(space: Mapping[str, Range]) -> str:
    """SHA-256 of a search space as JSON with sorted keys."""
    return _sha256_of({key: range_.model_dump(mode="json") for key, range_ in space.items()})


def _sha256_of(content: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def as_found(value: Any, range_: Range) -> Any:
    """A drawn number with four digits, so that it can be read and typed; within its bounds."""
    if range_.choices or not isinstance(value, float):
        return value
    assert range_.low is not None
    assert range_.high is not None
    places = 3 - math.floor(math.log10(abs(value))) if value else 0
    return min(max(round(value, places), range_.low), range_.high)


def tuned_recipe(value: object) -> TunedRecipe:
    """A tuned recipe by the path of its file, or by its content.

    Raises
    ------
    UsageError
        There is no such file, it is no tuned recipe, or it was changed by hand.
    """
    if isinstance(value, TunedRecipe):
        return value
    content, where = (value, "tuned recipe")
    if isinstance(value, (str, Path)):
        content, where = read_yaml(Path(value)), str(value)
    if not isinstance(content, dict) or not content.get("sha256"):
        raise UsageError(f"{where}: is no tuned recipe; `dcbench tune` writes them")
    return validated(TunedRecipe, content, where)


def recipe_text(recipe: TunedRecipe) -> str:
    """The content of a tuned recipe's file."""
    content = recipe.model_dump(mode="json")
    content["space"] = {
        key: range_.model_dump(mode="json", exclude_defaults=True)
        for key, range_ in recipe.space.items()
    }
    return (
        "# Written by `dcbench tune`: `dcbench run --recipe FILE` trains by it. Changed by hand,\n"
        "# it is refused.\n" + yaml_text(content, width=96)
    )
