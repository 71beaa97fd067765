"""`dcbench data`: what is on disk, how to get the rest, and how to take it elsewhere."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dcbench.cli.options import DataOption, UnverifiedOption
from dcbench.cli.report import Report, list_report
from dcbench.cli.reporting import reporting

if TYPE_CHECKING:
    from dcbench.data.gather import Contents
    from dcbench.data.parts import FileStatus

_log = logging.getLogger(__name__)

app = typer.Typer(help="The datasets on disk, and bundles of their images.", no_args_is_help=True)


@app.command("status", epilog="Example:  dcbench data status")
@reporting
def data_status(data: DataOption = None) -> Report:
    """Say which files are there, which are missing, and where they may be put by hand."""
    from dcbench.data.source import open_source

    source = open_source(data)
    root = source.path
    where = (
        f"bundle: {root}"
        if root.is_file()
        else f"data folder: {root}{'' if root.is_dir() else ', which is not there yet'}; "
        "`dcbench data fetch NAME` downloads what is missing"
    )
    return list_report(_rows(source.inventory()), "file", notes=[where])


@app.command("verify", epilog="Example:  dcbench data verify")
@reporting
def data_verify(data: DataOption = None) -> Report:
    """Read and hash every file that is there, and what was decoded of them."""
    from dcbench.config.paths import default_data_root
    from dcbench.data.maps import check_maps
    from dcbench.data.source import open_source
    from dcbench.errors import DataError

    source = open_source(data)
    if not source.path.exists() and source.path != default_data_root().absolute():
        raise DataError(f"{source.path}: there is no such folder or bundle")
    rows = _rows(source.inventory(hashing=True))
    for path, state in check_maps(source.path):
        dataset, _, part = path.stem.rpartition("-")
        row = {"dataset": dataset, "part": part, "state": state, "path": str(path), "md5": ""}
        rows.append(row)
        if state == "damaged":
            _log.warning("%s is damaged: delete it; it is made again from the official files", path)
    damaged = any(row["state"] == "damaged" for row in rows)
    return replace(list_report(rows, "file"), exit_code=3 if damaged else 0)


def _rows(found: list[FileStatus]) -> list[dict[str, Any]]:
    return [
        {
            "dataset": status.dataset,
            "part": status.part,
            "state": status.state,
            "path": str(status.path),
            "md5": status.expected_md5,
        }
        for status in found
    ]


@app.command("fetch", epilog="Example:  dcbench data fetch cifar10 cifair10")
@reporting
def data_fetch(
    datasets: Annotated[list[str], typer.Argument(metavar="NAME")], data: DataOption = None
) -> Report:
    """Download datasets, checked by their official checksums; one that fails stops no other."""
    from dcbench.config.paths import data_root
    from dcbench.data.fetch import title_of

    root = data_root(data)
    names = list(dict.fromkeys(datasets))
    for name in names:
        title_of(name)  # before anything is downloaded
    failed = {name: problem for name in names if (problem := _not_fetched(name, root))}
    return Report(
        data=[{"dataset": name, "folder": str(root), "error": failed.get(name)} for name in names],
        lines=[f"{name}: in {root}" for name in names if name not in failed],
        notes=[f"error: {problem}" for problem in failed.values()],
        exit_code=3 if failed else 0,
    )


def _not_fetched(name: str, root: Path) -> str | None:
    """Fetch a dataset; why that failed, if it did."""
    from dcbench.data.fetch import fetch
    from dcbench.errors import DataError

    try:
        fetch(name, root)
    except DataError as problem:
        return str(problem)
    return None


@app.command("bundle", epilog="Example:  dcbench data bundle cifair10-common -o cifair10.bundle")
@reporting
def data_bundle(
    splits: Annotated[list[str], typer.Argument(metavar="SPLIT", help="Names or wildcards.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="The file to write.")],
    subsets: Annotated[
        str | None, typer.Option(help="0, 0-2 or 0,2; else all of each split.")
    ] = None,
    ood: Annotated[
        bool, typer.Option(help="With the sets for out-of-distribution detection.")
    ] = True,
    sets: Annotated[
        str | None, typer.Option(help="Further OOD sets for `dcbench predict`: tin, or openood.")
    ] = None,
    data: DataOption = None,
    allow_unverified_data: UnverifiedOption = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what it would hold.")] = False,
) -> Report:
    """Put just the images that some splits need into one file, for machines without a network.

    Give it as --data FILE, or as DCBENCH_DATA, wherever a data folder would do. It is lossless,
    and checked whenever it is read.
    """
    from dcbench.config.names import parse_seeds, split_list
    from dcbench.data.gather import gather
    from dcbench.data.source import open_source
    from dcbench.data.splits import matching_splits

    contents = gather(
        matching_splits(splits),
        open_source(data, allow_unverified=allow_unverified_data),
        subsets=parse_seeds(subsets, "subset") if subsets else (),
        ood=ood,
        sets=split_list(sets or ""),
    )
    for name, reason in contents.left_out.items():
        _log.info("OOD set %s is left out: %s", name, reason)
    written = {} if dry_run else _written(contents, output)
    parts = [
        {"part": ", ".join(each.names), "images": each.images, "of": len(part.labels)}
        for each, part in zip(contents.manifest.parts, contents.parts, strict=True)
    ]
    size = f"{written.get('bytes', 0) / 1e6:.1f} MB"
    said = (
        f"{output}: {contents.num_images} images, {size}; SHA-256 {written['sha256']}"
        if written
        else f"would write {contents.num_images} images to {output}; one of CIFAR takes 1.7 kB"
    )
    report = list_report(parts, "part", notes=[said])
    return replace(report, data={**written, "parts": parts, "left_out": contents.left_out})


def _written(contents: Contents, output: Path) -> dict[str, Any]:
    """Write the bundle, and say what came of it."""
    from dcbench.cli.console import ConsoleProgress

    with ConsoleProgress() as progress:
        digest = contents.write(output, progress)
    return {"file": str(output), "bytes": output.stat().st_size, "sha256": digest}
