"""SVG files as a page may show them: pictures alone, with the words that they bring along.

A page links to the files, and a file that is opened runs what it holds. So whatever is no shape, no
text and no paint is refused.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, NoReturn
from xml.parsers import expat

from dcbench.config.reading import MIB, read_file
from dcbench.errors import UsageError

MOST_SVG = 64 * MIB

_SHAPES = {
    *("svg", "g", "defs", "symbol", "use", "image", "style", "title", "desc", "metadata"),
    *("path", "rect", "circle", "ellipse", "line", "polyline", "polygon"),
    *("text", "tspan", "textPath", "clipPath", "mask", "pattern", "marker"),
    *("linearGradient", "radialGradient", "stop"),
}
_SVG = "http://www.w3.org/2000/svg"
_DESCRIPTIONS = (
    "http://www.w3.org/1999/02/22-rdf-syntax-ns#",
    "http://purl.org/dc/elements/1.1/",
    "http://creativecommons.org/ns#",
)
"""Namespaces of elements that say who made a picture, as Matplotlib writes them."""

_OUTSIDE = re.compile(r"url\(\s*['\"]?\s*(?!#)|@import|expression\(|javascript:|\\", re.IGNORECASE)
_INSIDE = re.compile(r"#|data:image/(png|jpeg|gif|webp);base64,")


@dataclass
class Picture:
    """An SVG file that is a picture and nothing else.

    Attributes
    ----------
    title, description : str
        The text of its first `<title>` and `<desc>`; "" where there is none.
    """

    content: bytes
    title: str = ""
    description: str = ""

    def write(self, file: BinaryIO) -> None:
        """Write the file as it is."""
        file.write(self.content)


def read_svg(path: Path) -> Picture:
    """An SVG file, looked through.

    Raises
    ------
    UsageError
        It is no SVG, or holds what runs or is loaded where it is opened.
    """
    content = read_file(path, most=MOST_SVG, error=UsageError)
    looked_at = _Look(path)
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.buffer_text = True
    parser.StartElementHandler = looked_at.start
    parser.EndElementHandler = looked_at.end
    parser.CharacterDataHandler = looked_at.text
    parser.EntityDeclHandler = lambda *_: looked_at.refuse("an entity")
    parser.ProcessingInstructionHandler = lambda *_: looked_at.refuse("an instruction")
    try:
        parser.Parse(content, True)
    except expat.ExpatError as problem:
        raise UsageError(f"{path}: not an SVG file: {problem}") from None
    words = {name: " ".join("".join(parts).split()) for name, parts in looked_at.words.items()}
    return Picture(content, words.get("title", ""), words.get("desc", ""))


@dataclass
class _Look:
    """What is seen of a file while it is parsed."""

    path: Path
    words: dict[str, list[str]] = field(default_factory=dict)
    _heard: list[str] = field(default_factory=list)

    def start(self, element: str, attributes: dict[str, str]) -> None:
        space, _, name = element.rpartition(" ")
        if space not in _DESCRIPTIONS and not (space in ("", _SVG) and name in _SHAPES):
            self.refuse(f"<{name[:40]}>")
        for attribute, value in attributes.items():
            key = attribute.rpartition(" ")[2].lower()
            outside = key == "href" and not _INSIDE.match(value.strip())
            if key.startswith("on") or outside or _OUTSIDE.search(value):
                self.refuse(f'{key[:40]}="{value[:40]}"')
        self._heard = []

    def end(self, element: str) -> None:
        space, _, name = element.rpartition(" ")
        if name == "style" and _OUTSIDE.search("".join(self._heard)):
            self.refuse("a style that loads something")
        if space in ("", _SVG) and name in ("title", "desc"):
            self.words.setdefault(name, self._heard)
        self._heard = []

    def text(self, text: str) -> None:
        self._heard.append(text)

    def refuse(self, what: str) -> NoReturn:
        raise UsageError(
            f"{self.path}: holds {what}, which no figure needs, and a page may not show: remove "
            "it, or draw the figure again"
        )
