"""Whether the runs of a table are comparable to the bit: a mixture of numerics is shown."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from dcbench.leaderboard.checks.read import RowsFile


def mixtures(files: Iterable[RowsFile]) -> list[str]:
    """A sentence for each table whose rows are of several numerics."""
    notes = []
    for file in files:
        found = Counter(row.get("numerics", "") for row in file.rows)
        if len(found) > 1:
            told = ", ".join(f"{count} of {key or 'none named'}" for key, count in found.items())
            notes.append(f"{file.board}: rows of several numerics: {told}")
    return notes
