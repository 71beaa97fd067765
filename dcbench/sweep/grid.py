"""What a sweep asks for: a queue's YAML or the flags of the command line, as a list of runs."""

from __future__ import annotations

import dataclasses
import functools
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, NamedTuple, Self

from pydantic import BeforeValidator, Field, model_validator

from dcbench.config.base import Config, validated
from dcbench.config.names import parse_method, parse_seeds, split_list
from dcbench.config.plugins import is_file_location
from dcbench.config.protocol import load_protocol
from dcbench.config.reading import read_yaml
from dcbench.config.text import span
from dcbench.config.tuned import SETTING, tuned_recipe
from dcbench.data.lists import HASHES
from dcbench.data.places import find_split
from dcbench.data.splits import split_config
from dcbench.errors import UsageError
from dcbench.methods import method_names
from dcbench.methods.registry import forget_files as forget_methods
from dcbench.models.registry import forget_files as forget_networks
from dcbench.runs.plan import Plan, asked_together, plan_run


def _numbers(value: object) -> str:
    text = str(value)
    try:
        parse_seeds(text)
    except UsageError as problem:
        raise ValueError(str(problem)) from None
    return text


Numbers = Annotated[str, BeforeValidator(_numbers)]
"""A number, a range as 0-9, or a list as 0,2,5."""


class Block(Config):
    """Methods times splits times subsets times seeds, under one protocol and with some settings."""

    title: str = ""
    expected: str = Field("", description="what it will cost: a remark for readers of the file")
    protocol: str = "v1"
    methods: tuple[str, ...] = Field(min_length=1, description="with settings in brackets or not")
    splits: tuple[str, ...] = Field(min_length=1)
    subsets: Numbers = "0"
    seeds: Numbers = "0"
    settings: dict[str, Any] = Field({}, description="of every method, or of the recipe")


class Queue(Config):
    """The content of a queue's file: blocks in the order in which they are run."""

    title: str = ""
    blocks: tuple[Block, ...]

    @model_validator(mode="after")
    def _asks_for_something(self) -> Self:
        if not self.blocks:
            raise ValueError("blocks=[]: should have a block with methods and splits")
        return self


class Request(NamedTuple):
    """A run by names alone, so that another process can look it up; settings as JSON."""

    method: str
    split: str
    subset: int
    seed: int
    protocol: str
    settings: str

    @property
    def files(self) -> list[str]:
        """The paths of the code that the run names: its method's file, and its network's."""
        spec = parse_method(self.method)
        named = (spec.name, spec.settings.get("model"), json.loads(self.settings).get("model"))
        return [
            each.rpartition(":")[0]
            for each in named
            if isinstance(each, str) and is_file_location(each)
        ]

    def with_files(self, elsewhere: Mapping[str, str]) -> Request:
        """The same run, whose files lie elsewhere: their paths there, by their paths here."""

        def moved(name: Any) -> Any:
            path, _, defined = str(name).rpartition(":")
            return f"{elsewhere[path]}:{defined}" if path in elsewhere else name

        spec, settings = parse_method(self.method), json.loads(self.settings)
        inside = self.method.strip().partition("[")[2].removesuffix("]")
        pairs = [
            f"model={moved(spec.settings['model'])}" if re.match(r"model\s*=", pair) else pair
            for pair in split_list(inside)
        ]
        method = moved(spec.name) + (f"[{','.join(pairs)}]" if pairs else "")
        if "model" in settings:
            settings["model"] = moved(settings["model"])
        return self._replace(method=method, settings=json.dumps(settings, sort_keys=True))


def read_queue(path: Path, changes: Mapping[str, Any]) -> Queue:
    """The queue of a file; `changes`, from the command line, stand in every block.

    Settings of a block that `changes` does not name stay.

    Raises
    ------
    UsageError
        The file cannot be read, or has a key or value that a queue does not know.
    """
    content = read_yaml(path)
    queue = validated(Queue, content if isinstance(content, dict) else {"blocks": content}, path)

    def changed(block: Block) -> Block:
        settings = {**block.settings, **changes.get("settings", {})}
        return validated(Block, {**block.model_dump(), **changes, "settings": settings}, path)

    return queue.model_copy(update={"blocks": tuple(map(changed, queue.blocks))})


