"""Leaderboards as they are read by whatever shows them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from dcbench.config.paths import files_in, folders_in, shipped_root
from dcbench.config.protocol import load_protocol
from dcbench.data.splits import split_config
from dcbench.errors import DataError, UsageError, unknown
from dcbench.leaderboard.tables import (
    read_rows,
    read_summary,
    runs_path,
    summary_path,
    with_numbers,
)
from dcbench.leaderboard.tracks import DEFAULT, by_track


@dataclass(frozen=True, eq=False)
class Board:
    """The results on one split under one protocol, of one track: what may be ranked together.

    Attributes
    ----------
    runs : DataFrame
        One row a run, with the columns of `runs/<split>.csv`; an empty cell of a number is NaN.
    summary : DataFrame
        One row a method, with the columns of `<split>.csv`; `rank` is a nullable whole number.
    track : str
        `default`, or `tuned(n)`.
    """

    protocol: str
    split: str
    runs: pd.DataFrame
    summary: pd.DataFrame
    track: str = DEFAULT

    @property
    def title(self) -> str:
        """Whose results these are, as tables are headed."""
        return titled(f"{self.split}, protocol {self.protocol}", self.track)

    @property
    def heading(self) -> str:
        """The same in short, as figures are headed."""
        return f"{self.split} ({titled(self.protocol, self.track)})"

    @property
    def name(self) -> str:
        """What files and elements of its own are called: `v1-cifair10`."""
        return f"{self.protocol}-{self.file_name}"

    @property
    def file_name(self) -> str:
        """What files in a folder of its protocol are called: `cifair10`."""
        plain = re.sub(r"[()]+", "-", self.track).strip("-")
        return self.split if self.track == DEFAULT else f"{self.split}-{plain}"

    def __repr__(self) -> str:
        methods = self.summary["method"].nunique()
        return (
            f"<Board: {self.title}; "
            f".rows: {len(self.runs)} runs of {methods} methods, .summary: their means and ranks>"
        )

    @property
    def rows(self) -> pd.DataFrame:
        """The runs, by the name that a leaderboard's files have for them."""
        return self.runs


def titled(title: str, track: str) -> str:
    """A title that says which track is meant, but of the default one."""
    return title if track == DEFAULT else f"{title}, {track}"


def load_board(
    split: str, protocol: str, folder: Path | None = None, track: str = DEFAULT
) -> Board:
    """The leaderboard of a split, from `folder` or from those that ship.

    Raises
    ------
    UsageError
        An unknown split or protocol, or no leaderboard of them, or no such track.
    DataError
        A file is damaged.
    """
    found = {board.track: board for board in load_tracks(split, protocol, folder)}
    if track not in found:
        raise unknown(f"track of {split} under {protocol}", track, found)
    return found[track]


def load_tracks(split: str, protocol: str, folder: Path | None = None) -> list[Board]:
    """The leaderboards of a split, one for each track that has runs; errors as for `load_board`."""
    split_config(split)
    load_protocol(protocol)
    return _load(_root(folder) / protocol, split)


def protocols_with(split: str, folder: Path | None = None) -> list[str]:
    """The protocols under which a split has a leaderboard, `v1` before its lighter versions."""
    return sorted(path.parents[1].name for path in _root(folder).glob(f"*/runs/{split}.csv"))


def load_boards(folder: Path | None = None) -> list[Board]:
    """Every leaderboard in `folder` or of those that ship, one for each track that has runs.

    Errors as for `load_board`.
    """
    root = _root(folder)
    if not root.is_dir():
        raise UsageError(f"{root}: there is no such folder")
    return [board for path in _tables(root) for board in _load(path.parents[1], path.stem)]


def choose_boards(
    boards: Sequence[Board], splits: Sequence[str], protocol: str | None
) -> list[Board]:
    """The leaderboards of some splits (of all, where none is named) under one protocol or all.

    Raises
    ------
    UsageError
        A name is unknown, or there is no leaderboard of it.
    """
    for split in splits:
        split_config(split)
    if protocol:
        load_protocol(protocol)
    found = [
        board
        for board in boards
        if board.split in (splits or [board.split]) and protocol in (None, board.protocol)
    ]
    lacking = [split for split in splits if split not in {board.split for board in found}]
    if lacking or not found:
        split = f" of {lacking[0]}" if lacking else ""
        under = f" under protocol {protocol}" if protocol else ""
        raise UsageError(f"there is no leaderboard{split}{under} yet")
    return found


def _tables(root: Path) -> list[Path]:
    return [path for folder in folders_in(root) for path in files_in(folder / "runs", "*.csv")]


def _root(folder: Path | None) -> Path:
    return folder or shipped_root() / "leaderboard"


def _load(folder: Path, split: str) -> list[Board]:
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
    means = dict(by_track(read_summary(summary)))
    for track, _ in by_track(runs):
        if track not in means:
            raise DataError(f"{summary}: has no row of track {track}; build again")
    return [
        Board(
            folder.name,
            split,
            of_track.reset_index(drop=True),
            means[track].reset_index(drop=True),
            track,
        )
        for track, of_track in by_track(runs)
    ]
