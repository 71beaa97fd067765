"""The files of a leaderboard as a check sees them: what can be read, and a line for what cannot."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from dcbench.config.protocol import Entry, Protocol, load_protocol
from dcbench.data.splits import SplitConfig, split_config
from dcbench.errors import DataError, UsageError
from dcbench.leaderboard.rows import Row, key_of, run_title
from dcbench.leaderboard.tables import is_rows, parse_cells, runs_path, summary_path


@dataclass(frozen=True)
class RowsFile:
    """The rows of one split under one protocol, cell by cell; nothing is known of them yet."""

    path: Path
    rules: Protocol
    split: SplitConfig
    rows: list[Row]

    @property
    def folder(self) -> Path:
        """The folder of the protocol."""
        return self.path.parents[1]

    @property
    def summary(self) -> Path:
        """Where the summary lies."""
        return summary_path(self.folder, self.split.name)

    @property
    def entry(self) -> Entry:
        """The protocol's rules for the split."""
        return self.rules.entry(self.split.recipe)

    def place(self, number: int) -> str:
        """A row in words, by its number from 0."""
        return f"{self.path}, line {number + 2} ({_title(self.rows[number])})"

    def keyed(self) -> list[tuple[int, Row]]:
        """The rows whose keys are whole numbers, with their numbers from 0."""
        return [pair for pair in enumerate(self.rows) if has_key(pair[1])]


def has_key(row: Row) -> bool:
    """Whether subset and seed of a row are whole numbers."""
    return row["subset"].isdecimal() and row["seed"].isdecimal()


def _title(row: Row) -> str:
    if has_key(row):
        return run_title(key_of(row))
    return f"subset {row['subset']}, method {row['method']}, seed {row['seed']}"


def read_folder(folder: Path, problems: list[str]) -> list[RowsFile]:
    """Every table of rows in the folders of the protocols."""
    files = []
    for place in sorted(path for path in folder.iterdir() if path.is_dir()):
        try:
            rules = load_protocol(place.name)
        except UsageError as problem:
            problems.append(f"{place}: {problem}")
            continue
        problems += _misplaced(place)
        for path in sorted((place / "runs").glob("*.csv")):
            try:
                split = split_config(path.stem)
                rules.entry(split.recipe)
                files.append(RowsFile(path, rules, split, parse_cells(path.read_bytes(), path)))
            except DataError as problem:
                problems.append(str(problem))
            except UsageError as problem:
                problems.append(f"{path}: {problem}")
    return files


def _misplaced(place: Path) -> list[str]:
    found = []
    for path in sorted(place.glob("*.csv")):
        if is_rows(path):
            found.append(f"{path}: rows belong into {place / 'runs'}; build again")
        elif not runs_path(place, path.stem).exists():
            found.append(f"{path}: a summary without rows; {runs_path(place, path.stem)} is gone")
    return found
