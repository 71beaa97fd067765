"""Tables of a Markdown page whose numbers come from leaderboards: words by hand, numbers never.

A comment says of which protocol, and may say of which split; the table follows it:

    <!-- measured: v1-lite cifair10-common -->
    | method | runs | accuracy % | − erm | remark |
    |---|---|---|---|---|
    | `mixup` | 5 | 54.4 ± 0.6 | +2.8 ± 0.6 | kept as it is |

The first cell of a row names its method, or its split and method, between backquotes. Numbers are
of subset 0. A column is filled if its title is `runs`, that of a metric, that of a split (its
accuracy, with the number of runs where there are fewer than five), or a minus sign and the method,
or `twin`, that it is compared with; others are kept.

Tables that are written whole have marks of their own: whether two protocols agree
(`agreement_pages`), and what was measured beside what papers report (`against_reported`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from dcbench.errors import UsageError, unknown
from dcbench.leaderboard.boards import Board, load_board, load_boards
from dcbench.leaderboard.statistics import paired_difference, values_by_method
from dcbench.metrics.metric import Metric
from dcbench.metrics.table import HEADLINE_OOD_METRIC, METRICS, find_metric, metrics_of, ood_key
from dcbench.reports import against_reported, agreement_pages
from dcbench.reports.absent import rows_of_subset_0
from dcbench.reports.kinship import kinship
from dcbench.reports.markdown_tables import Writer, table_line, with_tables
from dcbench.reports.terminal import PLUS_MINUS, difference_half, mean_text

ABSENT = "–"
ACCURACY = metrics_of(["accuracy"])[0]
FEW = 5
"""Runs below which a mean is shown with their number."""

_WHOLE: dict[str, Writer] = {
    agreement_pages.BEGIN: agreement_pages.agreement_lines,
    against_reported.BEGIN: against_reported.reported_lines,
}
_MARK = re.compile(r"<!-- measured: (\S+)(?: (\S+))? -->")
_NAME = re.compile(r"`([^`]+)`")


class _Measured(NamedTuple):
    """What a leaderboard has of subset 0: accuracies by method, and the row of each method."""

    accuracies: pd.DataFrame
    rows: dict[str, dict[Hashable, Any]]


def _measured(board: Board) -> _Measured:
    rows = rows_of_subset_0(board)
    runs = board.runs[board.runs["subset"] == 0]
    return _Measured(values_by_method(runs, ACCURACY.key), rows)


@dataclass(frozen=True)
class _Source:
    """Where the numbers of one table are from."""

    place: str
    protocol: str
    split: str | None
    load: Callable[[str, str], _Measured]

    def measured(self, split: str) -> _Measured:
        """What the leaderboard of a split has, under the protocol of the table."""
        try:
            return self.load(split, self.protocol)
        except UsageError as error:
            raise UsageError(f"{self.place}: {error}") from None


def filled(text: str, page: str, folder: Path | None = None) -> str:
    """A page with the numbers of its marked tables as the leaderboards have them.

    Parameters
    ----------
    text
        The page, in Markdown.
    page
        Its name, for messages.
    folder
        The leaderboards; those that ship, if not said.

    Raises
    ------
    UsageError
        A mark that has no table or cannot be read, a row that names no method of its leaderboard,
        or a leaderboard without a run of subset 0.
    """
    lines = text.split("\n")
    load = cache(lambda split, protocol: _measured(load_board(split, protocol, folder)))
    for number, line in enumerate(lines):
        mark = _MARK.fullmatch(line.strip())
        if mark is None:
            if line.strip().startswith("<!-- measured:"):
                raise UsageError(
                    f"{page}, line {number + 1}: write <!-- measured: PROTOCOL [SPLIT] -->"
                )
            continue
        source = _Source(f"{page}, line {number + 1}", mark[1], mark[2], load)
        _fill(lines, number + 1, source)
    boards = cache(lambda: load_boards(folder))
    return "\n".join(with_tables(lines, page, _WHOLE, boards))


def _fill(lines: list[str], start: int, source: _Source) -> None:
    """Rewrite the rows of the table that starts at a line."""
    rows = list(_table(lines, start))
    if len(rows) < 3:
        raise UsageError(f"{source.place}: a table has to follow, with a head and a row")
    columns = [_column(title.strip("`"), source) for title in _cells(lines[rows[0]])]
    for number in rows[2:]:
        cells = _cells(lines[number])
        if len(cells) != len(columns):
            raise UsageError(
                f"{source.place}: a row of {len(cells)} cells under {len(columns)} titles: "
                f"{lines[number]}"
            )
        split, method = _subject(cells[0], source)
        for index, column in enumerate(columns[1:], start=1):
            if column is not None:
                cells[index] = column(split, method)
        lines[number] = table_line(cells)


def _table(lines: Sequence[str], start: int) -> Iterator[int]:
    for number in range(start, len(lines)):
        if not lines[number].startswith("|"):
            return
        yield number


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip().removeprefix("|").removesuffix("|").split("|")]


def _subject(cell: str, source: _Source) -> tuple[str | None, str]:
    """The split (where it is known) and the method that a row is about."""
    names = _NAME.findall(cell)
    if len(names) == 2:
        return names[0], names[1]
    if len(names) != 1:
        raise UsageError(f"{source.place}: '{cell}' should name a method, or a split and a method")
    return source.split, names[0]


Column = Callable[[str | None, str], str]


def _column(title: str, source: _Source) -> Column | None:
    """What fills the cells below a title; None where they are kept."""
    if title == "runs":
        return lambda split, method: str(_row(source, split, method)["n"])
    if title.startswith("− "):
        return lambda split, method: _minus(source, split, method, title.removeprefix("− "))
    metric = _metric(title)
    if metric is not None:
        return lambda split, method: _mean(_row(source, split, method), metric)
    named = _NAME.match(f"`{title}")
    if named is not None and title.endswith("%"):
        return lambda _, method: _accuracy(source, named[1], method)
    return None


def _metric(title: str) -> Metric | None:
    """The metric that a title names as narrow columns do, in whatever case."""
    wanted = title.lower()
    for metric in METRICS:
        if wanted == metric.column_title.lower():
            return metric
    # `AUROC CIFAR-100 %`: the headline number of an OOD set.
    words = wanted.removesuffix(" %").split()
    if len(words) == 2 and words[0] == HEADLINE_OOD_METRIC:
        return find_metric(ood_key(words[1].replace("-", "")))
    return None


def _row(source: _Source, split: str | None, method: str) -> dict[Hashable, Any]:
    """The row of a method in the summary of a split."""
    if split is None:
        raise UsageError(f"{source.place}: name the split, in the mark or in the row of {method}")
    rows = source.measured(split).rows
    if method not in rows:
        error = unknown(f"method of {split} under {source.protocol}", method, rows)
        raise UsageError(f"{source.place}: {error}")
    return rows[method]


def _mean(row: dict[Hashable, Any], metric: Metric) -> str:
    """`54.4 ± 0.6`: mean and half of its 95 % interval; percent with one decimal."""
    return mean_text(row, metric, 1 if metric.percent else 3, PLUS_MINUS)


def _accuracy(source: _Source, split: str, method: str) -> str:
    """As `_mean`, with the number of runs where there are few; a dash where there is none."""
    row = source.measured(split).rows.get(method)
    if row is None:
        return ABSENT
    count = f" ({row['n']})" if row["n"] < FEW else ""
    return f"{_mean(row, ACCURACY)}{count}"


def _minus(source: _Source, split: str | None, method: str, other: str) -> str:
    """`+2.8 ± 0.6`: the paired difference in accuracy.

    A dash to itself, without a twin, and where no run is of both methods.
    """
    _row(source, split, method)
    name = other.strip("`")
    against = kinship(method).twin if name == "twin" else name
    accuracies = source.measured(str(split)).accuracies
    found = paired_difference(accuracies, method, against)
    return ABSENT if against == method or found is None else difference_half(found, PLUS_MINUS)
