"""A page for each method: its paper, settings, rows, curves, and how to cite it."""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from dcbench.config.protocol import load_protocol
from dcbench.data.splits import split_config
from dcbench.leaderboard.boards import Board, titled
from dcbench.leaderboard.statistics import paired_difference, values_by_method
from dcbench.methods import Method, is_own, method_names
from dcbench.reports.kinship import class_of, kinship, plain_name
from dcbench.reports.page.cite import cite_paper, cite_row, paper_link
from dcbench.reports.page.content import MethodRow, MethodTable
from dcbench.reports.page.cost import BASE
from dcbench.reports.page.figures import Figure
from dcbench.reports.page.rules import Setting

_MOST_LINKS = 3


@dataclass(frozen=True)
class RowOnPage:
    """A row of a method, as text; `key` is its address on the main page."""

    key: str
    split: str
    protocol: str
    subsets: str
    rank: str
    runs: str
    accuracy: str
    spread: str
    over_base: str
    over_twin: str
    over_plain: str
    ece: str
    cost: str


@dataclass(frozen=True)
class MethodPage:
    """What the page of a method shows; `plain` is the method without the settings in its name."""

    name: str
    summary: str
    paper: str
    paper_link: str
    family: str
    twin: str
    twin_page: str
    plain: str
    plain_page: str
    code: str
    links: tuple[str, ...]
    settings: list[Setting]
    rows: list[RowOnPage]
    figures: list[Figure]
    citations: list[str]


class Boards:
    """All boards of a page with their tables, taken apart by method once."""

    def __init__(
        self, boards: Sequence[tuple[Board, Sequence[MethodTable]]], *, installed: bool = True
    ) -> None:
        self.by_method: dict[str, list[tuple[Board, MethodTable, MethodRow, pd.DataFrame]]] = {}
        self.footnotes: dict[str, list[str]] = {}
        # Once: a name that is not registered has every installed package asked for it.
        names = method_names()
        self.known = frozenset(names if installed else filter(is_own, names))
        for board, tables in boards:
            for table in tables:
                values = values_by_method(table.runs_of(board), "accuracy")
                for row in table.rows:
                    self.by_method.setdefault(row.method, []).append((board, table, row, values))
            if "footnote" in board.runs:
                noted = board.runs.dropna(subset=["footnote"])
                for method, notes in noted.groupby("method")["footnote"]:
                    self.footnotes.setdefault(str(method), []).extend(map(str, notes.unique()))


def method_page(
    name: str, boards: Boards, pages: Mapping[str, str], figures: list[Figure]
) -> MethodPage:
    """What the page of a method shows; `pages` are the addresses of all methods' pages."""
    found = class_of(name, boards.known)
    family, twin = kinship(name, boards.known)
    plain = plain_name(name) if "[" in name else ""
    rows = boards.by_method[name]
    paper = found.paper if found else ""
    cited = [cite_paper(name, paper)] if paper else []
    return MethodPage(
        name=name,
        summary=_summary(found),
        paper=paper,
        paper_link=paper_link(paper),
        family=family,
        twin=twin,
        twin_page=pages.get(twin, "").removeprefix("methods/"),
        plain=plain,
        plain_page=pages.get(plain, "").removeprefix("methods/"),
        code=f"{found.__module__}.{found.__qualname__}" if found else "",
        links=_links(boards.footnotes.get(name, ())),
        settings=_settings(name, found, [board for board, *_ in rows]),
        rows=[_row(*each, twin, plain) for each in rows],
        figures=figures,
        citations=cited + [cite_row(board, row) for board, table, row, _ in rows if table.first],
    )


def _summary(found: type[Method] | None) -> str:
    text = (inspect.getdoc(found) or "") if found else ""
    return " ".join(text.replace("`", "").split())


def _links(footnotes: Iterable[str]) -> tuple[str, ...]:
    """The addresses that the rows' footnotes name, as where the code can be had."""
    found = (link for text in footnotes for link in re.findall(r"https://[^\s\"'<>;,)]+", text))
    return tuple(dict.fromkeys(found))[:_MOST_LINKS]


def _settings(name: str, found: type[Method] | None, boards: Sequence[Board]) -> list[Setting]:
    """Settings with their defaults; as their source, what protocols and the name say instead."""
    if found is None:
        return []
    instead: dict[str, dict[str, None]] = {}
    for part in filter(None, name.partition("[")[2].removesuffix("]").split(",")):
        key, _, value = part.partition("=")
        instead.setdefault(key, {})[f"{value}: this row's name says so"] = None
    for board in boards:
        recipe = split_config(board.split).recipe
        listed = load_protocol(board.protocol).entry(recipe).methods.get(found.name, {})
        for key, value in listed.items():
            field = found.model_fields.get(key)
            if field is None or value == field.default:
                continue
            instead.setdefault(key, {})[f"{value} ({board.protocol}, {recipe})"] = None
    return [
        Setting(
            key,
            str(field.default),
            (field.description or "").replace("`", ""),
            "; ".join(instead.get(key, ())),
        )
        for key, field in found.model_fields.items()
    ]


def _row(
    board: Board, table: MethodTable, row: MethodRow, values: pd.DataFrame, twin: str, plain: str
) -> RowOnPage:
    by_key = {metric.key: cell for metric, cell in zip(table.metrics, row.cells, strict=True)}
    ece = by_key.get("ece15")
    rank = "provisional" if row.rank is None else f"{row.rank}{'=' * bool(row.tied)}"
    return RowOnPage(
        key=row.key,
        split=titled(board.split, board.track),
        protocol=board.protocol,
        subsets=table.title.lower(),
        rank=rank,
        runs=f"{row.n}/{row.asked}",
        accuracy=row.accuracy.text,
        spread=row.accuracy.spread,
        over_base=_difference(values, row.method, BASE),
        over_twin=_difference(values, row.method, twin),
        over_plain=_difference(values, row.method, plain),
        ece="–" if ece is None else ece.text,
        cost=row.cost.text,
    )


def _difference(values: pd.DataFrame, method: str, against: str) -> str:
    """`+3.3 (+2.5 to +4.1)` in points; a dash where there is no such pair."""
    found = paired_difference(values, method, against)
    if against == method or found is None:
        return "–"
    if math.isnan(found.low):
        return f"{100 * found.mean:+z.1f}"
    return f"{100 * found.mean:+z.1f} ({100 * found.low:+z.1f} to {100 * found.high:+z.1f})"
