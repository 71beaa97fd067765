"""The pages that users read, and the blocks of code in them.

A comment before a block, `<!-- not run: reason -->`, says that its commands are only parsed. A
Python block whose first line names a file, `# method.py`, is written to that file.
"""

from __future__ import annotations

import re
import shlex
import textwrap
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), ROOT / "CONTRIBUTING.md"]

_BLOCK = re.compile(
    r"(?:^ *<!-- not run: (?P<reason>[^>]+?) -->\n)?"
    r"^(?P<indent> *)```(?P<language>\w*)\n(?P<code>.*?)^(?P=indent)```$",
    re.MULTILINE | re.DOTALL,
)
_INLINE = re.compile(r"`dcbench( [^`]+)`")


@dataclass(frozen=True)
class Block:
    """A fenced block; `reason` says why it is not run."""

    page: Path
    line: int
    language: str
    code: str
    reason: str | None

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"

    @property
    def file_name(self) -> str | None:
        """The file that the block is the content of."""
        found = re.match(r"# ([\w/.-]+\.py)\n", self.code)
        return found[1] if found else None

    @property
    def commands(self) -> list[list[str]]:
        """The commands of a shell block, as words."""
        lines = self.code.replace("\\\n", " ").splitlines()
        parts = [part for line in lines for part in line.split("&&")]
        return [words for part in parts if (words := shlex.split(part, comments=True))]


def blocks(page: Path) -> list[Block]:
    """The blocks of a page, in order."""
    text = page.read_text(encoding="utf-8")
    return [
        Block(
            page,
            text.count("\n", 0, found.start()) + 1,
            found["language"],
            textwrap.dedent(found["code"]),
            found["reason"],
        )
        for found in _BLOCK.finditer(text)
    ]


def commands_in_sentences(page: Path) -> list[list[str]]:
    """The words after `dcbench` where a sentence shows a command."""
    text = _BLOCK.sub("", page.read_text(encoding="utf-8"))
    return [shlex.split(found.replace("\n", " ")) for found in _INLINE.findall(text)]
