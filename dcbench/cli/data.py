"""`dcbench data`: what is on disk, and how to get the rest."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from dcbench.cli.options import DataOption, Json, print_list

app = typer.Typer(help="The datasets on disk.", no_args_is_help=True)


@app.command("status", epilog="Example:  dcbench data status")
def data_status(data: DataOption = None, as_json: Json = False) -> None:
    """Say which files are there, which are missing, and where they may be put by hand."""
    from dcbench.data.datasets import data_root, file_status
    from dcbench.display import note

    root = data_root(data)
    _files(file_status(root), as_json)
    if not as_json:
        note(f"data folder: {root}; `dcbench data fetch NAME` downloads what is missing")


@app.command("verify", epilog="Example:  dcbench data verify")
def data_verify(data: DataOption = None, as_json: Json = False) -> None:
    """Read and hash every file that is there."""
    from dcbench.data.datasets import data_root, file_status

    found = file_status(data_root(data), hashing=True)
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
    names: Annotated[list[str], typer.Argument(metavar="NAME…")], data: DataOption = None
) -> None:
    """Download datasets, checked by their official checksums."""
    from dcbench.data.datasets import data_root, get_dataset
    from dcbench.data.fetch import fetch

    for name in map(get_dataset, names):
        fetch(name.name, data_root(data))
        typer.echo(f"{name.name}: in {data_root(data)}")
