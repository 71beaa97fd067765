"""A run before it begins: everything looked up and checked."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from dcbench.config.base import validated
from dcbench.config.names import (
    EXTRA,
    EXTRA_DEPARTURE,
    MethodSpec,
    as_text,
    parse_method,
    shortened,
)
from dcbench.config.plugins import Origin
from dcbench.config.protocol import Entry, Protocol, load_protocol
from dcbench.config.recipe import IDLE, Recipe
from dcbench.config.tuned import SETTING, TunedRecipe, tuned_recipe
from dcbench.data.catalogue import get_dataset
from dcbench.data.splits import Split, load_split
from dcbench.errors import UsageError, unknown
from dcbench.methods import Method, method_class
from dcbench.methods.failures import named
from dcbench.models import find_model, model_origin
from dcbench.models.checks import check_network
from dcbench.records.identity import Configuration, Identity


@dataclass(frozen=True, eq=False)
class Plan:
    """A run that has been checked and can begin."""

    protocol: Protocol
    split: Split
    choice: Choice
    seed: int

    @functools.cached_property
    def identity(self) -> Identity:
        """What a record or a checkpoint has to agree with to be this run's."""
        method = self.choice.method
        configuration = Configuration(
            protocol=self.protocol.name,
            split=self.split.name,
            subset=self.split.subset,
            index_sha256=self.split.index_sha256(self.choice.recipe.fit),
            method=method.name,
            settings=method.settings,
            method_sha256=method.source_sha256,
            seed=self.seed,
            recipe=self.choice.recipe,
            network_sha256=self.choice.network.sha256,
            data_sha256=self.split.data_sha256,
        )
        return Identity(configuration, self.choice.label, type(method).default_settings())

    @functools.cached_property
    def kind(self) -> str:
        """What all subsets and seeds of the plan share: what they cost follows from it."""
        return self.identity.configuration.model_dump_json(
            exclude={"subset", "index_sha256", "data_sha256", "seed"}
        )

    @property
    def folder(self) -> Path:
        """Where the run lies under a results folder."""
        return self.identity.folder

    @property
    def title(self) -> str:
        """The run in a few words."""
        split = self.split
        return f"{self.choice.label} on {split.name}, subset {split.subset}, seed {self.seed}"

    @property
    def num_images(self) -> int:
        """Number of training images."""
        return int(self.split.fitted(self.choice.recipe.fit).sum())

    @property
    def threads(self) -> int | Literal["cores"]:
        """Of a CPU, where no other number is asked for."""
        return self.protocol.entry(self.split.config.recipe).threads

    @property
    def departures(self) -> tuple[str, ...]:
        """In what the run departs from the protocol, as far as is known before it begins."""
        asked = self.protocol.entry(self.split.config.recipe).asked
        found = list(self.choice.departures)
        if self.seed not in asked.seeds:
            found.append(f"seed {self.seed} is not among those that the protocol asks")
        if self.split.subset not in asked.subsets:
            found.append(f"subset {self.split.subset} is not among those that the protocol asks")
        return tuple(found)


def plan_run(
    method: str,
    split: str,
    *,
    subset: int = 0,
    seed: int = 0,
    protocol: str = "v1",
    settings: Mapping[str, Any] | None = None,
) -> Plan:
    """Look everything up that a run needs, and check it.

    Parameters
    ----------
    settings
        Of the method or of the recipe; `tuned` is a tuned recipe, by its file or its content.

    Raises
    ------
    UsageError
        An unknown name or key, or a value out of its range; a tuned recipe of something else; a
        setting in the method's brackets that `settings` has with another value.
    RunError
        A third party's network does not do what a network has to.
    """
    spec = parse_method(method)
    rules = load_protocol(protocol)
    listed = load_split(split, subset)
    asked = with_named_model(asked_together(spec, settings or {}))
    found = method_class(spec.name)
    tuned = tuned_recipe(asked.pop(SETTING)) if SETTING in asked else None
    if tuned is not None:
        _check_tuned(tuned, found.name, listed, rules)
        _check_tuned_by(tuned, found, load_split(split, tuned.subset))
    with named(found):
        choice = choose(rules.entry(listed.config.recipe), found, asked, tuned)
    if seed < 0:
        raise UsageError(f"seed {seed}: should be 0 or more")
    image_size = get_dataset(listed.config.dataset).image_size
    check_network(choice.recipe.model, listed.num_classes, image_size)
    plan = Plan(rules, listed, choice, seed)
    if choice.recipe.batch_size > plan.num_images:
        raise UsageError(
            f"batch_size={choice.recipe.batch_size}: split {split} has only {plan.num_images} "
            "training images"
        )
    return plan


