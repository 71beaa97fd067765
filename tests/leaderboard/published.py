"""A small published folder with the runs behind it, and hands that change both with care.

`erm` is published: its rows are in the history of git. `mixup` is being submitted: its rows are
new, and its runs are given beside them.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dcbench.leaderboard.build import build
from dcbench.leaderboard.migrate import migrate
from dcbench.leaderboard.rows import key_of, row_of
from dcbench.records.arrays import unpack
from dcbench.records.files import (
    PREDICTIONS,
    RECORD,
    read_record,
    write_arrays,
    write_record,
)
from dcbench.records.recompute import measure_again
from dcbench.records.schema import Record
from tests.leaderboard.tampering import rows_of, write

PUBLISHED, SUBMITTED = "erm", "mixup"
SEEDS, BETTER = (0, 1, 2), 7
ENTRY = f"- 2026-11-01, v1/digits, subset 0, method {PUBLISHED}, seed 0, corrected: a footnote"


def git(folder: Path, *arguments: str) -> None:
    author = ("-c", "user.name=A", "-c", "user.email=a@example.org")
    subprocess.run(["git", *author, "-C", str(folder), *arguments], check=True, capture_output=True)


@dataclass(frozen=True)
class Published:
    """Where the folder and the results lie, and what can be done to them."""

    root: Path

    @property
    def board(self) -> Path:
        return self.root / "leaderboard"

    @property
    def results(self) -> Path:
        return self.root / "results"

    @property
    def runs(self) -> Path:
        return self.board / "v1/runs/digits.csv"

    @property
    def summary(self) -> Path:
        return self.board / "v1/digits.csv"

    @property
    def changelog(self) -> Path:
        return self.board / "CHANGELOG.md"

    @property
    def better(self) -> Path:
        """A run of `mixup` with another seed, which is not among the results."""
        return self.root / f"apart/v1/digits/subset-0/{SUBMITTED}/seed-{BETTER}"

    def run(self, method: str, seed: int) -> Path:
        return self.results / f"v1/digits/subset-0/{method}/seed-{seed}"

    def row(self, method: str, seed: int) -> dict[str, str]:
        return next(row for row in rows_of(self.runs) if key_of(row) == (0, method, seed))

    def rows(self, change: Callable[[list[dict[str, str]]], object]) -> None:
        """Change the rows, put them in order, and let every table follow from them."""
        rows = rows_of(self.runs)
        change(rows)
        write(self.runs, sorted(rows, key=key_of))
        migrate(self.board)

    def set(self, method: str, seed: int, **cells: str) -> None:
        self.rows(lambda rows: _found(rows, method, seed).update(cells))

    def replace_row(self, method: str, seed: int, cells: dict[str, str]) -> None:
        self.rows(lambda rows: _found(rows, method, seed).update(cells))

    def record(self, method: str, seed: int, **changes: Any) -> Record:
        """Change what a record says, and let the row follow from it."""
        folder = self.run(method, seed)
        content = json.loads((folder / RECORD).read_text())
        for dotted, value in changes.items():
            *parts, last = dotted.split("__")
            place = content
            for part in parts:
                place = place[part]
            place[last] = value
        record = Record.model_validate(content)
        write_record(folder, record)
        self.rows(lambda rows: _found(rows, method, seed).update(row_of(record)))
        return record

    def predictions(
        self, method: str, seed: int, change: Callable[[dict[str, np.ndarray]], object]
    ) -> None:
        """Change stored predictions; hash, metrics and row follow from them."""
        folder = self.run(method, seed)
        arrays = {
            key: each.copy() for key, each in unpack((folder / PREDICTIONS).read_bytes()).items()
        }
        change(arrays)
        stored = write_arrays(folder, arrays)
        record = read_record(folder).model_copy(update={"predictions": stored})
        write_record(folder, record)
        metrics = measure_again(folder).metrics
        self.record(method, seed, metrics=metrics.model_dump(mode="json"))

    def commit(self, message: str) -> None:
        git(self.root, "add", "leaderboard")
        git(self.root, "commit", "-m", message)


def _found(rows: list[dict[str, str]], method: str, seed: int) -> dict[str, str]:
    return next(row for row in rows if (row["method"], row["seed"]) == (method, str(seed)))


def publish(root: Path, run: Callable[..., object]) -> Published:
    """Train the runs and build the folder: `erm` committed, `mixup` not yet."""
    made = Published(root)
    run(SUBMITTED, "digits", seed=BETTER, results=root / "apart", device="cpu")
    for method in (PUBLISHED, SUBMITTED):
        run(method, "digits", seeds=SEEDS, results=made.results, device="cpu")
        build(made.results, made.board)
        if method == PUBLISHED:
            made.changelog.write_text("# Changes of rows\n")
            git(root, "init", "-b", "main")
            made.commit("erm")
            with made.changelog.open("a") as file:
                file.write(f"\n{ENTRY}\n")
            made.commit("a footnote was corrected")
    return made
