"""`dcbench splits`: list, show, prove."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from dcbench.cli.options import DataOption, Json, ListByDefault, Pattern, print_list
from dcbench.config.text import span

app = typer.Typer(
    cls=ListByDefault, help="The splits: list, show, prove.", invoke_without_command=True
)


@app.callback(epilog="Example:  dcbench splits 'cifar10-*'")
def splits(context: typer.Context, as_json: Json = False) -> None:
    """List the splits, show one, or prove them."""
    if context.invoked_subcommand is None:
        list_splits("*", as_json)


@app.command("list", epilog="Example:  dcbench splits list 'cifar10-*'")
def list_splits(pattern: Pattern = "*", as_json: Json = False) -> None:
    """List the splits, by wildcard."""
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
    print_list(rows, as_json, f"split like '{pattern}'")


@app.command("show", epilog="Example:  dcbench splits show cifair10 --subset 1")
def show_split(
    name: Annotated[str, typer.Argument(metavar="SPLIT")],
    subset: Annotated[int, typer.Option(help="Which draw of the training images.")] = 0,
    as_json: Json = False,
) -> None:
    """Show a split: what it is, and how many images of each class a subset has."""
    from dcbench.cli.console import note, show_table
    from dcbench.data.splits import load_split

    split = load_split(name, subset)
    if as_json:
        typer.echo(json.dumps(split.summary()))
        return
    rows = list(zip(split.config.class_names, split.class_counts, strict=True))
    show_table(("class", "training images"), rows, f"{split.config.title}; subset {subset}")
    note(f"{len(split.train)} training and {len(split.val)} validation images")
    note(f"index_sha256 {split.hashes.index_sha256}")
    note(f"source: {split.config.source}")
    note(f"licence: {split.config.licence}")


@app.command("verify", epilog="Example:  dcbench splits verify cifair10 --data data")
def verify_splits(
    name: Annotated[str | None, typer.Argument(metavar="SPLIT")] = None,
    data: DataOption = None,
    as_json: Json = False,
) -> None:
    """Derive every subset again from its rule and the labels, and hash the images."""
    from dcbench.data.derive import verify_split
    from dcbench.data.source import open_source
    from dcbench.data.splits import split_names

    source = open_source(data)
    names = [name] if name else split_names()
    found = [finding for each in names for finding in verify_split(each, source)]
    print_list([finding._asdict() for finding in found], as_json, "split")
    if any(finding.state == "differs" for finding in found):
        raise typer.Exit(1)


@app.command("derive", epilog="Example:  dcbench splits derive my-split --data data")
def derive_splits(
    name: Annotated[str, typer.Argument(metavar="SPLIT")], data: DataOption = None
) -> None:
    """Write the lists and hashes of a new split from its rule."""
    from dcbench.data.derive import derive_split
    from dcbench.data.source import open_source

    for subset, hashes in derive_split(name, open_source(data)).subsets.items():
        typer.echo(f"{name} subset {subset}: {hashes.train} + {hashes.val}, {hashes.index_sha256}")
