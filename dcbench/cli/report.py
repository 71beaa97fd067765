"""What a command has to say, before anything of it is shown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from dcbench.errors import UsageError


@dataclass(frozen=True)
class Table:
    """Rows under column titles; numbers stand to the right, and None is a dash.

    Where it is too wide, a `matrix` goes on below with its first column again; another table has
    its rows as blocks of lines.
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[object]]
    matrix: bool = False


@dataclass(frozen=True)
class Report:
    """What a command has found out.

    Attributes
    ----------
    data
        What `--json` prints; None prints nothing.
    tables, lines
        What standard output shows without `--json`: tables, then lines.
    notes
        What standard error shows without `--json`: sentences on the side.
    exit_code : int
        What the command ends with; of several reports the largest counts.
    """

    data: Any = None
    tables: Sequence[Table] = ()
    lines: Sequence[str] = ()
    notes: Sequence[str] = ()
    exit_code: int = 0


def list_report(rows: Sequence[dict[str, Any]], what: str, notes: Sequence[str] = ()) -> Report:
    """Rows as a table and as a JSON list.

    Raises
    ------
    UsageError
        There are none: no `what`.
    """
    if not rows:
        raise UsageError(f"there is no {what}")
    cells = [[_cell(value) for value in row.values()] for row in rows]
    return Report(data=rows, tables=[Table("", list(rows[0]), cells)], notes=notes)


def _cell(value: Any) -> Any:
    if isinstance(value, dict):
        return ", ".join(f"{key}={each}" for key, each in value.items()) or None
    return value
