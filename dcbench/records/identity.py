"""What makes a run the run that is asked for: everything that decides its numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dcbench.config.base import Config
from dcbench.config.names import path_part, shortened
from dcbench.config.recipe import Recipe
from dcbench.errors import UsageError


class Configuration(Config):
    """What decides the numbers of a run; a record has the same fields."""

    protocol: str
    split: str
    subset: int
    index_sha256: str
    method: str
    settings: dict[str, Any]
    method_sha256: str | None
    seed: int
    recipe: Recipe
    network_sha256: str | None = None
    data_sha256: str | None = None


@dataclass(frozen=True, eq=False)
class Identity:
    """A run as it is asked for.

    Attributes
    ----------
    label : str
        The method with the settings that were asked for, as in `ic-mixup[axes=class]`.
    defaults : mapping
        Of the method's settings: what a record lacks that an older version wrote.
    """

    configuration: Configuration
    label: str
    defaults: Mapping[str, Any] = field(default_factory=dict)

    @property
    def folder(self) -> Path:
        """Where the run lies under a results folder: its address."""
        asked = self.configuration
        return address(asked.protocol, asked.split, asked.subset, self.label, asked.seed)

    def difference(self, found: Configuration) -> str | None:
        """The first difference to another configuration, as text; None where it is the same run.

        A field that is at its default is no difference, whether it was written down or not.
        """
        asked, other = self._plain(self.configuration), self._plain(found)
        for key in Configuration.model_fields:
            if asked[key] != other[key]:
                which = "other" if key == "settings" else "another"
                return f"{which} {key}: {_as_text(other[key], asked[key])}"
        return None

    def _plain(self, configuration: Configuration) -> dict[str, Any]:
        values = configuration.model_dump(mode="json")
        return {**values, "settings": {**self.defaults, **values["settings"]}}


def address(protocol: str, split: str, subset: int, label: str, seed: int) -> Path:
    """Where a run lies under a results folder.

    Commas stand before the settings of a label, for brackets mean something to every shell:
    `ic-mixup,axes=class`.

    Raises
    ------
    UsageError
        A name cannot be a part of a path: a label of very many settings.
    """
    name = label.removesuffix("]").replace("[", ",", 1)
    for part in (protocol, split, name):
        try:
            path_part(part)
        except ValueError as problem:
            raise UsageError(f"'{shortened(part)}': {problem}") from None
    return Path(protocol, split, f"subset-{subset}", name, f"seed-{seed}")


def earlier_address(run: Path) -> Path:
    """Where the run of an address was put by versions that kept the brackets of its label."""
    method, comma, settings = run.parent.name.partition(",")
    return run.parent.with_name(f"{method}[{settings}]") / run.name if comma else run


def _as_text(found: Any, asked: Any) -> str:
    if isinstance(found, dict) and isinstance(asked, dict):
        keys = [key for key in {**found, **asked} if found.get(key) != asked.get(key)]
        return ", ".join(f"{key}={found.get(key)} and not {asked.get(key)}" for key in keys)
    return f"{found} and not {asked}"
