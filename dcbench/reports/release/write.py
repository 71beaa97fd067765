"""`write_release`: tables, page, records and their hashes in a folder that needs nothing else.

Equal leaderboards make equal bytes: no time of the clock and no place of this machine goes in,
and nothing that not every machine has: images of datasets, methods of other packages.
"""

from __future__ import annotations

import hashlib
import html
import json
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dcbench._version import __version__
from dcbench.config.reading import read_file
from dcbench.errors import DataError, RunError, UsageError
from dcbench.leaderboard.boards import Board, load_boards, titled
from dcbench.leaderboard.checks import check
from dcbench.leaderboard.files import write_files
from dcbench.leaderboard.states import state_of_folder
from dcbench.records.files import RECORD
from dcbench.records.store import address_of, find_records
from dcbench.reports.page import write_page
from dcbench.reports.release.every_eval_ever import ORGANIZATION, eval_files
from dcbench.reports.reported import load_reported

SUMS = "SHA256SUMS"

_VERSION = re.compile(r"[0-9]+(\.[0-9]+){0,3}([-.+][0-9A-Za-z.-]{1,40})?")


@dataclass(frozen=True)
class Release:
    """A release as it is written, or would be.

    Attributes
    ----------
    date : str
        When the last run in it ended, as `2026-11-28`.
    files : dict
        The SHA-256 of each file but `SHA256SUMS`, by path.
    records : int or None
        Rows whose records are in it; None: no results folder was given.
    sha256 : str
        Of `SHA256SUMS`, and so of everything.
    """

    version: str
    date: str
    boards: int
    rows: int
    records: int | None
    files: dict[str, str]
    sha256: str


def write_release(
    version: str,
    folder: Path,
    output: Path,
    *,
    results: Path | None = None,
    creators: Sequence[str] = (),
    dry_run: bool = False,
) -> Release:
    """Write the leaderboards in `folder` as a release.

    Parameters
    ----------
    version
        Such as `1.0`.
    output
        A folder that is not there yet.
    results
        A results folder, whose records of the rows go in too.
    creators
        As Zenodo has them, `Family, Given`; else the developers of dcbench.
    dry_run
        Make everything, and write nothing.

    Raises
    ------
    UsageError
        `version` is none, `output` is there already, or there is no leaderboard.
    RunError
        The leaderboards do not hold, or a file cannot be written.
    DataError
        A table or a record is damaged.
    """
    if not _VERSION.fullmatch(version):
        raise UsageError(f"version '{version}': should be numbers with points, as 1.0 or 1.0-rc1")
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise UsageError(f"{output}: is there already, and a release never changes; name another")
    problems = check(folder).problems
    if problems:
        raise RunError(
            f"{folder}: {len(problems)} problem{'s' if problems[1:] else ''}, the first: "
            f"{problems[0]}; `dcbench leaderboard check` lists all"
        )
    boards = load_boards(folder)
    date = max(str(board.runs["finished"].max()) for board in boards)[:10]
    contents = {f"leaderboard/{name}": text for name, text in _tables(folder)}
    records = None if results is None else _records(results, boards)
    contents |= {f"records/{name}": text for name, text in (records or {}).items()}
    contents |= {f"page/{name}": text for name, text in _page(boards)}
    for name, content in eval_files(boards, version, date).items():
        contents[f"every-eval-ever/{name}"] = _json(content)
    rows = sum(len(board.runs) for board in boards)
    # Tracks of a split are one leaderboard, of which each has ranks of its own.
    names = list(dict.fromkeys(f"{board.protocol}/{board.split}" for board in boards))
    found = {"version": version, "date": date, "boards": names, "rows": rows}
    contents[".zenodo.json"] = _json(_zenodo(found, creators))
    contents["README.md"] = _readme(found, boards, records is not None).encode()
    hashes = {name: hashlib.sha256(contents[name]).hexdigest() for name in sorted(contents)}
    sums = "".join(f"{digest}  {name}\n" for name, digest in hashes.items()).encode()
    if not dry_run:
        write_files({output / name: text for name, text in {**contents, SUMS: sums}.items()})
    return Release(
        version=version,
        date=date,
        boards=len(names),
        rows=rows,
        records=None if records is None else len(records),
        files=hashes,
        sha256=hashlib.sha256(sums).hexdigest(),
    )


