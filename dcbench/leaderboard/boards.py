"""Leaderboards as they are read by whatever shows them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from dcbench.config.paths import files_in, folders_in, shipped_root
from dcbench.config.protocol import load_protocol
from dcbench.data.splits import split_config
from dcbench.errors import DataError, UsageError
from dcbench.leaderboard.tables import (
    read_rows,
    read_summary,
    runs_path,
    summary_path,
    with_numbers,
)


@dataclass(frozen=True, eq=False)
class Board:
    """The results on one split under one protocol.

    Attributes
    ----------
    runs : DataFrame
        One row a run, with the columns of `runs/<split>.csv`; an empty cell of a number is NaN.
    summary : DataFrame
        One row a method, with the columns of `<split>.csv`; `rank` is a nullable whole number.
    """

    protocol: str
    split: str
    runs: pd.DataFrame
    summary: pd.DataFrame

    def __repr__(self) -> str:
        methods = self.summary["method"].nunique()
        return (
            f"<Board: {self.split}, protocol {self.protocol}; "
            f".rows: {len(self.runs)} runs of {methods} methods, .summary: their means and ranks>"
        )

    @property
    def rows(self) -> pd.DataFrame:
        """The runs, by the name that a leaderboard's files have for them."""
        return self.runs


def load_board(split: str, protocol: str, folder: Path | None = None) -> Board:
    """The leaderboard of a split, from `folder` or from those that ship.

    Raises
    ------
    UsageError
        An unknown split or protocol, or no leaderboard of them.
    DataError
        A file is damaged.
    """
    split_config(split)
    load_protocol(protocol)
    return _load(_root(folder) / protocol, split)


def protocols_with(split: str, folder: Path | None = None) -> list[str]:
    """The protocols under which a split has a leaderboard, `v1` before its lighter versions."""
    return sorted(path.parents[1].name for path in _root(folder).glob(f"*/runs/{split}.csv"))


def load_boards(folder: Path | None = None) -> list[Board]:
    """Every leaderboard in `folder` or of those that ship; errors as for `load_board`."""
    root = _root(folder)
    if not root.is_dir():
        raise UsageError(f"{root}: there is no such folder")
    return [_load(path.parents[1], path.stem) for path in _tables(root)]


def _tables(root: Path) -> list[Path]:
    return [path for folder in folders_in(root) for path in files_in(folder / "runs", "*.csv")]


def _root(folder: Path | None) -> Path:
    return folder or shipped_root() / "leaderboard"


def _load(folder: Path, split: str) -> Board:
    rows, summary = runs_path(folder, split), summary_path(folder, split)
    for path in (rows, summary):
        if not path.exists():
            others = [name for name in protocols_with(split, folder.parent) if name != folder.name]
            hint = f"; there is one under {', '.join(others)}" if others else ""
            raise UsageError(
                f"{path}: there is no leaderboard of {split} under protocol {folder.name} yet{hint}"
            )
    listed = read_rows(rows)
    if not listed:
        raise DataError(f"{rows}: holds no row; remove it and its summary")
    runs = with_numbers(listed, rows)
    return Board(folder.name, split, runs, read_summary(summary))
