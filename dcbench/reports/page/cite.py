"""BibTeX entries: of a method's paper, of a board, and of a row."""

from __future__ import annotations

import re

import pandas as pd

from dcbench._version import __version__
from dcbench.leaderboard.boards import Board, titled
from dcbench.reports.latex import escape_latex
from dcbench.reports.page.content import MethodRow, slug

AUTHOR = "The dcbench developers"
_PAPER = re.compile(
    r"(?P<authors>[^,]+), (?P<title>.+), (?P<where>[^,]*?(?P<year>\d{4})[^,(]*?)"
    r"( \(arXiv (?P<arxiv>\d{4}\.\d{4,5})\))?"
)
_HASHES = 8


def paper_link(paper: str) -> str:
    """The address of a paper on arXiv; "" where its text names none."""
    found = re.search(r"\(arXiv (\d{4}\.\d{4,5})\)", paper)
    return f"https://arxiv.org/abs/{found[1]}" if found else ""


def cite_paper(method: str, paper: str) -> str:
    """The entry of a paper as methods name it: authors, title, venue with year, arXiv number.

    A text of another form stands in the entry as a whole.
    """
    found = _PAPER.fullmatch(paper)
    if found is None:
        return _entry(slug(method), title=method, howpublished=paper)
    authors = found["authors"].replace(" et al.", " and others")
    return _entry(
        f"{slug(authors.split(' ')[0])}{found['year']}-{slug(method)}",
        author=authors,
        title=f"{{{escape_latex(found['title'])}}}",
        year=found["year"],
        note=found["where"],
        eprint=found["arxiv"] or "",
        archiveprefix="arXiv" if found["arxiv"] else "",
    )


def cite_board(board: Board, rows_sha256: str) -> str:
    """The entry of a board; `rows_sha256` is that of its file of runs."""
    return _entry(
        slug("dcbench", board.name),
        author=f"{{{AUTHOR}}}",
        title=f"{{dcbench leaderboard: {_of(board)} under protocol {board.protocol}}}",
        year=_year(board.runs),
        note=(
            f"dcbench {__version__}; {len(board.runs)} runs of {board.runs['method'].nunique()} "
            f"methods; SHA-256 of the rows {rows_sha256}"
        ),
    )


def cite_row(board: Board, row: MethodRow) -> str:
    """The entry of a method's row on a board: its number, and the predictions that it is of."""
    accuracy = row.accuracy
    spread = f" {accuracy.spread}" if accuracy.spread else ""
    known = [run.predictions_sha256[:12] for run in row.runs[:_HASHES]]
    more = f" and {len(row.runs) - _HASHES} more" if len(row.runs) > _HASHES else ""
    return _entry(
        slug("dcbench", board.name, row.method),
        author=f"{{{AUTHOR}}}",
        title=f"{{{escape_latex(row.method)} on {_of(board)} under protocol {board.protocol}}}",
        year=_year(board.runs),
        note=escape_latex(
            f"dcbench {__version__}; accuracy {accuracy.text} %{spread} over "
            f"{row.n} run{'s' * (row.n > 1)}, {row.state}; predictions {', '.join(known)}{more}"
        ),
    )


def _of(board: Board) -> str:
    return escape_latex(titled(board.split, board.track))


def _year(runs: pd.DataFrame) -> str:
    """The year of the newest run; "" where no row says when it ended."""
    ended = runs["finished"].dropna() if "finished" in runs else pd.Series(dtype=str)
    return str(ended.max())[:4] if len(ended) else ""


def _entry(key: str, **fields: str) -> str:
    lines = [f"  {name} = {{{value}}}," for name, value in fields.items() if value]
    return "\n".join([f"@misc{{{key},", *lines, "}"])
