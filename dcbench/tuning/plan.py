"""What a search is: all that its trials share, checked before the first of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from dcbench.config.names import parse_method
from dcbench.config.tuned import SETTING, TUNABLE, as_found, space_sha256
from dcbench.errors import UsageError, unknown
from dcbench.methods import method_class
from dcbench.runs.plan import Plan, plan_run
from dcbench.tuning.halving import rungs_below
from dcbench.tuning.space import Space, find_preset, search_space

FOLDER = "tuning"
"""Under a results folder: where searches lie, each at the address of its method's run."""

Sampler = Literal["random", "tpe"]


@dataclass(frozen=True)
class Search:
    """A search for the settings of a method on a split.

    Attributes
    ----------
    method : str
        With the settings in brackets that are not searched.
    trials : int
        How many settings are tried, by all processes together.
    epochs : int
        Of a trial that is not stopped.
    first_rung, reduction : int
        Epochs after which trials are first compared; one in `reduction` goes on.
    seed : int
        Of what is tried, and of the training of each trial.
    """

    method: str
    split: str
    subset: int
    protocol: str
    seed: int
    trials: int
    epochs: int
    first_rung: int
    reduction: int
    sampler: Sampler
    space: Space

    def plan(self, values: Mapping[str, Any]) -> Plan:
        """The run of a trial: on the training part alone."""
        return plan_run(
            self.method,
            self.split,
            subset=self.subset,
            seed=self.seed,
            protocol=self.protocol,
            settings={**values, "epochs": self.epochs, "fit": "train"},
        )

    @property
    def rungs(self) -> tuple[int, ...]:
        """Epochs after which trials are compared."""
        return rungs_below(self.epochs, self.first_rung, self.reduction)

    @property
    def folder(self) -> Path:
        """Where its study lies under a results folder."""
        asked = plan_run(
            *(self.method, self.split),
            subset=self.subset,
            seed=self.seed,
            protocol=self.protocol,
        )
        return Path(FOLDER) / asked.folder

    @property
    def facts(self) -> dict[str, Any]:
        """What has to be the same whenever the search goes on."""
        return {
            "epochs": self.epochs,
            "first_rung": self.first_rung,
            "reduction": self.reduction,
            "sampler": self.sampler,
            "space_sha256": space_sha256(self.space),
            **self.plan({}).identity.configuration.model_dump(mode="json"),
        }


def plan_search(
    method: str,
    split: str,
    *,
    subset: int = 0,
    protocol: str = "v1",
    seed: int = 0,
    preset: str = "default",
    trials: int | None = None,
    epochs: int | None = None,
    first_rung: int | None = None,
    reduction: int | None = None,
    sampler: str = "random",
    ranges: Sequence[str] = (),
) -> Search:
    """Look everything up that a search needs, and check it; parameters as for `Search`.

    Parameters
    ----------
    ranges
        Instead of the preset's and the method's, as `alpha=0.1..2` or `batch_size=[10,25]`.

    Raises
    ------
    UsageError
        An unknown name or key, a range that holds a value the method or the recipe cannot have, or
        nothing to search.
    """
    spec, chosen = parse_method(method), find_preset(preset)
    if sampler not in get_args(Sampler):
        raise unknown("sampler", sampler, get_args(Sampler))
    found = method_class(spec.name)
    for key in spec.settings:
        if key not in found.model_fields or key == SETTING:
            raise unknown(f"setting of {found.name}", key, found.model_fields)
    asked = plan_run(method, split, subset=subset, seed=seed, protocol=protocol)
    recipe = asked.choice.recipe
    space = search_space(found, recipe, chosen, fixed=spec.settings, changes=ranges)
    if not space:
        raise UsageError(f"method {method}: there is nothing to search; give a --range")
    whole = epochs or recipe.epochs
    search = Search(
        method=method,
        split=split,
        subset=subset,
        protocol=protocol,
        seed=seed,
        trials=trials or chosen.trials,
        epochs=whole,
        first_rung=first_rung or max(1, round(whole * chosen.first_rung)),
        reduction=reduction or chosen.reduction,
        sampler=sampler,  # type: ignore[arg-type]
        space=space,
    )
    _check_bounds(search)
    return search


def _check_bounds(search: Search) -> None:
    """Plan a run at each bound and choice, so that no trial finds out that there is none."""
    for key, range_ in search.space.items():
        for value in range_.choices or (range_.low, range_.high):
            whole = int(value) if range_.integer and value is not None else value
            try:
                search.plan({key: whole})
            except UsageError as problem:
                raise UsageError(f"range of {key}, {range_}: {problem}") from None


def split_values(
    search: Search, values: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The values of a trial, and what the method's name fixed: of the method, and of the recipe."""
    of_recipe = {key: value for key, value in values.items() if key in TUNABLE}
    own = {key: value for key, value in values.items() if key not in TUNABLE}
    return {**parse_method(search.method).settings, **own}, of_recipe


def rounded(search: Search, drawn: Mapping[str, Any]) -> dict[str, Any]:
    """What a trial is trained with: what was drawn, in four digits."""
    return {key: as_found(value, search.space[key]) for key, value in drawn.items()}
