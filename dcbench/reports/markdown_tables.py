"""Tables of a Markdown page that are written whole below their marks, for rows come and go."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from dcbench.errors import UsageError
from dcbench.leaderboard.boards import Board
from dcbench.reports.latex import escape_markdown

Writer = Callable[[str, Sequence[Board]], Iterable[str]]
"""Gives the lines of the table that a mark asks for."""

_PLAIN_NAME = re.compile(r"[\w.+=,\[\]-]+", re.ASCII)


def with_tables(
    lines: Sequence[str],
    page: str,
    writers: Mapping[str, Writer],
    load: Callable[[], Sequence[Board]],
) -> list[str]:
    """The lines of a page, with every marked table as the leaderboards have it.

    Parameters
    ----------
    page
        Its name, for messages.
    writers
        By what their marks begin with.
    load
        Gives the leaderboards; asked where there is a mark.

    Raises
    ------
    UsageError
        A mark that cannot be read, or that names what there is not.
    """
    filled: list[str] = []
    in_table = False
    for number, line in enumerate(lines, start=1):
        in_table = in_table and line.startswith("|")
        if in_table:
            continue
        filled.append(line)
        mark = line.strip()
        writer = next((writers[each] for each in writers if mark.startswith(each)), None)
        if writer is not None:
            try:
                filled += writer(mark, load())
            except UsageError as error:
                raise UsageError(f"{page}, line {number}: {error}") from None
            in_table = True
    return filled


def table_lines(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """A head, and rows with a cell under each title or with fewer, the last of them dashes."""
    yield table_line(titles)
    yield f"|{'---|' * len(titles)}"
    for row in rows:
        yield table_line([*row, *["–"] * (len(titles) - len(row))])


def table_line(cells: Iterable[str]) -> str:
    """A row of a table."""
    return f"| {' | '.join(cells)} |"


def name_text(text: str) -> str:
    """A name as code; one that would end the code or the cell is escaped."""
    return f"`{text}`" if _PLAIN_NAME.fullmatch(text) else escape_markdown(text)
