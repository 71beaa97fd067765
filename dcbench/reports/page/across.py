"""What the page shows of a protocol across its splits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import groupby

from dcbench.leaderboard.across import compare_across
from dcbench.leaderboard.boards import Board
from dcbench.reports.across import AcrossCell, AcrossColumn, across_sentences, cell, columns_of
from dcbench.reports.page.content import slug
from dcbench.reports.page.figures import Figure


@dataclass(frozen=True)
class AcrossPanel:
    """A protocol across its splits.

    Attributes
    ----------
    figures_of : str
        What the names of its figures begin with.
    rows : list of (str, list of AcrossCell)
        Methods with their numbers, best mean rank first; empty where splits are too few.
    sentences : list of str
        Why there are none, or how to read them.
    """

    key: str
    protocol: str
    figures_of: str
    columns: list[AcrossColumn]
    rows: list[tuple[str, list[AcrossCell]]]
    sentences: list[str]
    figures: list[Figure] = field(default_factory=list)


def across_panels(boards: Sequence[Board]) -> list[AcrossPanel]:
    """What is said across splits of each protocol, in the order of the boards."""
    groups = groupby(boards, key=lambda board: board.protocol)
    return [_panel(protocol, list(group)) for protocol, group in groups]


def _panel(protocol: str, boards: Sequence[Board]) -> AcrossPanel:
    found = compare_across(boards)
    columns = columns_of(found)
    return AcrossPanel(
        key=slug(protocol, "across-splits"),
        protocol=protocol,
        figures_of=f"{protocol}-all",
        columns=columns,
        rows=[
            (each.method, [cell(column, each) for column in columns]) for each in found.standings
        ],
        sentences=across_sentences(found),
    )
