"""What the page shows first: which method to take for how much data, and how sure that is."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dcbench.leaderboard.boards import Board, titled
from dcbench.leaderboard.statistics import paired_difference, values_by_method
from dcbench.reports.page.about import trained_images
from dcbench.reports.page.content import MethodRow, MethodTable, PageCell
from dcbench.reports.page.cost import BASE


@dataclass(frozen=True)
class Answer:
    """Which method to take on a split, and how sure that is.

    Attributes
    ----------
    images : str
        What there is to learn from.
    pick : MethodRow or None
        The method with the best mean among those of the first rank; None where none is ranked.
    level : list of MethodRow
        Those that are not significantly different from it.
    sure : list of str
        Sentences on how sure it is.
    """

    key: str
    split: str
    images: str
    pick: MethodRow | None
    level: list[MethodRow]
    sure: list[str]


@dataclass(frozen=True)
class Cell(PageCell):
    """A method on a split; `row` is the address of its row, "" where it has none."""

    row: str = ""
    mark: str = ""
    words: str = ""


@dataclass(frozen=True)
class Overview:
    """A protocol at a glance: its splits with their answers, and methods by splits."""

    protocol: str
    answers: list[Answer]
    rows: list[tuple[str, list[Cell]]]


def overview_of(protocol: str, boards: Mapping[str, tuple[Board, MethodTable]]) -> Overview:
    """The overview of a protocol over subset 0; boards with their first tables, by panel."""
    answers = [_answer(key, board, table) for key, (board, table) in boards.items()]
    by_split = {
        key: {row.method: row for row in table.rows if table.first}
        for key, (_, table) in boards.items()
    }
    best = Counter(
        row.method for rows in by_split.values() for row in rows.values() if row.rank == 1
    )
    there = Counter(method for rows in by_split.values() for method in rows)
    methods = sorted(there, key=lambda method: (-best[method], -there[method], method))
    return Overview(
        protocol,
        answers,
        [(method, [_cell(rows.get(method)) for rows in by_split.values()]) for method in methods],
    )


def _cell(row: MethodRow | None) -> Cell:
    if row is None:
        return Cell()
    accuracy = row.accuracy
    if row.rank is None:
        mark, words = f"{row.n}/{row.asked}", f"{row.n} of {row.asked} runs: too few for a rank"
    elif row.rank == 1:
        mark, words = "★", "best, or not significantly different from the best"
    else:
        mark, words = "", f"rank {row.rank}: significantly below the best"
    return Cell(accuracy.text, accuracy.spread, accuracy.order, row.key, mark, words)


def _answer(key: str, board: Board, table: MethodTable) -> Answer:
    images = trained_images(board.protocol, board.split)
    if not table.first:
        sure = ["No run is of subset 0, which these answers are of."]
        return Answer(key, titled(board.split, board.track), images, None, [], sure)
    ranked = [row for row in table.rows if row.rank is not None]
    if not ranked:
        asked = max(row.asked for row in table.rows)
        most = max(row.n for row in table.rows)
        sure = [
            f"Not decided: a rank takes {asked} runs of a method, and {_methods(len(table.rows))} "
            f"{'has' if len(table.rows) == 1 else 'have'} at most {most}."
        ]
        return Answer(key, titled(board.split, board.track), images, None, [], sure)
    pick, *others = [row for row in ranked if row.rank == 1]
    below = len(ranked) - 1 - len(others)
    sure = [_level(others, below)] if len(ranked) > 1 else ["No other method has all its runs."]
    if difference := _beside_base(board, pick.method):
        sure.append(difference)
    if waiting := [row for row in table.rows if row.rank is None]:
        sure.append(_unranked(waiting, pick))
    return Answer(key, titled(board.split, board.track), images, pick, others, sure)


def _level(others: Sequence[MethodRow], below: int) -> str:
    beaten = f"significantly better than the other {_methods(below)} with all runs" if below else ""
    if not others:
        return f"It is {beaten}."
    names = ", ".join(row.method for row in others)
    tied = f"These runs do not separate it from {names}"
    return f"{tied}; it is {beaten}." if below else f"{tied}."


def _beside_base(board: Board, method: str) -> str:
    """How much better than `erm` it is, run by run; "" for `erm` itself."""
    if method == BASE:
        return ""
    runs = board.runs[board.runs["subset"] == 0]
    found = paired_difference(values_by_method(runs, "accuracy"), method, BASE)
    if found is None:
        return ""
    if math.isnan(found.low):
        return f"{100 * found.mean:+z.1f} points over {BASE} in one paired run."
    return (
        f"{100 * found.mean:+z.1f} points over {BASE}: 95 % interval {100 * found.low:+z.1f} to "
        f"{100 * found.high:+z.1f}, {found.n} paired runs."
    )


def _methods(number: int) -> str:
    return "one method" if number == 1 else f"{number} methods"


def _unranked(waiting: Sequence[MethodRow], pick: MethodRow) -> str:
    """How many methods have too few runs, and which of them may turn out to be better."""
    said = f"Not ranked, for too few runs: {_methods(len(waiting))}"
    top = max(waiting, key=lambda row: row.accuracy.order or 0)
    if (top.accuracy.order or 0) <= (pick.accuracy.order or 0):
        return f"{said}, none with a higher mean."
    runs = "one run" if top.n == 1 else f"{top.n} runs"
    return f"{said}; {top.method} may be better: {top.accuracy.text} % in {runs}."
