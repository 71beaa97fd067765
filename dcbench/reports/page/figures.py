"""Figures on the page: SVG files of a folder, with the words that they bring along."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from dcbench.config.paths import files_in
from dcbench.errors import UsageError
from dcbench.records.atomic import write_whole, writing
from dcbench.reports.page.svg import read_svg


@dataclass(frozen=True)
class Figure:
    """A figure: its file's name, its address beside the page, its title, what it shows."""

    name: str
    href: str
    title: str
    description: str


def copy_figures(folder: Path, output: Path) -> list[Figure]:
    """Copy the SVG files of a folder to `figures/` beside the page.

    Title and description are the file's own `<title>` and `<desc>`; without a title, the file's
    name serves.

    Raises
    ------
    UsageError
        There is no such folder, no SVG file in it, or one that is more than a picture.
    """
    found = files_in(folder, "**/*.svg")
    if not found:
        raise UsageError(
            f"{folder}: holds no SVG file; `dcbench leaderboard figures -o {folder}` draws them"
        )
    figures = []
    for path in found:
        name, picture = path.relative_to(folder), read_svg(path)
        target = output / "figures" / name
        with writing(target):
            target.parent.mkdir(parents=True, exist_ok=True)
        write_whole(target, picture.write)
        title = picture.title or path.stem.replace("-", " ")
        href = quote(f"figures/{name.as_posix()}")
        figures.append(Figure(path.stem, href, title, picture.description))
    return figures


def by_section(figures: Iterable[Figure], sections: Sequence[str]) -> dict[str, list[Figure]]:
    """Figures by the longest of `sections`, such as `v1-cifair10`, that their name begins with.

    Those that belong to none are under "".
    """
    found: dict[str, list[Figure]] = {section: [] for section in ("", *sections)}
    for figure in figures:
        fitting = [each for each in sections if figure.name.startswith(f"{each}-")]
        found[max(fitting, key=len, default="")].append(figure)
    return found
