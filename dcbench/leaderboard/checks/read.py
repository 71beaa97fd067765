"""The files of a leaderboard as a check sees them: what can be read, and a line for what cannot."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from dcbench.config.paths import files_in, folders_in
from dcbench.config.protocol import Entry, Protocol, load_protocol
from dcbench.data.splits import SplitConfig, split_config
from dcbench.errors import DataError, UsageError
from dcbench.leaderboard.column_order import further_columns, ood_columns
from dcbench.leaderboard.columns import COLUMNS, LAST_COLUMNS, TRACK_COLUMN, Column
from dcbench.leaderboard.rows import Row, is_whole, key_of, run_title
from dcbench.leaderboard.tables import is_rows, read_cells, runs_path, summary_path
from dcbench.metrics.table import find_metric


@dataclass(frozen=True)
class RowsFile:
    """The rows of one split under one protocol, cell by cell; nothing is known of them yet."""

    path: Path
    rules: Protocol
    split: SplitConfig
    rows: list[Row]

    @property
    def board(self) -> str:
        """As the changelog names it."""
        return f"{self.rules.name}/{self.split.name}"

    @property
    def folder(self) -> Path:
        """Where the summary, the rules and `runs/` of this file's protocol lie."""
        return self.path.parents[1]

    @property
    def summary(self) -> Path:
        """Where the summary lies."""
        return summary_path(self.folder, self.split.name)

    @property
    def entry(self) -> Entry:
        """The protocol's rules for the split."""
        return self.rules.entry(self.split.recipe)

    @cached_property
    def empty_columns(self) -> frozenset[str]:
        """The columns after the first version that no row fills: the rows are older than they."""
        names = [column.name for column in self.columns if not _is_first(column)]
        return frozenset(name for name in names if not any(row.get(name) for row in self.rows))

    @cached_property
    def columns(self) -> list[Column]:
        """The columns that rows of the split have today, in their order."""
        ood = [column for image_set in self.split.ood for column in ood_columns(image_set)]
        there = {name for row in self.rows for name in row}
        track = [TRACK_COLUMN] if TRACK_COLUMN.name in there else []
        later = [column for column in further_columns() if column.name in there]
        return [*COLUMNS, *track, *ood, *later, *LAST_COLUMNS]

    def row_title(self, number: int) -> str:
        """A row, as sentences name it, by its number from 0."""
        return f"{self.path}, line {number + 2} ({_title(self.rows[number])})"

    def keyed(self) -> list[tuple[int, Row]]:
        """The rows whose keys are whole numbers, with their numbers from 0."""
        return [pair for pair in enumerate(self.rows) if has_key(pair[1])]


def _is_first(column: Column) -> bool:
    """Whether tables of rows have had a column since the first version, and full."""
    metric = find_metric(column.name)
    return metric.required if metric else not (column.empty or column.default)


def has_key(row: Row) -> bool:
    """Whether subset and seed of a row are whole numbers."""
    return is_whole(row["subset"]) and is_whole(row["seed"])


def _title(row: Row) -> str:
    if has_key(row):
        return run_title(key_of(row))
    return f"subset {row['subset']}, method {row['method']}, seed {row['seed']}"


def read_folder(folder: Path, problems: list[str]) -> list[RowsFile]:
    """Every table of rows in the folders of the protocols."""
    files = []
    for protocol_folder in folders_in(folder):
        try:
            rules = load_protocol(protocol_folder.name)
        except UsageError as problem:
            problems.append(f"{protocol_folder}: {problem}")
            continue
        problems += _misplaced(protocol_folder)
        for path in files_in(protocol_folder / "runs", "*.csv"):
            try:
                split = split_config(path.stem)
                rules.entry(split.recipe)
                rows = read_cells(path)
            except DataError as problem:
                problems.append(str(problem))
            except UsageError as problem:
                problems.append(f"{path}: {problem}")
            else:
                if rows:
                    files.append(RowsFile(path, rules, split, rows))
                else:
                    problems.append(f"{path}: holds no row; remove it and its summary")
    return files


def _misplaced(folder: Path) -> list[str]:
    found = []
    for path in files_in(folder, "*.csv"):
        if is_rows(path):
            found.append(f"{path}: rows belong into {folder / 'runs'}; build again")
        elif not runs_path(folder, path.stem).exists():
            found.append(f"{path}: a summary without rows; {runs_path(folder, path.stem)} is gone")
    return found
