"""`dcbench splits`: list, show, prove."""

from __future__ import annotations

import json
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dcbench.cli.command import ListByDefault
from dcbench.cli.options import DataOption, Pattern
from dcbench.cli.report import Report, Table, list_report
from dcbench.cli.reporting import reporting
from dcbench.config.text import span

if TYPE_CHECKING:
    from dcbench.data.splits import Split


class Shape(StrEnum):
    """How the sizes of classes fall."""

    exp = "exp"
    step = "step"


app = typer.Typer(
    cls=ListByDefault, help="The splits: list, show, prove.", invoke_without_command=True
)


@app.callback(epilog="Example:  dcbench splits 'cifar10-*'")
@reporting
def splits(context: typer.Context) -> Report | None:
    """List the splits, show one, or prove them."""
    return listed("*") if context.invoked_subcommand is None else None


@app.command("list", epilog="Example:  dcbench splits list 'cifar10-*'")
@reporting
def list_splits(pattern: Pattern = "*") -> Report:
    """List the splits, by wildcard."""
    return listed(pattern)


def listed(pattern: str) -> Report:
    """The splits whose name the pattern fits; one that cannot be read hides no other."""
    from dcbench.data.splits import split_config, split_names
    from dcbench.errors import DcbenchError

    rows, notes = [], []
    for name in split_names(pattern):
        try:
            config = split_config(name)
        except DcbenchError as problem:
            notes.append(f"left out: {problem}")
            continue
        rows.append(
            {
                "name": name,
                "classes": len(config.class_names),
                "subsets": span(config.subsets),
                "title": config.title,
            }
        )
    return list_report(rows, f"split like '{pattern}'", notes)


@app.command("show", epilog="Example:  dcbench splits show cifair10 --subset 1")
@reporting
def show_split(
    split: Annotated[str, typer.Argument(metavar="SPLIT")],
    subset: Annotated[int, typer.Option(help="Which draw of the training images.")] = 0,
) -> Report:
    """Show a split: what it is, and how many images of each class a subset has."""
    from dcbench.data.splits import load_split

    listed = load_split(split, subset)
    rows = list(zip(listed.config.class_names, listed.class_counts, strict=True))
    title = f"{listed.config.title}; subset {subset}"
    return Report(
        data=listed.summary(),
        tables=[Table(title, ("class", "training images"), rows)],
        notes=[
            *_test_notes(listed),
            f"{len(listed.train)} training and {len(listed.val)} validation images",
            *_held_out(len(listed.held_out)),
            f"index_sha256 {listed.hashes.index_sha256}",
            f"source: {listed.config.source}",
            f"license: {listed.config.licence}",
        ],
    )


def _held_out(images: int) -> list[str]:
    return [f"{images} of the training images are held out for tuning alone"] if images else []


def _test_notes(listed: Split) -> list[str]:
    found = listed.test_hashes
    if found is None:
        return ["what its test images come to is not published yet"]
    return [
        f"{found.images} test images, images_sha256 {found.images_sha256}, "
        f"labels_sha256 {found.labels_sha256}"
    ]


@app.command("verify", epilog="Example:  dcbench splits verify cifair10 --data data")
@reporting
def verify_splits(
    split: Annotated[str | None, typer.Argument(metavar="SPLIT")] = None,
    data: DataOption = None,
) -> Report:
    """Derive every subset again from its rule and the labels, and hash the images."""
    from dcbench.data.derive import verify_split
    from dcbench.data.source import open_source
    from dcbench.data.splits import split_names
    from dcbench.errors import DcbenchError

    source = open_source(data)
    rows: list[dict[str, Any]] = []
    for name in [split] if split else split_names():
        try:
            rows += [finding._asdict() for finding in verify_split(name, source)]
        except DcbenchError as problem:
            if split:
                raise
            row = {"split": name, "subset": None, "state": "not read", "detail": str(problem)}
            rows.append(row)
    wrong = any(row["state"] in ("differs", "not read") for row in rows)
    return replace(list_report(rows, "split"), exit_code=1 if wrong else 0)


@app.command("derive", epilog="Example:  dcbench splits derive my-split --data data")
@reporting
def derive_splits(
    split: Annotated[str, typer.Argument(metavar="SPLIT")],
    data: DataOption = None,
    test: Annotated[
        bool, typer.Option("--test", help="Only what the test images and labels come to.")
    ] = False,
) -> Report:
    """Write the lists and hashes of a new split from its rule, and those of its test images."""
    from dcbench.data.derive import derive_split, derive_test
    from dcbench.data.source import open_source

    if test:
        found = derive_test(split, open_source(data))
        said = f"{split}: {found.images} test images, {found.images_sha256}"
        return Report(data={"split": split} | found.model_dump(), lines=[said])
    derived = derive_split(split, open_source(data)).subsets
    return Report(
        data=[{"split": split, "subset": key} | each.model_dump() for key, each in derived.items()],
        lines=[
            f"{split} subset {key}: {each.train} + {each.val}, {each.index_sha256}"
            + (f", {each.held_out.images} held out" if each.held_out else "")
            for key, each in derived.items()
        ],
    )


