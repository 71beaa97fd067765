"""`dcbench leaderboard release`: leaderboards as a frozen folder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dcbench.cli.options import NOT_WRITTEN
from dcbench.cli.report import Report

EXAMPLE = "Example:  dcbench leaderboard release 1.0 --results results -o leaderboards-1.0"


def release(
    version: Annotated[str, typer.Argument(metavar="VERSION", help="Such as 1.0.")],
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="A new folder.", show_default="leaderboard-VERSION"),
    ] = None,
    folder: Annotated[
        Path, typer.Option("--from", help="Leaderboards, one folder a protocol.")
    ] = Path("leaderboard"),
    results: Annotated[
        Path | None, typer.Option("--results", help="Put the records of the rows in too.")
    ] = None,
    creators: Annotated[
        list[str] | None,
        typer.Option("--creator", metavar="'FAMILY, GIVEN'", help="For Zenodo; may be repeated."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Make everything, and write nothing.")
    ] = False,
) -> Report:
    """Freeze leaderboards: tables, page, exports and metadata in a folder, every file hashed.

    They are checked first. Equal leaderboards make equal bytes: whoever has the rows can make the
    release again and compare one hash. So the page is without images of datasets.
    """
    from dcbench.reports.release import write_release

    target = output or Path(f"leaderboard-{version}")
    made = write_release(
        version, folder, target, results=results, creators=creators or (), dry_run=dry_run
    )
    notes = []
    if made.records is not None and made.records < made.rows:
        notes.append(f"{results}: holds the records of {made.records} of {made.rows} rows")
    if dry_run:
        notes.append(NOT_WRITTEN)
    return Report(
        data=vars(made) | {"folder": None if dry_run else str(target)},
        lines=[
            f"{len(made.files)} files: {made.rows} rows of {made.boards} leaderboards, the last "
            f"run of {made.date}",
            f"SHA-256 of SHA256SUMS: {made.sha256}",
            *([] if dry_run else [str(target)]),
        ],
        notes=notes,
    )
