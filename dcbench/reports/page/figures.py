"""Figures on the page: SVG files of a folder, with the words that they bring along."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import unescape
from pathlib import Path
from urllib.parse import quote

from dcbench.errors import UsageError
from dcbench.records.atomic import writing


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
        There is no such folder, or no SVG file in it.
    """
    found = sorted(folder.rglob("*.svg"))
    if not found:
        raise UsageError(
            f"{folder}: holds no SVG file; `dcbench leaderboard figures -o {folder}` draws them"
        )
    figures = []
    for path in found:
        name = path.relative_to(folder)
        target = output / "figures" / name
        with writing(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
        content = path.read_text(encoding="utf-8", errors="replace")
        title = _element("title", content) or path.stem.replace("-", " ")
        href = quote(f"figures/{name.as_posix()}")
        figures.append(Figure(path.stem, href, title, _element("desc", content)))
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


def _element(tag: str, content: str) -> str:
    """The text of the first such element; "" where there is none."""
    match = re.search(rf"<{tag}\b[^>]*>([^<]*)</{tag}>", content)
    return " ".join(unescape(match[1]).split()) if match else ""
