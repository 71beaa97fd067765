"""Which runs the commands are measured with, and the source tree that knows them.

The runs are of one split, under a protocol that takes more methods than the published ones: those
that mix images, with one strength of mixing after the other. A run of a number is the same however
many there are, so few runs are the first of many.
"""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from dcbench.config.paths import shipped_root
from dcbench.config.text import span

PROTOCOL, PARENT, SPLIT, RECIPE = "growth", "v1-lite", "digits", "digits"
SUBSETS, SEEDS = (0, 1, 2), tuple(range(10))
RUNS_OF_A_METHOD = len(SUBSETS) * len(SEEDS)
MIXING = ("mixup", "remix", "regmixup", "ic-mixup", "ic-remix", "ic-regmixup")


class NumberedRun(NamedTuple):
    """A run by names alone."""

    method: str
    subset: int
    seed: int


def numbered_run(number: int) -> NumberedRun:
    """The run of a number from 0: the seeds of a subset, then the subsets of a method."""
    method, rest = divmod(number, RUNS_OF_A_METHOD)
    subset, seed = divmod(rest, len(SEEDS))
    return NumberedRun(_method(method), SUBSETS[subset], SEEDS[seed])


def _method(number: int) -> str:
    """`erm`, and the others each with its own strength of mixing."""
    if number == 0:
        return "erm"
    strength, name = divmod(number - 1, len(MIXING))
    return f"{MIXING[name]}[alpha={_alpha(strength)}]"


def _alpha(number: int) -> float:
    """Odd multiples of 0.05, so never a default, which would not be part of a method's name."""
    return round(0.05 + 0.1 * number, 2)


def queue_of(count: int) -> dict[str, Any]:
    """The first runs as a queue for `dcbench sweep`."""
    blocks: dict[tuple[str, int], list[int]] = {}
    for method, subset, seed in map(numbered_run, range(count)):
        blocks.setdefault((method, subset), []).append(seed)
    return {
        "blocks": [
            {
                "protocol": PROTOCOL,
                "methods": [method],
                "splits": [SPLIT],
                "subsets": subset,
                "seeds": span(tuple(seeds)),
            }
            for (method, subset), seeds in blocks.items()
        ]
    }


def _protocol(count: int) -> dict[str, Any]:
    """The rules that the first runs obey: those of the parent, with more strengths of mixing."""
    methods = -(-count // RUNS_OF_A_METHOD)
    strengths = -(-(methods - 1) // len(MIXING))
    alphas = [_alpha(number) for number in range(strengths)]
    return {
        "name": PROTOCOL,
        "title": "For measuring commands, not methods",
        "extends": PARENT,
        "recipes": {
            RECIPE: {
                "asked": {"subsets": span(SUBSETS), "seeds": span(SEEDS)},
                "variants": {"alpha": alphas},
                "sources": {"variants": "choice: as many methods as runs ask for"},
            }
        },
    }


def write_tree(root: Path, count: int) -> None:
    """A source tree with this version of dcbench, its facts, and the protocol of `count` runs."""
    for name in ("splits", "baselines"):
        shutil.copytree(shipped_root() / name, root / name, dirs_exist_ok=True)
    for package in ("dcbench", "dcbench_vision"):
        _copy_package(package, root)
    # What `shipped_root` knows a source tree by.
    (root / "pyproject.toml").touch()
    write_yaml(root / "baselines" / f"{PROTOCOL}.yaml", _protocol(count))


def _copy_package(name: str, root: Path) -> None:
    spec = importlib.util.find_spec(name)
    assert spec is not None, "the package is running"
    assert spec.origin is not None, "the package is in files"
    path = Path(spec.origin)
    if path.name != "__init__.py":
        shutil.copy2(path, root)
        return
    unneeded = shutil.ignore_patterns("_facts")
    shutil.copytree(path.parent, root / name, ignore=unneeded, dirs_exist_ok=True)


def write_yaml(path: Path, content: dict[str, Any]) -> None:
    """Write a file of facts."""
    path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")


def addresses(count: int) -> Iterator[Path]:
    """Where the first runs lie under a results folder."""
    from dcbench.records.identity import address

    for method, subset, seed in map(numbered_run, range(count)):
        yield address(PROTOCOL, SPLIT, subset, method, seed)
