"""`dcbench splits`: list, show, prove."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import typer

from dcbench.cli.command import ListByDefault
from dcbench.cli.options import DataOption, Pattern
from dcbench.cli.report import Report, Table, list_report, reporting
from dcbench.config.text import span

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
    """The splits whose name the pattern fits."""
    from dcbench.data.splits import split_config, split_names

    rows = []
    for name in split_names(pattern):
        config = split_config(name)
        rows.append(
            {
                "name": name,
                "classes": len(config.class_names),
                "subsets": span(config.subsets),
                "title": config.title,
            }
        )
    return list_report(rows, f"split like '{pattern}'")


@app.command("show", epilog="Example:  dcbench splits show cifair10 --subset 1")
@reporting
def show_split(
    name: Annotated[str, typer.Argument(metavar="SPLIT")],
    subset: Annotated[int, typer.Option(help="Which draw of the training images.")] = 0,
) -> Report:
    """Show a split: what it is, and how many images of each class a subset has."""
    from dcbench.data.splits import load_split

    split = load_split(name, subset)
    rows = list(zip(split.config.class_names, split.class_counts, strict=True))
    title = f"{split.config.title}; subset {subset}"
    return Report(
        data=split.summary(),
        tables=[Table(title, ("class", "training images"), rows)],
        notes=[
            f"{len(split.train)} training and {len(split.val)} validation images",
            f"index_sha256 {split.hashes.index_sha256}",
            f"source: {split.config.source}",
            f"license: {split.config.licence}",
        ],
    )


@app.command("verify", epilog="Example:  dcbench splits verify cifair10 --data data")
@reporting
def verify_splits(
    name: Annotated[str | None, typer.Argument(metavar="SPLIT")] = None,
    data: DataOption = None,
) -> Report:
    """Derive every subset again from its rule and the labels, and hash the images."""
    from dcbench.data.derive import verify_split
    from dcbench.data.source import open_source
    from dcbench.data.splits import split_names

    source = open_source(data)
    names = [name] if name else split_names()
    found = [finding for each in names for finding in verify_split(each, source)]
    differs = any(finding.state == "differs" for finding in found)
    report = list_report([finding._asdict() for finding in found], "split")
    return replace(report, exit_code=1 if differs else 0)


@app.command("derive", epilog="Example:  dcbench splits derive my-split --data data")
@reporting
def derive_splits(
    name: Annotated[str, typer.Argument(metavar="SPLIT")], data: DataOption = None
) -> Report:
    """Write the lists and hashes of a new split from its rule."""
    from dcbench.data.derive import derive_split
    from dcbench.data.source import open_source

    derived = derive_split(name, open_source(data)).subsets
    return Report(
        data=[{"split": name, "subset": key} | each.model_dump() for key, each in derived.items()],
        lines=[
            f"{name} subset {key}: {each.train} + {each.val}, {each.index_sha256}"
            for key, each in derived.items()
        ],
    )