def asked_together(spec: MethodSpec, settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings in a method's brackets and those beside it.

    Raises
    ------
    UsageError
        They say different things of a key.
    """
    for key, value in spec.settings.items():
        if settings.get(key, value) != value:
            raise UsageError(
                f"{key}={shortened(str(settings[key]))} beside {spec.name}[{key}={value}]: leave "
                "one of them out"
            )
    return {**spec.settings, **settings}


def with_named_model(asked: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that are asked for, with the name of a network that is in a file."""
    model = asked.get("model")
    return {**asked, **({"model": find_model(model)} if isinstance(model, str) else {})}


def _check_tuned(tuned: TunedRecipe, method: str, split: Split, rules: Protocol) -> None:
    """Refuse a tuned recipe that is another method's, split's or protocol's."""
    lists = {split.name, split.config.subsets_of}
    wrong = [
        f"{what} {has}, not of {asked}"
        for what, has, asked, right in (
            ("method", tuned.method, method, tuned.method == method),
            ("split", tuned.split, split.name, tuned.split in lists),
            ("protocol", tuned.protocol, rules.name, tuned.protocol == rules.name),
        )
        if not right
    ]
    if wrong:
        raise UsageError(f"tuned recipe {tuned.name}: is of {' and of '.join(wrong)}")


def _check_tuned_by(tuned: TunedRecipe, method: type[Method], tuned_on: Split) -> None:
    """Refuse a tuned recipe of other images or code that have the same names."""
    other_rows = tuned.index_sha256 != tuned_on.index_sha256("train")
    if other_rows or not tuned.is_of_images(tuned_on.data_sha256):
        raise UsageError(
            f"tuned recipe {tuned.name}: is of other images of split {tuned_on.name}; tune again"
        )
    if not tuned.is_of_code(method.source_sha256):
        raise UsageError(
            f"tuned recipe {tuned.name}: is of other code of method {method.name}; tune again"
        )


@dataclass(frozen=True, eq=False)
class Choice:
    """A method and a recipe as a run uses them, after all settings are applied.

    Attributes
    ----------
    label : str
        Name with the asked settings that differ, as in `ic-mixup[axes=class]`: the method's name in
        tables, and the run's folder.
    departures : tuple of str
        In what the choice departs from the protocol; empty if it follows it.
    network : Origin
        Where the recipe's network is from, if it is not dcbench's own.
    tuned : TunedRecipe or None
        What was searched for, where the protocol's own values are not used.
    """

    method: Method
    recipe: Recipe
    label: str
    departures: tuple[str, ...]
    network: Origin
    tuned: TunedRecipe | None = None


def choose(
    entry: Entry, method: type[Method], asked: Mapping[str, Any], tuned: TunedRecipe | None = None
) -> Choice:
    """Apply the asked settings, of the method or of the recipe, to what the protocol gives.

    Raises
    ------
    UsageError
        A key that neither has, a value out of its range, or another one of a key without effect.
    """
    shared = sorted(method.model_fields.keys() & {*Recipe.model_fields, EXTRA})
    if shared:
        raise UsageError(f"method {method.name}: setting '{shared[0]}' is a recipe's; rename it")
    own = {key: value for key, value in asked.items() if key in method.model_fields}
    of_recipe = {key: value for key, value in asked.items() if key not in own}
    for key in of_recipe:
        if key not in Recipe.model_fields:
            known = [*method.model_fields, *Recipe.model_fields]
            raise unknown(f"setting of {method.name} or its recipe", key, known)
    given, training = entry.methods.get(method.name, {}), entry.training.model_dump(mode="json")
    if tuned is not None:
        _refuse_beside(tuned, own)
        given, training = {**given, **tuned.settings}, {**training, **tuned.training}
    chosen = validated(method, {**given, **own}, f"method {method.name}")
    for key, reasons in method.retired.items():
        if (value := getattr(chosen, key)) in reasons:
            raise UsageError(f"method {method.name}: {key}={value!r} is retired: {reasons[value]}")
    recipe = validated(Recipe, {**training, **of_recipe}, "recipe")
    defaults = method.default_settings()
    before = {**training, **defaults, **given}
    after = {**recipe.model_dump(mode="json"), **chosen.settings}
    differing = {
        key: after[key] for key in sorted(asked) if key not in before or after[key] != before[key]
    }
    _refuse_idle(differing, after)
    extra = {EXTRA: method.extra_data} if method.extra_data else {}
    shown = {**differing, **_of_name(tuned), **extra}
    pairs = [f"{key}={as_text(shown[key])}" for key in sorted(shown)]
    return Choice(
        method=chosen,
        recipe=recipe,
        label=f"{method.name}[{','.join(pairs)}]" if pairs else method.name,
        departures=(
            *(
                f"{key}={as_text(value)} instead of {as_text(before[key])}"
                for key, value in differing.items()
                if (allowed := entry.allowed(method.name, key)) is not None and value not in allowed
            ),
            *(f"{EXTRA_DEPARTURE}{name}" for name in extra.values()),
        ),
        network=model_origin(recipe.model),
        tuned=tuned,
    )


def _refuse_beside(tuned: TunedRecipe, own: Mapping[str, Any]) -> None:
    """A method with a tuned recipe has the settings that it was tuned with, and no others."""
    for key, value in own.items():
        if key not in tuned.settings or tuned.settings[key] != value:
            has = tuned.settings.get(key, "no such setting")
            raise UsageError(
                f"{key}={as_text(value)} beside tuned recipe {tuned.name}, which has "
                f"{has}: leave one of them out"
            )


def _refuse_idle(differing: Mapping[str, Any], after: Mapping[str, Any]) -> None:
    """A key without effect would make another run, by its name, of the same numbers."""
    for key, (other, value) in IDLE.items():
        if key in differing and after[other] == value:
            raise UsageError(f"recipe: {key} has no effect with {other}={value}: leave it out")


def _of_name(tuned: TunedRecipe | None) -> dict[str, Any]:
    """What a label says of a tuned recipe: which one it is, and what its method's name fixed."""
    return {} if tuned is None else {**tuned.fixed, SETTING: tuned.name}
