"""`dcbench data`: what is on disk, how to get the rest, and how to take it elsewhere."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dcbench.cli.options import DataOption, Json, UnverifiedOption, print_list

if TYPE_CHECKING:
    from dcbench.data.gather import Contents

app = typer.Typer(help="The datasets on disk, and bundles of their images.", no_args_is_help=True)


@app.command("status", epilog="Example:  dcbench data status")
def data_status(data: DataOption = None, as_json: Json = False) -> None:
    """Say which files are there, which are missing, and where they may be put by hand."""
    from dcbench.cli.console import note
    from dcbench.data.source import open_source

    source = open_source(data)
    _files(source.inventory(), as_json)
    if not as_json:
        note(
            f"bundle: {source.path}"
            if source.path.is_file()
            else f"data folder: {source.path}; `dcbench data fetch NAME` downloads what is missing"
        )


@app.command("verify", epilog="Example:  dcbench data verify")
def data_verify(data: DataOption = None, as_json: Json = False) -> None:
    """Read and hash every file that is there."""
    from dcbench.data.source import open_source

    found = open_source(data).inventory(hashing=True)
    _files(found, as_json)
    if any(status.state == "damaged" for status in found):
        raise typer.Exit(3)


def _files(found: list[Any], as_json: bool) -> None:
    rows = [
        {
            "dataset": status.dataset,
            "part": status.part,
            "state": status.state,
            "path": str(status.path),
            "md5": status.expected_md5,
        }
        for status in found
    ]
    print_list(rows, as_json, "file")


@app.command("fetch", epilog="Example:  dcbench data fetch cifar10 cifair10")
def data_fetch(
    names: Annotated[list[str], typer.Argument(metavar="NAME")], data: DataOption = None
) -> None:
    """Download datasets, checked by their official checksums."""
    from dcbench.config.paths import data_root
    from dcbench.data.catalogue import get_dataset
    from dcbench.data.fetch import fetch

    for name in map(get_dataset, names):
        fetch(name.name, data_root(data))
        typer.echo(f"{name.name}: in {data_root(data)}")


@app.command("bundle", epilog="Example:  dcbench data bundle cifair10-common -o cifair10.bundle")
def data_bundle(
    splits: Annotated[list[str], typer.Argument(metavar="SPLIT", help="Names or wildcards.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="The file to write.")],
    subsets: Annotated[
        str | None, typer.Option(help="0, 0-2 or 0,2; else all of each split.")
    ] = None,
    ood: Annotated[
        bool, typer.Option(help="With the sets for out-of-distribution detection.")
    ] = True,
    data: DataOption = None,
    allow_unverified_data: UnverifiedOption = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what it would hold.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress.")] = False,
    as_json: Json = False,
) -> None:
    """Put just the images that some splits need into one file, for machines without a network.

    Give it as --data FILE, or as DCBENCH_DATA, wherever a data folder would do. It is lossless,
    and checked whenever it is read.
    """
    from dcbench.cli.console import note
    from dcbench.config.names import parse_seeds
    from dcbench.data.gather import gather
    from dcbench.data.source import open_source
    from dcbench.data.splits import matching_splits

    contents = gather(
        matching_splits(splits),
        open_source(data, allow_unverified=allow_unverified_data),
        subsets=parse_seeds(subsets, "subset") if subsets else (),
        ood=ood,
    )
    if not quiet:
        for name, reason in contents.left_out.items():
            note(f"OOD set {name} is left out: {reason}")
    written = {} if dry_run else _written(contents, output, quiet)
    parts = [
        {"part": ", ".join(each.names), "images": each.images, "of": len(part.labels)}
        for each, part in zip(contents.manifest.parts, contents.parts, strict=True)
    ]
    if as_json:
        typer.echo(json.dumps({**written, "parts": parts, "left_out": contents.left_out}))
        return
    print_list(parts, False, "part")
    if written:
        size = f"{written['bytes'] / 1e6:.1f} MB"
        note(f"{output}: {contents.num_images} images, {size}; SHA-256 {written['sha256']}")
    else:
        note(f"would write {contents.num_images} images to {output}; one of CIFAR takes 1.7 kB")


def _written(contents: Contents, output: Path, quiet: bool) -> dict[str, Any]:
    """Write the bundle, and say what came of it."""
    from dcbench.cli.console import RunProgress

    done = 0
    with RunProgress(quiet) as progress:

        def advance(count: int) -> None:
            nonlocal done
            done += count
            progress.counted("bundle", done, contents.num_images, "images")

        digest = contents.write(output, advance)
    return {"file": str(output), "bytes": output.stat().st_size, "sha256": digest}
