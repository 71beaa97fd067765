"""The rules that the runs of a board obey, as text, from the facts themselves."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from dcbench.config.protocol import Entry, Protocol, load_protocol
from dcbench.config.recipe import Recipe
from dcbench.config.text import span
from dcbench.data.catalogue import get_dataset
from dcbench.data.splits import Split, SplitConfig, load_split
from dcbench.metrics.metric import Metric
from dcbench.metrics.table import HEADLINE_SCORE
from dcbench.reports.page.columns import ood_distance, ood_title


@dataclass(frozen=True)
class Setting:
    """A number of a recipe, what it means, and where it comes from."""

    key: str
    value: str
    meaning: str
    source: str


@dataclass(frozen=True)
class Rules:
    """A protocol on a split.

    Attributes
    ----------
    title, task, required : str
        Of the protocol, of the split, and which runs make a result.
    facts : list of (str, str)
        Terms and their text: images, draws, tests, runs.
    recipe : list of Setting
        Of the training, then of the methods.
    definitions : list of (str, str)
        Metrics and what they are.
    """

    title: str
    task: str
    required: str
    facts: list[tuple[str, str]]
    recipe: list[Setting]
    definitions: list[tuple[str, str]]


def rules_of(protocol: str, split: str, shown: Iterable[Metric]) -> Rules:
    """The rules of a protocol on a split, with the definitions of the metrics that are shown."""
    rules = load_protocol(protocol)
    subset = load_split(split, 0)
    entry = rules.entry(subset.config.recipe)
    return Rules(
        title=rules.title,
        task=subset.config.title,
        required=_required(entry),
        facts=[*_images(subset, entry), *_rest(rules, entry, subset.config)],
        recipe=_recipe(entry),
        definitions=_definitions(shown),
    )


def _images(subset: Split, entry: Entry) -> list[tuple[str, str]]:
    config, counts = subset.config, subset.class_counts
    each = f"{counts[0]}" if len(set(counts)) == 1 else f"{max(counts)} to {min(counts)}"
    trained = f"{sum(counts):,} images of {get_dataset(config.dataset).title}, {each} of each class"
    if len(subset.val):
        use = "trained on too" if entry.training.fit == "trainval" else "held out"
        trained += f"; {len(subset.val):,} more for validation, {use}"
    tested = f"test set of {get_dataset(config.test.dataset).title}"
    if len(subset.excluded_test_rows):
        tested += f", without {len(subset.excluded_test_rows):,} listed images"
    rule = config.rule.model_dump()
    numbers = ", ".join(f"{key} {value}" for key, value in rule.items() if key != "kind")
    words = " ".join((type(config.rule).__doc__ or "").split("\n\n")[0].split())
    return [
        ("Training images", trained),
        ("Drawn by", f"{rule['kind']} ({numbers}). {words}"),
        ("Tested on", tested),
    ]


def _required(entry: Entry) -> str:
    subsets, seeds = entry.asked.subsets, entry.asked.seeds
    several = f"subsets {span(subsets)}" if len(subsets) > 1 else f"subset {span(subsets)}"
    return f"{several}, seeds {span(seeds)}: {len(subsets) * len(seeds)} runs of each method"


def _rest(rules: Protocol, entry: Entry, config: SplitConfig) -> list[tuple[str, str]]:
    ood = [
        f"{ood_title(name)} ({ood_distance(name)}{', optional' * (name in rules.optional_ood)})"
        for name in config.ood
    ]
    variants = [f"{key}: {_plain(values)}" for key, values in entry.variants.items()]
    return [
        ("Sets for OOD detection", f"{', '.join(ood)}; by the score {HEADLINE_SCORE}"),
        ("Runs required", _required(entry)),
        ("May be varied", "; ".join(variants) or "nothing"),
        ("Source", config.source),
        ("License", config.licence),
    ]


def _recipe(entry: Entry) -> list[Setting]:
    training = [
        Setting(key, _plain(value), _meaning(key), _from(entry, key))
        for key, value in entry.training.model_dump().items()
        if value != ()
    ]
    methods = [
        Setting(f"{method}.{key}", _plain(value), "", _from(entry, f"{method}.{key}"))
        for method, settings in entry.methods.items()
        for key, value in settings.items()
    ]
    return training + methods


def _from(entry: Entry, key: str) -> str:
    return entry.sources.get(key, "")


def _meaning(key: str) -> str:
    return (Recipe.model_fields[key].description or "").replace("`", "")


def _definitions(shown: Iterable[Metric]) -> list[tuple[str, str]]:
    """What each metric is; those that one function computes stand together."""
    titles: dict[str, list[str]] = {}
    for metric in shown:
        titles.setdefault(metric.definition, []).append(metric.title)
    return [("; ".join(dict.fromkeys(named)), text) for text, named in titles.items()]


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)