@app.command("croissant", epilog="Example:  dcbench splits croissant cifair10 -o cifair10.json")
@reporting
def write_croissant(
    split: Annotated[str, typer.Argument(metavar="SPLIT")],
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="The file to write; else it is printed.")
    ] = None,
) -> Report:
    """Describe a split in the Croissant format 1.0: its files, their hashes, what is in them."""
    from dcbench.data.croissant import croissant
    from dcbench.records.atomic import write_bytes

    described = croissant(split, output.parent if output else None)
    text = json.dumps(described, indent=2, ensure_ascii=False)
    if output is None:
        return Report(data=described, lines=[text])
    write_bytes(output, f"{text}\n".encode())
    return Report(data=described, lines=[str(output)])


@app.command(
    "new", epilog="Example:  dcbench splits new my-digits --dataset digits --per-class 12 -o splits"
)
@reporting
def make_split(
    name: Annotated[str, typer.Argument(metavar="NAME")],
    dataset: Annotated[
        str,
        typer.Option(
            help="Whose training images are drawn from: a name; or ./FOLDER, ./FILE.npz or "
            "torchvision:NAME, each with [size=32,test=0.2] or without."
        ),
    ],
    per_class: Annotated[
        int | None, typer.Option(min=1, help="Images of each class, by position in the file.")
    ] = None,
    val: Annotated[
        int | None, typer.Option(min=0, help="Of --per-class, for validation; else two fifths.")
    ] = None,
    imbalance: Annotated[
        float | None, typer.Option(min=1, help="Largest class through smallest: long-tailed.")
    ] = None,
    shape: Annotated[Shape, typer.Option(help="Of the long tail.")] = Shape.exp,
    indices: Annotated[
        Path | None, typer.Option(help="CSV with a column index, and part where some are val.")
    ] = None,
    subsets: Annotated[str, typer.Option(help="0, or 0-2 for three draws.")] = "0",
    recipe: Annotated[
        str | None, typer.Option(help="Of the protocol; else as published, or cifair10's.")
    ] = None,
    test: Annotated[
        str | None, typer.Option(help="Dataset whose test part is tested on; else as published.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Folder; else DCBENCH_SPLITS, else here.")
    ] = None,
    data: DataOption = None,
) -> Report:
    """Write a split of one's own: its YAML file, its lists and their hashes."""
    from dcbench.config.names import parse_seeds
    from dcbench.data.new_split import new_split
    from dcbench.data.places import own_splits_folder
    from dcbench.data.source import open_source
    from dcbench.data.splits import load_split

    changes = {"recipe": recipe, "test": {"dataset": test} if test else None}
    path = new_split(
        name,
        dataset,
        _rule(per_class, val, imbalance, shape, indices),
        open_source(data),
        output or own_splits_folder() or Path(),
        subsets=parse_seeds(subsets, "subset"),
        chosen=indices,
        changes={key: value for key, value in changes.items() if value is not None},
    )
    made = load_split(str(path), parse_seeds(subsets, "subset")[0])
    return Report(
        data={"split": name, "path": str(path)},
        lines=[str(path)],
        notes=[
            f"{len(made.train)} training and {len(made.val)} validation images of "
            f"{made.num_classes} classes, from {Path(made.config.dataset).name}; recipe "
            f"{made.config.recipe}",
            f"`dcbench run --split {path}` trains on it; with its folder in DCBENCH_SPLITS it goes "
            "by its name",
        ],
    )


def _rule(
    per_class: int | None,
    val: int | None,
    imbalance: float | None,
    shape: Shape,
    indices: Path | None,
) -> dict[str, Any]:
    """The fields of the rule that the options ask for."""
    from dcbench.errors import UsageError

    if sum(each is not None for each in (per_class, imbalance, indices)) != 1:
        raise UsageError("say how to choose: one of --per-class, --imbalance and --indices")
    if indices is not None:
        return {"kind": "listed"}
    if imbalance is not None:
        return {"kind": "long-tailed", "ratio": 1 / imbalance, "shape": shape.value}
    count = per_class or 0
    held_out = count * 2 // 5 if val is None else val
    if held_out >= count:
        raise UsageError(f"--val {held_out}: should be less than --per-class {count}")
    return {"kind": "by-position", "train": count - held_out, "val": held_out}
