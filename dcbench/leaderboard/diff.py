"""What differs between two states of a leaderboard: rows, columns, rules, and ranks that moved."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from dcbench.leaderboard.rows import Key, Row
from dcbench.leaderboard.rules_lock import changed_rules
from dcbench.leaderboard.states import State


class Cell(NamedTuple):
    """What a cell was, and what it is now."""

    before: str
    after: str


class Standing(NamedTuple):
    """How a method stands in a summary; a rank that is empty: it is provisional, or not there."""

    n: str = ""
    state: str = ""
    rank: str = ""
    accuracy_mean: str = ""


class Move(NamedTuple):
    """A method whose rank, or whether it has one, is another."""

    subsets: str
    method: str
    before: Standing
    after: Standing


@dataclass(frozen=True)
class BoardDiff:
    """What differs on one board.

    Attributes
    ----------
    board : str
        `<protocol>/<split>`.
    added, gone : dict
        Rows by subset, method and seed.
    changed : dict
        The cells that differ, by column, of rows that both have.
    columns_added, columns_gone : tuple of str
        Columns in which the rows that both have are empty in one of the states; their cells are no
        changes of rows.
    """

    board: str
    added: dict[Key, Row]
    gone: dict[Key, Row]
    changed: dict[Key, dict[str, Cell]]
    columns_added: tuple[str, ...]
    columns_gone: tuple[str, ...]
    moves: tuple[Move, ...]

    def __bool__(self) -> bool:
        """Whether anything differs."""
        return any((self.added, self.gone, self.changed, self.moves)) or any(
            (self.columns_added, self.columns_gone)
        )


@dataclass(frozen=True)
class Diff:
    """What differs between two states.

    Attributes
    ----------
    rules : dict
        Where frozen rules are other ones, by protocol, one line a key.
    """

    before: str
    after: str
    boards: tuple[BoardDiff, ...]
    rules: dict[str, list[str]]

    def __bool__(self) -> bool:
        """Whether anything differs."""
        return bool(self.boards or self.rules)


def diff(before: State, after: State) -> Diff:
    """Every row, column, rule and rank that is not the same in two states.

    Raises
    ------
    DataError
        A table or the rules of one of them cannot be read.
    """
    old, new = _by_board(before), _by_board(after)
    names = sorted({*old, *new, *before.summaries, *after.summaries})
    boards = (
        _board(name, old.get(name, {}), new.get(name, {}), _moves(name, before, after))
        for name in names
    )
    rules = {name: _changed(before, after, name) for name in before.protocols}
    return Diff(
        before.title,
        after.title,
        tuple(board for board in boards if board),
        {name: lines for name, lines in rules.items() if lines},
    )


def _changed(before: State, after: State, protocol: str) -> list[str]:
    old, new = before.frozen(protocol), after.frozen(protocol)
    said = changed_rules(old, new) if old is not None and new is not None else []
    return [line.replace(" was frozen, now it is ", " before, now ") for line in said]


def _by_board(state: State) -> dict[str, dict[Key, Row]]:
    boards: dict[str, dict[Key, Row]] = defaultdict(dict)
    for run, row in state.rows.items():
        boards[run.board][run.key] = row
    return boards


def _board(
    name: str, old: dict[Key, Row], new: dict[Key, Row], moves: tuple[Move, ...]
) -> BoardDiff:
    both = sorted(old.keys() & new.keys())
    filled_before, filled_after = (_filled(rows[key] for key in both) for rows in (old, new))
    filled = filled_before & filled_after
    cells = {key: _cells(old[key], new[key], filled) for key in both}
    return BoardDiff(
        board=name,
        added={key: row for key, row in sorted(new.items()) if key not in old},
        gone={key: row for key, row in sorted(old.items()) if key not in new},
        changed={key: each for key, each in cells.items() if each},
        columns_added=tuple(sorted(filled_after - filled)),
        columns_gone=tuple(sorted(filled_before - filled)),
        moves=moves,
    )


def _filled(rows: Iterable[Row]) -> frozenset[str]:
    """The columns that any of the rows has a value in."""
    return frozenset(column for row in rows for column, cell in row.items() if cell)


def _cells(old: Row, new: Row, columns: frozenset[str]) -> dict[str, Cell]:
    """The cells that differ, of these columns."""
    return {
        column: Cell(cell, new.get(column, ""))
        for column, cell in old.items()
        if column in columns and new.get(column, "") != cell
    }


def _moves(board: str, before: State, after: State) -> tuple[Move, ...]:
    old, new = (state.summaries.get(board, {}) for state in (before, after))
    moves = (
        Move(*key, _standing(old.get(key, {})), _standing(new.get(key, {})))
        for key in sorted({*old, *new})
    )
    return tuple(
        move
        for move in moves
        if (move.before.state, move.before.rank) != (move.after.state, move.after.rank)
    )


def _standing(row: Row) -> Standing:
    return Standing(*(row.get(field, "") for field in Standing._fields))
