"""What a protocol trains, in the words that a reader needs before its numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dcbench.config.protocol import Entry, Protocol, load_protocol
from dcbench.data.splits import load_split, split_config
from dcbench.leaderboard.boards import Board
from dcbench.leaderboard.tracks import DEFAULT, EXTRA_DATA, OPEN


@dataclass(frozen=True)
class Training:
    """What is trained on a split, and, where a protocol extends another one, what that one trains.

    Attributes
    ----------
    here, there : str
        `wrn-10-1 for 20 epochs, in batches of 128`; `there` is empty where nothing differs.
    parent : str
        The protocol that is extended; empty where there is none.
    """

    here: str
    parent: str
    there: str


@dataclass(frozen=True)
class About:
    """A protocol with runs, or one that has none yet."""

    name: str
    title: str
    said: tuple[str, ...]
    empty: bool = False


def training_of(protocol: str, split: str, track: str = DEFAULT) -> Training:
    """What a protocol trains on a split; on another track, how that departs from it."""
    rules, recipe = load_protocol(protocol), split_config(split).recipe
    here = _trained(rules.entry(recipe))
    if track != DEFAULT:
        return Training(
            f"{here}, but for {_departure(track)}; each method's name says which", "", ""
        )
    parent = _parent(rules)
    there = "" if parent is None or recipe not in parent.recipes else _trained(parent.entry(recipe))
    return Training(here, "" if parent is None else parent.name, "" if there == here else there)


def _departure(track: str) -> str:
    """What methods of a track other than the default one do otherwise."""
    return {OPEN: "the network or augmentation", EXTRA_DATA: "images beside the split's"}.get(
        track, "settings that a search has found"
    )


def about_protocols(boards: Sequence[Board]) -> list[About]:
    """The protocols of some boards, and those that they extend and that have no board here."""
    recipes: dict[str, dict[str, None]] = {}
    for board in boards:
        recipes.setdefault(board.protocol, {})[split_config(board.split).recipe] = None
    found: dict[str, About] = {}
    for name, own in recipes.items():
        rules = load_protocol(name)
        found[name] = About(name, rules.title, tuple(_said(rules, list(own))))
        while (rules := _parent(rules) or rules).name not in (*recipes, *found):
            said = (
                "No runs yet: nothing was measured by it, so no number on this page is its. "
                f"`dcbench plan SPLIT --protocol {rules.name}` lists what it asks for."
            )
            found[rules.name] = About(rules.name, rules.title, (said,), empty=True)
    return sorted(found.values(), key=lambda each: (each.empty, each.name))


def trained_images(protocol: str, split: str) -> str:
    """How much there is to learn from: `50 images of each of 10 classes`."""
    subset = load_split(split, 0)
    fit = load_protocol(protocol).entry(subset.config.recipe).training.fit
    counts = subset.counts_of(fit)
    if len(set(counts)) == 1:
        return f"{counts[0]:,} images of each of {len(counts)} classes"
    return f"{max(counts):,} to {min(counts):,} images of a class, {len(counts)} classes"


def _parent(rules: Protocol) -> Protocol | None:
    return load_protocol(rules.extends) if rules.extends else None


def _trained(entry: Entry) -> str:
    training = entry.training
    return f"{training.model} for {training.epochs} epochs, in batches of {training.batch_size}"


def _said(rules: Protocol, recipes: Sequence[str]) -> list[str]:
    entries = [rules.entry(recipe) for recipe in recipes]
    said = [f"It trains {_spread(entries)}."]
    parent = _parent(rules)
    above = [parent.entry(name) for name in recipes if name in parent.recipes] if parent else []
    if parent and above and _spread(above) != _spread(entries):
        said.append(
            f"{parent.name}, which it stands in for where there is no GPU, trains "
            f"{_spread(above)}. So compare the methods of one column with each other; do not "
            "compare these numbers with those of papers, which are of networks and trainings like "
            f"{parent.name}'s."
        )
    return said


def _spread(entries: Sequence[Entry]) -> str:
    models = " and ".join(dict.fromkeys(str(each.training.model) for each in entries))
    epochs = sorted({each.training.epochs for each in entries})
    span = f"{epochs[0]}" if len(epochs) == 1 else f"{epochs[0]} to {epochs[-1]}"
    return f"{models} for {span} epochs"
