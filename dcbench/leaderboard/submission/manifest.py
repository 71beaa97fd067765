"""`submission.json`: what is in a submission, each file with its size and hash."""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from dcbench.config.base import Config, validated
from dcbench.config.names import path_part
from dcbench.config.reading import GIB, MIB, MOST_TEXT, parse_json, read_file
from dcbench.errors import DataError
from dcbench.leaderboard.columns import TEXT

MANIFEST = "submission.json"
RESULTS, SOURCE = "results", "source"
"""The folders of the runs, and of the code that is not dcbench's own."""

MOST_SOURCE = MIB
"""Bytes of a file of code."""

MOST_FILES = 100_000

_OF_A_RUN = re.compile(
    r"(?P<run>[^/]+/[^/]+/subset-\d{1,9}/[^/]+/seed-\d{1,9})/"
    r"(record\.json|predictions\.npz|history\.csv|sets/[a-z0-9_-]{1,80}\.(json|npz))"
)


def checked_name(name: str) -> str:
    """A file's path in a submission: one of a run's files, or a file of code.

    Raises
    ------
    ValueError
        It is anything else.
    """
    folder, _, rest = name.partition("/")
    right = (
        _OF_A_RUN.fullmatch(rest) if folder == RESULTS else re.fullmatch(r"[^/]+\.py", rest)
    ) and folder in (RESULTS, SOURCE)
    if not right:
        raise ValueError(
            f"should be {RESULTS}/ and a file of a run without its weights, or {SOURCE}/NAME.py"
        )
    for part in PurePosixPath(name).parts:
        path_part(part)
    return name


def most_bytes(name: str) -> int:
    """How large a file of a submission may be."""
    if name.startswith(f"{SOURCE}/"):
        return MOST_SOURCE
    return GIB if name.endswith(".npz") else MOST_TEXT


def _one_line(text: str) -> str:
    if not TEXT.holds(text):
        raise ValueError(f"should be {TEXT.words}")
    return text


Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class PackedFile(Config):
    """A file of a submission."""

    name: Annotated[str, AfterValidator(checked_name)]
    bytes: int = Field(ge=0)
    sha256: Sha256


class PackedSource(Config):
    """Code that decided numbers of the runs and is not dcbench's own."""

    kind: Literal["method", "network"]
    names: tuple[str, ...] = Field(min_length=1, description="that records give it")
    package: str | None = Field(description="the installed package with its version, if it is one")
    file: Annotated[str, AfterValidator(checked_name)]
    sha256: Sha256


class Submission(Config):
    """The content of `submission.json`."""

    format: Literal["dcbench submission"] = "dcbench submission"
    version: Literal[1] = 1
    dcbench: str = Field(description="the version that packed it")
    footnote: Annotated[str, AfterValidator(_one_line)] = Field(
        "", description="of the rows: where the method can be had, in which version"
    )
    sources: tuple[PackedSource, ...] = ()
    files: tuple[PackedFile, ...] = Field(min_length=1, max_length=MOST_FILES)

    @property
    def runs(self) -> list[str]:
        """Where the runs lie under a results folder."""
        ending = "/record.json"
        names = (each.name.removeprefix(f"{RESULTS}/") for each in self.files)
        return [name.removesuffix(ending) for name in names if name.endswith(ending)]


def parse_submission(content: bytes, where: str) -> Submission:
    """The manifest from the bytes of its file.

    Raises
    ------
    DataError
        It is damaged, of a later version, or names files that no submission has.
    """
    values = parse_json(content, where)
    version = values.get("version") if isinstance(values, dict) else None
    if isinstance(version, int) and version > 1:
        raise DataError(f"{where}: version={version}: this dcbench reads 1; update it")
    return validated(Submission, values, where, DataError)


def footnote_of(folder: Path) -> str:
    """The footnote of a submission that lies unpacked in a folder; none if there is none."""
    path = folder / MANIFEST
    if not path.exists():
        return ""
    return parse_submission(read_file(path), str(path)).footnote
