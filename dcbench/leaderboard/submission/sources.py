"""The code of methods and networks that are not dcbench's own, found by its hash."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from importlib.metadata import entry_points
from pathlib import Path
from typing import Literal, NamedTuple

from dcbench.config.plugins import file_of, loaded
from dcbench.config.reading import read_file
from dcbench.errors import UsageError
from dcbench.leaderboard.submission.manifest import MOST_SOURCE, SOURCE, PackedSource
from dcbench.records.schema import Record

Kind = Literal["method", "network"]


class Needed(NamedTuple):
    """Code that a record names."""

    kind: Kind
    name: str
    sha256: str
    package: str | None


def needed_by(record: Record) -> Iterator[Needed]:
    """The code that a run used beside dcbench's own."""
    if record.method_sha256 is not None:
        yield Needed("method", record.method, record.method_sha256, record.method_package)
    if record.network_sha256 is not None:
        model = record.recipe.model
        yield Needed("network", model, record.network_sha256, record.network_package)


def gathered(
    records: Iterable[tuple[Path, Record]], given: Sequence[Path]
) -> list[tuple[PackedSource, bytes]]:
    """The code that these runs used, from the files that are given and from installed packages.

    Raises
    ------
    UsageError
        A file is lacking, has changed since, or is used by no run.
    """
    texts = {
        path: read_file(path, most=MOST_SOURCE, links=True, error=UsageError) for path in given
    }
    by_hash = {hashlib.sha256(text).hexdigest(): path for path, text in texts.items()}
    first: dict[Needed, Path] = {}
    for path, record in records:
        for each in needed_by(record):
            first.setdefault(each, path)
    unused = by_hash.keys() - {each.sha256 for each in first}
    if unused:
        path = by_hash[min(unused)]
        raise UsageError(
            f"--source {path}: no run names its SHA-256, {min(unused)}: it has changed since, or "
            "is another file; records have the hash of the file with the class alone"
        )
    found: dict[tuple[Kind, str], tuple[PackedSource, bytes]] = {}
    for each, path in first.items():
        before = found.get((each.kind, each.sha256))
        text = before[1] if before else _text_of(each, path, by_hash, texts)
        names = {*(before[0].names if before else ()), each.name}
        stem = f"{min(names)}-{each.sha256[:12]}"
        packed = PackedSource(
            kind=each.kind,
            names=tuple(sorted(names)),
            package=each.package,
            file=f"{SOURCE}/{stem}.py",
            sha256=each.sha256,
        )
        found[each.kind, each.sha256] = packed, text
    return [found[key] for key in sorted(found)]


def _text_of(
    needed: Needed, path: Path, by_hash: dict[str, Path], texts: dict[Path, bytes]
) -> bytes:
    if needed.sha256 in by_hash:
        return texts[by_hash[needed.sha256]]
    installed = _installed(needed)
    if installed is not None:
        return installed
    package = f", of {needed.package}," if needed.package else ""
    raise UsageError(
        f"{path}: {needed.kind} '{needed.name}'{package} is from a file with SHA-256 "
        f"{needed.sha256}: name that file with --source FILE.py; if it has changed since, run again"
    )


def _installed(needed: Needed) -> bytes | None:
    """The file of an installed method or network, if it is still the one that a record names."""
    for entry_point in entry_points(group=f"dcbench.{_GROUPS[needed.kind]}", name=needed.name):
        path = file_of(loaded(entry_point, needed.kind, callable, needed.kind))
        text = read_file(path, most=MOST_SOURCE, links=True) if path else b""
        if hashlib.sha256(text).hexdigest() == needed.sha256:
            return text
    return None


_GROUPS = {"method": "methods", "network": "models"}
