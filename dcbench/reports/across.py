"""Methods across splits, as tables and sentences: mean ranks, wins and cost beside `erm`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

from dcbench.leaderboard.across import (
    FEWEST,
    REFERENCE,
    WEAK_BELOW,
    Across,
    Block,
    StandingAcross,
)
from dcbench.leaderboard.hierarchical import DRAWS, Interval
from dcbench.leaderboard.ranks import LEVEL
from dcbench.reports.paper import Line, PaperCell, PaperTable
from dcbench.reports.terminal import p_text, with_minus


class AcrossColumn(NamedTuple):
    """A number of a method across splits.

    Attributes
    ----------
    title : str
    take : callable
        The number, with its interval where it has one.
    text : callable
        How the number is written.
    lower_is_better : bool
    """

    title: str
    take: Callable[[StandingAcross], Interval | float | None]
    text: Callable[[float], str]
    lower_is_better: bool


class AcrossCell(NamedTuple):
    """A number as text, its interval (empty where it has none), and what it is sorted by."""

    text: str = "–"
    spread: str = ""
    order: float | None = None


def _points(value: float) -> str:
    return f"{100 * value:+z.1f}"


COLUMNS = (
    AcrossColumn("mean rank", lambda each: each.mean_rank, "{:.2f}".format, True),
    AcrossColumn(
        f"wins over {REFERENCE} %",
        lambda each: each.wins,
        lambda value: f"{100 * value:.0f}",
        False,
    ),
    AcrossColumn(f"accuracy % − {REFERENCE}", lambda each: each.accuracy, _points, False),
    AcrossColumn(f"ECE % − {REFERENCE}", lambda each: each.ece, _points, True),
    AcrossColumn(f"FLOPs / {REFERENCE}", lambda each: each.flops, "{:.2f}".format, True),
)


def columns_of(found: Across) -> list[AcrossColumn]:
    """The columns in which some method has a number."""
    return [
        column
        for column in COLUMNS
        if any(column.take(each) is not None for each in found.standings)
    ]


def cell(column: AcrossColumn, each: StandingAcross) -> AcrossCell:
    """What a method has in a column."""
    taken = column.take(each)
    if taken is None:
        return AcrossCell()
    if not isinstance(taken, Interval):
        return AcrossCell(column.text(taken), order=taken)
    spread = f"{column.text(taken.low)} to {column.text(taken.high)}"
    return AcrossCell(column.text(taken.value), spread, taken.value)


def across_rows(found: Across) -> tuple[list[str], list[list[str]]]:
    """Column titles and rows for a terminal, best mean rank first."""
    columns = columns_of(found)
    rows = []
    for each in found.standings:
        cells = [cell(column, each) for column in columns]
        texts = [f"{one.text} ({one.spread})" if one.spread else one.text for one in cells]
        rows.append([each.method, *texts])
    return ["method", *(column.title for column in columns)], rows


def why_nothing(block: Block) -> str:
    """Why there is nothing across splits."""
    count = len(block.splits)
    if not count:
        return "nothing is shown across splits: no two methods have a run of a split in common"
    which = f"{count} split{'s' if count > 1 else ''} ({', '.join(block.splits)})"
    return (
        f"nothing is shown across splits: there are runs that several methods have in common on "
        f"{which}, and it takes {FEWEST} splits for a test over them to find anything"
    )


def across_sentences(found: Across) -> list[str]:
    """Which splits and methods are compared, how, and what is significantly different."""
    block = found.block
    if not block.enough:
        return [why_nothing(block)]
    return [compared_in(block), *verdict(found), *how_compared(found)]


def compared_in(block: Block) -> str:
    """The block in one sentence: splits with their runs, methods, what is left out."""
    count = len(block.splits)
    weak = (
        f"weak: {count} splits (fewer than {WEAK_BELOW}); " if block.weak else f"{count} splits; "
    )
    runs = ", ".join(f"{split} ({len(keys)})" for split, keys in block.runs.items())
    left = [f"{len(block.other_methods)} methods with rows on some of them only"]
    left += [f"the splits {', '.join(block.other_splits)}"] if block.other_splits else []
    out = "; left out: " + " and ".join(left) if block.other_methods or block.other_splits else ""
    return (
        f"{weak}compared are the {len(block.methods)} methods that have rows on all of them, over "
        f"the runs (subset and seed) that all have: {runs}{out}"
    )


def verdict(found: Across) -> Iterator[str]:
    """What the tests say."""
    block = found.block
    pairs = "1 pair" if block.tests == 1 else f"{block.tests} pairs"
    test = f"Wilcoxon's signed-rank test over splits, Holm's correction over {pairs}"
    first, *_ = found.standings
    others = [each.method for each in found.standings if each.method in first.tied]
    if block.least_p >= LEVEL:
        yield (
            f"{test}: no difference can be significant, for the smallest p that "
            f"{len(block.splits)} splits can give is {p_text(block.least_p)} after correction"
        )
    elif others:
        yield f"{test}: not significantly different from {first.method}, the best: " + ", ".join(
            others
        )
    else:
        yield f"{test}: {first.method}, the best, is significantly different from all others"
    if found.friedman_p is not None:
        p = p_text(found.friedman_p)
        less = f"< {p[1:]}" if p.startswith("<") else f"= {p}"
        yield f"Friedman's test that all methods rank alike: p {less}"


INTERVALS = f"95 % intervals: hierarchical bootstrap of splits, subsets and seeds ({DRAWS:,} draws)"


def how_compared(found: Across) -> Iterator[str]:
    """How to read the numbers of the table."""
    yield INTERVALS
    if not found.has_reference:
        yield f"no wins and no costs: {REFERENCE} has no rows on all of these splits"
        return
    yield (
        f"wins: share of splits with a larger mean accuracy than {REFERENCE}, an equal one counts "
        "half; differences: mean over splits"
    )
    yield from how_flops(found)


def how_flops(found: Across) -> Iterator[str]:
    """What the cost is, if there is one."""
    known = sorted({each.flops_splits for each in found.standings if each.flops is not None})
    if known:
        number = str(known[0]) if len(known) == 1 else f"{known[0]} to {known[-1]}"
        yield (
            "FLOPs: of the network's passes in training, which do not depend on what else a "
            f"machine does; median over the {number} splits whose rows have them"
        )


def prose(sentences: Iterable[str]) -> str:
    """Sentences with a capital letter and a full stop."""
    return " ".join(f"{each[:1].upper()}{each[1:]}." for each in sentences)


def across_data(found: Across) -> dict[str, Any]:
    """All of it as JSON has it."""
    block = found.block
    rows = []
    for each in found.standings:
        taken = _numbers(each)
        taken["p_holm"] = {
            other: found.p[frozenset((each.method, other))]
            for other in block.methods
            if other != each.method
        }
        rows.append(taken)
    return {
        "splits": {
            split: [{"subset": subset, "seed": seed} for subset, seed in keys]
            for split, keys in block.runs.items()
        },
        "left_out": {"splits": block.other_splits, "methods": block.other_methods},
        "weak": block.weak,
        "friedman_p": found.friedman_p,
        "methods": rows,
    }


def _numbers(each: StandingAcross) -> dict[str, Any]:
    """A method's numbers; an interval has `value`, `low` and `high`."""
    return {
        key: value._asdict() if isinstance(value, Interval) else value
        for key, value in each._asdict().items()
    }


def across_table(found: Across) -> PaperTable:
    """A paper's table: a method a line; the best by mean rank and what ties with it is bold."""
    columns = columns_of(found)
    first = found.standings[0]
    best = {first.method, *first.tied} if found.block.least_p < LEVEL else set()
    lines = []
    for each in found.standings:
        cells = [cell(column, each) for column in columns]
        paper = [
            PaperCell(
                with_minus(f"{one.text} ({one.spread})" if one.spread else one.text.strip("–")),
                best=column is columns[0] and each.method in best,
            )
            for column, one in zip(columns, cells, strict=True)
        ]
        lines.append(Line(each.method, tuple(paper)))
    bold = ["bold: best, and what is not significantly different from it"] if best else []
    said = [*across_sentences(found), *bold]
    return PaperTable(
        splits=("all",),
        titles=tuple(f"{column.title[0].upper()}{column.title[1:]}" for column in columns),
        measured=tuple(lines),
        caption=f"dcbench, protocol {found.block.protocol}. {prose(said)}",
    )
