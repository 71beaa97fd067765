"""Where splits are looked for: those that ship, folders of one's own, packages, single files."""

from __future__ import annotations

import difflib
import functools
import os
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from pathlib import Path

from dcbench.config.names import path_part
from dcbench.config.paths import expanded, files_in, shipped_root
from dcbench.errors import UsageError, unknown

GROUP = "dcbench.splits"
"""Entry points that name packages with a split's YAML files in their folder."""


def splits_folder() -> Path:
    """Where the splits that ship are listed."""
    return shipped_root() / "splits"


def own_splits_folder() -> Path | None:
    """The first folder of `DCBENCH_SPLITS`, where new splits are written."""
    folders = _of_the_environment()
    return folders[0] if folders else None


def split_files() -> dict[str, Path]:
    """The file of each split that goes by its name.

    Raises
    ------
    UsageError
        Two places have a split of one name.
    """
    found: dict[str, Path] = {}
    for folder in [splits_folder(), *_of_the_environment(), *map(_folder, _installed())]:
        for path in files_in(folder, "*.yaml"):
            other = found.setdefault(path.stem, path)
            if not _same_file(other, path):
                raise UsageError(
                    f"split {path.stem} is in two places: {other} and {path}; rename one"
                )
    return found


def find_split(name: str) -> Path:
    """The file of a split: by its name, or where `name` is the path of a YAML file.

    Raises
    ------
    UsageError
        There is none.
    """
    if name.endswith((".yaml", ".yml")):
        path = expanded(name, "split ").absolute()
        if not path.is_file():
            raise UsageError(f"{path}: there is no such file")
        return path
    shipped = splits_folder() / f"{name}.yaml"
    if shipped.parent == splits_folder() and shipped.is_file():
        return shipped
    files = split_files()
    if name not in files:
        hint = "" if difflib.get_close_matches(name[:200], files) else _HINT
        raise UsageError(f"{unknown('split', name, files)}{hint}")
    return files[name]


_HINT = "; a split of your own is found by the path of its YAML file, or with DCBENCH_SPLITS"


def asked_for(path: Path) -> str:
    """What a command takes for the split whose YAML file is at `path`: a name, else the path."""
    return path.stem if path.parent == splits_folder() else str(path)


def lists_folder(path: Path, name: str) -> Path:
    """The folder with the lists of a split, which the YAML file at `path` names.

    Beside that file, else beside that of the split of this name.
    """
    beside = path.parent / path_part(name)
    if beside.is_dir() or path.stem == name:
        return beside
    return find_split(name).parent / name


def _of_the_environment() -> list[Path]:
    """The folders in `DCBENCH_SPLITS`, between colons (semicolons on Windows)."""
    listed = os.environ.get("DCBENCH_SPLITS", "").split(os.pathsep)
    folders = [expanded(each, "DCBENCH_SPLITS: ").absolute() for each in listed if each.strip()]
    for folder in folders:
        if not folder.is_dir():
            raise UsageError(f"DCBENCH_SPLITS: {folder}: there is no such folder")
    return folders


@functools.cache
def _installed() -> list[EntryPoint]:
    return sorted(entry_points(group=GROUP), key=lambda each: each.name)


def _folder(entry_point: EntryPoint) -> Path:
    """The folder of the package that an entry point names; the package itself is not imported."""
    try:
        spec = find_spec(entry_point.value)
    except ImportError:
        spec = None
    places = (spec.submodule_search_locations if spec else None) or []
    for place in places:
        return Path(place)
    raise UsageError(
        f"entry point '{entry_point.name}' of {GROUP}: {entry_point.value} is no package; it "
        "should be one that has a split's YAML file in its folder"
    )


def _same_file(one: Path, other: Path) -> bool:
    return one == other or (one.exists() and other.exists() and one.samefile(other))
