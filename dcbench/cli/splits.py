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
            f"{len(listed.train)} training and {len(listed.val)} validation images",
            f"index_sha256 {listed.hashes.index_sha256}",
            f"source: {listed.config.source}",
            f"license: {listed.config.licence}",
        ],
    )


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

    source = open_source(data)
    names = [split] if split else split_names()
    found = [finding for each in names for finding in verify_split(each, source)]
    differs = any(finding.state == "differs" for finding in found)
    report = list_report([finding._asdict() for finding in found], "split")
    return replace(report, exit_code=1 if differs else 0)


@app.command("derive", epilog="Example:  dcbench splits derive my-split --data data")
@reporting
def derive_splits(
    split: Annotated[str, typer.Argument(metavar="SPLIT")], data: DataOption = None
) -> Report:
    """Write the lists and hashes of a new split from its rule."""
    from dcbench.data.derive import derive_split
    from dcbench.data.source import open_source

    derived = derive_split(split, open_source(data)).subsets
    return Report(
        data=[{"split": split, "subset": key} | each.model_dump() for key, each in derived.items()],
        lines=[
            f"{split} subset {key}: {each.train} + {each.val}, {each.index_sha256}"
            for key, each in derived.items()
        ],
    )
