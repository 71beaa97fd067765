"""What a search tries: the ranges of a method's settings, and those of a recipe."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dcbench.config.names import shortened
from dcbench.config.recipe import Recipe
from dcbench.config.strict_yaml import YAMLTextError, parse_yaml
from dcbench.config.tuned import Range
from dcbench.errors import UsageError, unknown
from dcbench.methods import Method
from dcbench.methods.ranges import as_range, declared_ranges, searchable

Space = dict[str, Range]


@dataclass(frozen=True)
class Preset:
    """A search as somebody has described it.

    Attributes
    ----------
    ranges : mapping
        Of the recipe; None: a tenth of the protocol's value to ten times it.
    trials : int
    first_rung : float
        Share of a whole training after which trials are first compared.
    reduction : int
        One trial in so many goes on beyond a rung.
    """

    title: str
    ranges: Mapping[str, Range | None]
    trials: int
    first_rung: float
    reduction: int


_GEM_DECAY = Range(low=1e-5, high=0.1, log=True)

PRESETS = {
    "default": Preset(
        "learning rate and weight decay around the protocol's, and the method's settings",
        {"learning_rate": None, "weight_decay": None},
        trials=30,
        first_rung=1 / 9,
        reduction=3,
    ),
    # GEM (Brigato et al. 2022, arXiv 2212.12478), `scripts/hpo.py`: 250 trials, of which half go on
    # at 50, 100, 200 and 400 of 500 epochs.
    "gem": Preset(
        "as GEM searches: learning rate, weight decay, batch size, and the method's settings",
        {
            "learning_rate": Range(low=1e-4, high=0.1, log=True),
            "weight_decay": _GEM_DECAY,
            "batch_size": Range(choices=(10, 25, 50)),
        },
        trials=250,
        first_rung=1 / 10,
        reduction=2,
    ),
}


def find_preset(name: str) -> Preset:
    """A preset by name.

    Raises
    ------
    UsageError
        There is none of this name.
    """
    if name not in PRESETS:
        raise unknown("preset", name, PRESETS)
    return PRESETS[name]


def search_space(
    method: type[Method],
    recipe: Recipe,
    preset: Preset,
    *,
    fixed: Iterable[str] = (),
    changes: Sequence[str] = (),
) -> Space:
    """The ranges that a search of a method has.

    Parameters
    ----------
    recipe
        The protocol's.
    fixed
        Settings of the method that are not searched.
    changes
        Ranges instead of these, as `alpha=0.1..2` or `batch_size=[10,25]`.

    Raises
    ------
    UsageError
        A range is none, or of what is not searched.
    """
    space: Space = {}
    for key, range_ in preset.ranges.items():
        space[key] = range_ or _around(key, getattr(recipe, key))
    space |= declared_ranges(method)
    fixed, known = set(fixed), searchable(method)
    for text in changes:
        key, value = _parsed(text)
        if key not in known:
            raise unknown("setting to search", key, known)
        if key in fixed:
            raise UsageError(f"--range {key}: the method's name fixes it; leave one of them out")
        space[key] = as_range(method, key, value, f"range of {key}")
    return {key: range_ for key, range_ in space.items() if key not in fixed}


def _around(key: str, value: float) -> Range:
    """A tenth of a value to ten times it; of a weight decay of nothing, GEM's range."""
    if not value:
        return _GEM_DECAY
    return as_range(Method, key, (value / 10, value * 10), f"range of {key}")


def _parsed(text: str) -> tuple[str, tuple[float, float] | list[Any]]:
    """`alpha=0.1..2` or `batch_size=[10,25]`, or one value, which is then not searched."""
    key, equals, value = text.partition("=")
    said = f"range '{shortened(text)}'"
    if not equals or not key.strip() or not value.strip():
        raise UsageError(f"{said}: write key=low..high or key=[one,another]")
    try:
        if ".." in value:
            bounds = [parse_yaml(part) for part in value.split("..", 1)]
            if not all(type(bound) in (int, float) for bound in bounds):
                raise UsageError(f"{said}: write two numbers, as learning_rate=0.001..0.1")
            return key.strip(), (bounds[0], bounds[1])
        found = parse_yaml(value)
    except YAMLTextError as problem:
        raise UsageError(f"{said}: {problem}") from None
    return key.strip(), found if isinstance(found, list) else [found]
