"""A split of one's own: its YAML file and its lists, from a rule or from rows that were chosen."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dcbench.config.base import validated
from dcbench.config.names import path_part
from dcbench.config.protocol import recipe_names
from dcbench.config.reading import parse_csv, read_file
from dcbench.config.strict_yaml import yaml_text
from dcbench.config.text import printable
from dcbench.data.derive import derive_test, unproved_test, write_lists
from dcbench.data.new_own import describe_named, describe_own, tested_name_in
from dcbench.data.own import is_own
from dcbench.data.parts import MissingData, Part, Source
from dcbench.data.places import split_files
from dcbench.data.rules import LongTailed, Rows, Selection
from dcbench.data.splits import SplitConfig, in_place, split_config
from dcbench.errors import DataError, DcbenchError, UsageError, unknown
from dcbench.records.atomic import write_bytes


def new_split(
    name: str,
    dataset: str,
    rule: Mapping[str, Any],
    source: Source,
    folder: Path,
    *,
    subsets: Sequence[int] = (0,),
    chosen: Path | None = None,
    changes: Mapping[str, Any] | None = None,
) -> Path:
    """Write `<name>.yaml` and the lists of its subsets into a folder.

    What is not said is as in the published split of the dataset whose rule is of the same kind; for
    images of one's own, it follows from them.

    Parameters
    ----------
    dataset
        A name, or a dataset of one's own, whose path goes on from the current folder.
    rule
        Fields of one of `dcbench.data.rules`.
    chosen : Path, optional
        CSV with a column `index`, and `part` (train or val) where some rows are for validation:
        the rows of a split whose rule is `listed`.
    changes
        Further keys of the split, such as `recipe`, `test`, `ood` and `title`.

    Raises
    ------
    UsageError
        The name is taken, there is no such dataset, or the rule does not fit the data.
    DataError
        The dataset's training images are missing, or `chosen` is no such list.
    """
    try:
        path = folder / f"{path_part(name)}.yaml"
    except ValueError as problem:
        raise UsageError(f"split name '{name[:80]}': {problem}") from None
    taken = split_files().get(name)
    if taken or path.exists():
        raise UsageError(f"split {name} exists: {taken or path}; take another name")
    images = (
        describe_own(dataset, source, folder)
        if is_own(dataset)
        else _as_published(dataset, str(rule["kind"]))
    )
    changes = dict(changes or {})
    if "test" in changes:
        tested_name = tested_name_in(changes["test"]["dataset"], source, folder)
        changes["test"] = {**changes["test"], "dataset": tested_name}
    if "recipe" in changes and changes["recipe"] not in recipe_names():
        raise unknown("recipe", changes["recipe"], recipe_names())
    described = {**_described(images, name, rule, subsets, chosen), **changes}
    config = validated(SplitConfig, described, f"split {name}")
    placed = in_place(config, folder)
    whole = source.taking_unverified().part(placed.dataset, "train")
    if isinstance(config.rule, LongTailed):
        _check_shares(config.rule, whole.labels, config.class_names)
    rows = {each: _rows(config, whole, each, chosen) for each in config.subsets}
    tested = unproved_test(placed, path, source)
    write_lists(path, placed, whole, rows, tested=tested)
    write_bytes(path, _yaml(config).encode())
    if tested is None:
        with contextlib.suppress(MissingData):
            derive_test(str(path), source)
    return path


def _as_published(dataset: str, kind: str) -> dict[str, Any]:
    """The keys of a split that are as in a published one of the dataset, if there is one.

    That is one of the same rule, if possible: the first by name.
    """
    of_dataset = [each for each in _readable_splits() if each.dataset == dataset]
    if not of_dataset:
        return describe_named(dataset)
    pattern = min(
        of_dataset, key=lambda each: (each.rule.kind != kind, each.subsets_of is not None)
    )
    kept = {"dataset", "test", "ood", "recipe", "class_names", "licence"}
    images = "".join(pattern.source.partition("Images: ")[1:]) or pattern.source
    return {**pattern.model_dump(include=kept), "images": images}


def _readable_splits() -> Iterator[SplitConfig]:
    """Every split by name; one that cannot be read is in nobody's way."""
    for _, path in sorted(split_files().items()):
        with contextlib.suppress(DcbenchError):
            yield split_config(str(path))


def _described(
    images: Mapping[str, Any],
    name: str,
    rule: Mapping[str, Any],
    subsets: Sequence[int],
    chosen: Path | None,
) -> dict[str, Any]:
    said = ", ".join(f"{key} {value}" for key, value in rule.items() if key != "kind")
    how = f"the rows of {chosen.name}" if chosen else f"the rule {rule['kind']} ({said})"
    return {
        **{key: value for key, value in images.items() if key != "images"},
        "name": name,
        "title": printable(f"{name}: {how}"),
        "rule": dict(rule),
        "subsets": tuple(subsets),
        "long_tailed": rule["kind"] == "long-tailed",
        "source": printable(
            f"Made by `dcbench splits new`: {how} on {images['dataset']}. {images['images']}"
        ).strip(),
    }


def _check_shares(rule: LongTailed, labels: Rows, class_names: Sequence[str]) -> None:
    """Refuse a tail other than the rule says, or without a class; `select` takes what there is."""
    counts = np.bincount(labels, minlength=len(class_names))
    shares = rule.shares(len(labels), len(class_names))
    for name, count, share in zip(class_names, counts, shares, strict=False):
        if not 0 < share <= count:
            raise UsageError(
                f"class {name}: its share of the long tail is {share} of {count} images; should "
                f"be 1 to {count}: choose another imbalance, or rows of your own with --indices"
            )


def _rows(config: SplitConfig, whole: Part, subset: int, chosen: Path | None) -> Selection:
    if chosen is None:
        return config.rule.select(whole.labels, len(config.class_names), subset)
    return read_chosen(chosen, len(whole.labels))


def read_chosen(path: Path, count: int) -> Selection:
    """The rows that a CSV file lists, in its order; `count` is how many there are to choose from.

    Raises
    ------
    DataError
        A row is no number, is not there, or is listed twice.
    """
    header, lines = parse_csv(read_file(path), path)
    if "index" not in header:
        raise DataError(f"{path}: should have a column index, and may have a column part")
    parts: dict[str, list[int]] = {"train": [], "val": []}
    seen: set[int] = set()
    for number, line in enumerate(lines, 2):
        cells = dict(zip(header, line, strict=False))
        row, part = cells.get("index", ""), cells.get("part", "train")
        if not (row.isascii() and row.isdigit() and len(row) < 10 and int(row) < count):
            raise DataError(
                f"{path}, line {number}: index='{row[:40]}': should be 0 to {count - 1}"
            )
        if part not in parts:
            raise DataError(f"{path}, line {number}: part='{part[:40]}': should be train or val")
        if int(row) in seen:
            raise DataError(f"{path}, line {number}: index={row} is listed twice")
        seen.add(int(row))
        parts[part].append(int(row))
    if not parts["train"]:
        raise DataError(f"{path}: lists no row to train on")
    return Selection(_array(parts["train"]), _array(parts["val"]))


def _array(rows: Sequence[int]) -> Rows:
    return np.array(rows, dtype=np.int64)


def _yaml(config: SplitConfig) -> str:
    content = config.model_dump(mode="json", exclude_none=True)
    if not content["long_tailed"]:
        del content["long_tailed"]
    return yaml_text(content, width=96)
