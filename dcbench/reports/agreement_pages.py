"""Tables of a Markdown page that say whether two protocols agree; they are written whole.

A comment says which protocols, and of what; the table follows it:

    <!-- agreement of splits: v1-lite,v1 -->
    <!-- agreement of methods: v1-lite,v1 on digits against mixup by ece15 -->

`on` names splits, joined by commas; `against` and `by` are `--against` and `--metric`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from dcbench.config.names import split_list
from dcbench.errors import UsageError
from dcbench.leaderboard.agreement import Agreement, SplitAgreement, agreement, two_protocols
from dcbench.leaderboard.boards import Board
from dcbench.leaderboard.comparison import PLAIN
from dcbench.leaderboard.statistics import Difference
from dcbench.reports.agreement import (
    correlation_cells,
    lacking_sentences,
    sentences,
    share_text,
    sign_text,
    significance_text,
)
from dcbench.reports.latex import escape_markdown
from dcbench.reports.markdown_tables import name_text, table_lines
from dcbench.reports.paper import column_title
from dcbench.reports.terminal import PLUS_MINUS, difference_half, with_minus

SPLITS, METHODS = "splits", "methods"
KINDS = (SPLITS, METHODS)
"""Of what a table has a row each."""

ACCURACY = "accuracy"

BEGIN = "<!-- agreement"
"""What a comment that asks for a table begins with."""

_MARK = re.compile(
    r"<!-- agreement of (splits|methods): (\S+)(?: on (\S+))?(?: against (\S+))?(?: by (\S+))? -->"
)


@dataclass(frozen=True)
class Mark:
    """What a table is to show."""

    kind: str
    protocols: str
    splits: tuple[str, ...] = ()
    against: str = PLAIN
    metric: str = ACCURACY

    @property
    def text(self) -> str:
        """The comment that stands before the table."""
        said = f"{BEGIN} of {self.kind}: {self.protocols}"
        said += f" on {','.join(self.splits)}" if self.splits else ""
        said += f" against {self.against}" if self.against != PLAIN else ""
        return f"{said}{f' by {self.metric}' if self.metric != ACCURACY else ''} -->"

    def table(self, boards: Sequence[Board]) -> list[str]:
        """The lines of the table."""
        found = agreement(
            boards,
            two_protocols(self.protocols),
            splits=self.splits,
            against=self.against,
            metric=self.metric,
        )
        return list(markdown_table(found, self.kind))


def agreement_lines(mark: str, boards: Sequence[Board]) -> list[str]:
    """The lines of the table that a comment asks for.

    Raises
    ------
    UsageError
        The comment cannot be read, or names what there is not.
    """
    return _read(mark).table(boards)


def _read(line: str) -> Mark:
    mark = _MARK.fullmatch(line)
    if mark is None:
        raise UsageError(
            "write <!-- agreement of splits: PROTOCOL,PROTOCOL [on SPLIT,SPLIT] [against METHOD] "
            "[by METRIC] -->, or of methods"
        )
    splits = tuple(split_list(mark[3] or ""))
    return Mark(mark[1], mark[2], splits, mark[4] or PLAIN, mark[5] or ACCURACY)


def to_markdown(found: Agreement, splits: Sequence[str] = ()) -> list[str]:
    """Both tables under their marks, as a page has them, and what they leave out."""
    lines = []
    for kind in KINDS:
        mark = Mark(kind, ",".join(found.protocols), tuple(splits), found.against, found.metric.key)
        lines += [mark.text, *markdown_table(found, kind), ""]
    return [*lines, *(f"- {escape_markdown(line)}" for line in sentences(found))]


def markdown_table(found: Agreement, kind: str) -> Iterator[str]:
    """A table with a row for each split, or for each method of each split."""
    titles, rows = (_split_table if kind == SPLITS else _method_table)(found)
    if not found.splits and (found.lacking or found.subsets):
        of_a_subset = " of the same subset" if found.subsets else ""
        rows.append([f"no split has rows{of_a_subset} under both"])
    if kind == SPLITS or not found.lacking:
        rows += [[each] for each in lacking_sentences(found, name_text)]
    return table_lines(titles, rows)


def _split_table(found: Agreement) -> tuple[list[str], list[list[str]]]:
    titles = ["split", "methods", "Kendall's τ-b", "Spearman's ρ", "same sign", "same significance"]
    rows = []
    for each in found.splits:
        left_out = sum(map(len, each.alone))
        counted = f"{len(each.methods)}{f' ({left_out} left out)' if left_out else ''}"
        shares = [share_text(each.signs), share_text(each.significances)]
        split = f"{_split(each)}{', same recipe' if each.same_recipe else ''}"
        rows.append([split, counted, *correlation_cells(each, _signed), *shares])
    return titles, rows


def _method_table(found: Agreement) -> tuple[list[str], list[list[str]]]:
    against = name_text(found.against)
    titles = ["split", "method"]
    titles += [f"{column_title(found.metric)}, `{name}`" for name in found.protocols]
    titles += [f"− {against}, `{name}`" for name in found.protocols]
    digits = 1 if found.metric.percent else 3
    rows = [
        [
            _split(each),
            name_text(method.method),
            *(found.metric.text(mean, digits) for mean in method.means),
            *map(_difference, method.differences),
            sign_text(method),
            significance_text(
                method, [name_text(name) for name in found.protocols], escape_markdown
            ),
        ]
        for each in found.splits
        for method in each.methods
    ]
    return [*titles, "sign", "significant"], rows


def _difference(each: Difference | None) -> str:
    if each is None:
        return "–"
    return difference_half(each, PLUS_MINUS) + (" (1 pair)" if each.n < 2 else "")


def _signed(value: float) -> str:
    return with_minus(f"{value:z.2f}")


def _split(each: SplitAgreement) -> str:
    return name_text(each.split) + ("" if each.subsets == "0" else ", all subsets")
