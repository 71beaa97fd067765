"""A run before it begins: everything looked up and checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from dcbench.data.splits import Split, load_split
from dcbench.errors import UsageError
from dcbench.methods import method_class, parse_method
from dcbench.models import build_model
from dcbench.protocol import Choice, Protocol, choose, load_protocol
from dcbench.results import address


@dataclass(frozen=True)
class Plan:
    """A run that has been checked and can begin."""

    protocol: Protocol
    split: Split
    choice: Choice
    seed: int

    @property
    def folder(self) -> Path:
        """Where the run lies under the results folder: its address."""
        split = self.split
        return address(self.protocol.name, split.name, split.subset, self.choice.label, self.seed)

    @property
    def num_images(self) -> int:
        """Number of training images."""
        held_out = len(self.split.val) if self.choice.recipe.fit == "trainval" else 0
        return len(self.split.train) + held_out

    @property
    def departures(self) -> tuple[str, ...]:
        """In what the run departs from the protocol, as far as is known before it begins."""
        asked = self.protocol.entry(self.split.facts.recipe).asked
        found = list(self.choice.departures)
        if self.seed not in asked.seeds:
            found.append(f"seed {self.seed} is not among those that the protocol asks")
        if self.split.subset not in asked.subsets:
            found.append(f"subset {self.split.subset} is not among those that the protocol asks")
        return tuple(found)

    @property
    def configuration(self) -> dict[str, Any]:
        """What decides the run's numbers: `records.CONFIGURATION`, as plain values."""
        method = self.choice.method
        return {
            "protocol": self.protocol.name,
            "split": self.split.name,
            "subset": self.split.subset,
            "index_sha256": self.split.hashes.index_sha256,
            "method": method.name,
            "settings": method.settings,
            "method_sha256": method.source_sha256,
            "seed": self.seed,
            "recipe": self.choice.recipe.model_dump(mode="json"),
        }


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

    Raises
    ------
    UsageError
        An unknown name or key, or a value out of its range.
    """
    spec = parse_method(method)
    rules = load_protocol(protocol)
    listed = load_split(split, subset)
    asked = {**spec.settings, **(settings or {})}
    choice = choose(rules.entry(listed.facts.recipe), method_class(spec.name), asked)
    if seed < 0:
        raise UsageError(f"seed {seed}: should be 0 or more")
    with torch.device("meta"):
        build_model(choice.recipe.model, listed.num_classes)
    plan = Plan(rules, listed, choice, seed)
    if choice.recipe.batch_size > plan.num_images:
        raise UsageError(
            f"batch_size={choice.recipe.batch_size}: split {split} has only {plan.num_images} "
            "training images"
        )
    return plan