def _tables(folder: Path) -> Iterator[tuple[str, bytes]]:
    yield from state_of_folder(folder).files.items()
    if (folder / "README.md").exists():
        yield "README.md", read_file(folder / "README.md")


def _page(boards: Sequence[Board]) -> Iterator[tuple[str, bytes]]:
    with tempfile.TemporaryDirectory(prefix="dcbench-") as scratch:
        write_page(boards, load_reported(), Path(scratch), installed=False)
        for path in sorted(Path(scratch).rglob("*")):
            if path.is_file():
                yield path.relative_to(scratch).as_posix(), path.read_bytes()


def _records(results: Path, boards: Sequence[Board]) -> dict[str, bytes]:
    """The records of the rows, by their addresses, as they were written."""
    wanted = {
        (board.protocol, board.split, digest)
        for board in boards
        for digest in board.runs["predictions_sha256"]
    }
    found = {}
    for path, record in find_records(results):
        key = (record.protocol, record.split, record.predictions.recorded_sha256)
        if key in wanted:
            found[f"{address_of(record).as_posix()}/{RECORD}"] = read_file(path)
    if not found:
        raise DataError(f"{results}: holds no record of a row; name the results that they are from")
    return found


def _json(content: Any) -> bytes:
    return f"{json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False)}\n".encode()


def _zenodo(found: Mapping[str, Any], creators: Sequence[str]) -> dict[str, Any]:
    """Metadata for a deposit, by the field names of Zenodo's API (developers.zenodo.org)."""
    listed = ", ".join(found["boards"])
    return {
        "title": f"dcbench leaderboards {found['version']}",
        "upload_type": "dataset",
        "publication_date": found["date"],
        "description": (
            f"<p>{found['rows']} training runs of image classification with little or unbalanced "
            f"data, on {len(found['boards'])} leaderboards: {html.escape(listed)}. One row a run, "
            "the means and ranks of methods, the rules that all runs obey, a page that opens "
            "without a network, and a file for each method in the form of Every Eval Ever. "
            "SHA256SUMS names the hash of every file.</p>"
        ),
        "creators": [{"name": name} for name in creators or (ORGANIZATION,)],
        "access_right": "open",
        "license": "MIT",
        "language": "eng",
        "version": found["version"],
        "keywords": ["benchmark", "image classification", "small data", "long-tailed recognition"],
    }


def _readme(found: Mapping[str, Any], boards: Sequence[Board], records: bool) -> str:
    lines = [
        f"# dcbench leaderboards {found['version']}",
        "",
        f"{found['rows']} runs on {len(found['boards'])} leaderboards, the last of "
        f"{found['date']}; written by dcbench {__version__}. This folder stands for itself and "
        "never changes.",
        "",
        "| folder | holds |",
        "|---|---|",
        "| `leaderboard/` | rows, summaries and rules; its README describes every column |",
        "| `page/` | `index.html`, which opens without a network; no images of datasets |",
        "| `every-eval-ever/` | a JSON file for each method, in that schema's version 0.3.0 |",
        *(["| `records/` | the record of each run, by its address |"] if records else []),
        "| `.zenodo.json` | metadata for a deposit |",
        "| `SHA256SUMS` | the hash of every file: `sha256sum --check SHA256SUMS` |",
        "",
        "| leaderboard | runs | methods |",
        "|---|---|---|",
        *(
            f"| {titled(f'{board.protocol}/{board.split}', board.track)} | {len(board.runs)} | "
            f"{board.runs['method'].nunique()} |"
            for board in boards
        ),
        "",
    ]
    return "\n".join(lines)