def required_blocks(
    protocol: str, splits: Iterable[str], methods: Sequence[str] = ()
) -> list[Block]:
    """The runs of some methods, or of all, that a protocol requires of some splits."""
    rules = load_protocol(protocol)
    blocks = []
    for split in splits:
        asked = rules.entry(split_config(split).recipe).asked
        block = {"protocol": protocol, "methods": tuple(methods or method_names())}
        block |= {"splits": (split,), "subsets": span(asked.subsets), "seeds": span(asked.seeds)}
        blocks.append(Block.model_validate(block))
    return blocks


def requests_of(blocks: Iterable[Block]) -> list[Request]:
    """Every run that the blocks ask for, each once, all looked up and checked.

    Within a block the methods of one seed follow one another, so that whatever is done when a
    sweep is cut off can be compared run by run.

    Raises
    ------
    UsageError
        An unknown name, key or value; two runs that differ and would lie in one folder.
    """
    found: dict[Path, Request] = {}
    for block in blocks:
        methods = [with_recipe(method, block.settings) for method in block.methods]
        for split in block.splits:
            for subset in parse_seeds(block.subsets, "subset"):
                for seed in parse_seeds(block.seeds):
                    for method, settings in methods:
                        request = Request(method, split, subset, seed, block.protocol, settings)
                        first = found.setdefault(plan_of(request).folder, request)
                        if first is not request:
                            _check_same(first, request)
    return list(found.values())


def _check_same(first: Request, second: Request) -> None:
    """Refuse two requests that have an address in common and are not one run."""
    run, other = plan_of(first).identity, plan_of(second).identity
    difference = run.difference(other.configuration)
    if difference is not None:
        raise UsageError(
            f"{second.method} on {second.split} would lie where {first.method} on {first.split} "
            f"does, {run.folder}, with {difference}; rename one of them, or ask for each with "
            "another results folder (--results)"
        )


def with_recipe(method: str, settings: Mapping[str, Any]) -> tuple[str, str]:
    """A method and the settings of its request: the file of a tuned recipe is read here.

    Wherever the request is sent, it then needs no file.
    """
    spec = parse_method(method)
    asked = asked_together(spec, settings) if SETTING in spec.settings else dict(settings)
    if SETTING in asked:
        recipe = tuned_recipe(asked[SETTING])
        asked[SETTING] = recipe.model_dump(mode="json")
        method = spec.name if SETTING in spec.settings else method
    return method, json.dumps(asked, sort_keys=True)


def plan_of(request: Request) -> Plan:
    """The plan of a run; see `dcbench.runs.plan.plan_run` for the errors."""
    first = _first_plan(request._replace(seed=0), _versions(request))
    return dataclasses.replace(first, seed=request.seed)


def _versions(request: Request) -> tuple[int, ...]:
    """Of the files that a run names, its split's among them: others once one was changed."""
    paths = [*map(Path, request.files), find_split(request.split)]
    lists = paths[-1].parent / paths[-1].stem / HASHES
    return tuple(_modified(path) for path in (*paths, lists))


def _modified(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0  # the plan says what is wrong


@functools.lru_cache(maxsize=4096)
def _first_plan(request: Request, versions: tuple[int, ...]) -> Plan:
    return plan_run(
        request.method,
        request.split,
        subset=request.subset,
        seed=request.seed,
        protocol=request.protocol,
        settings=json.loads(request.settings),
    )


def forget_code() -> None:
    """Free the names of methods and networks of files, for a process that works for others."""
    forget_methods()
    if forget_networks():
        _first_plan.cache_clear()  # a plan has a network by its name alone


def packs(requests: Iterable[Request], size: int) -> list[tuple[Request, ...]]:
    """Runs that may share a device: up to `size` neighbours that have `_shared` in common."""
    found: list[list[Request]] = []
    for request in requests:
        room = bool(found) and len(found[-1]) < size
        if room and _shared(found[-1][-1]) == _shared(request):
            found[-1].append(request)
        else:
            found.append([request])
    return [tuple(pack) for pack in found]


def _shared(request: Request) -> tuple[object, ...]:
    """What decides the images of a run, and the precision, which is the whole process's."""
    precision = plan_of(request).choice.recipe.precision
    return request.split, request.subset, request.protocol, precision
