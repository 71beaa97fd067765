"""Whether two protocols agree, for people: tables of the terminal, sentences, JSON."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict
from typing import Any

from dcbench.config.text import span
from dcbench.leaderboard.agreement import (
    FEWEST,
    Agreement,
    MethodAgreement,
    Share,
    SplitAgreement,
)
from dcbench.leaderboard.statistics import Difference
from dcbench.reports.terminal import difference_text, interval_text

SPLIT_COLUMNS = (
    *("split", "subsets", "methods", "Kendall's tau-b", "Spearman's rho"),
    *("same sign", "same significance"),
)


def split_rows(found: Agreement) -> list[list[str]]:
    """The rows of a table with `SPLIT_COLUMNS`: in how far the protocols agree on each split."""
    return [
        [
            each.split,
            each.subsets,
            str(len(each.methods)),
            *correlation_cells(each, "{:.2f}".format),
            share_text(each.signs),
            share_text(each.significances),
        ]
        for each in found.splits
    ]


def correlation_cells(each: SplitAgreement, text: Callable[[float], str]) -> list[str]:
    """Both rank correlations; dashes where they are not given."""
    return ["–", "–"] if each.correlation is None else list(map(text, each.correlation))


def share_text(share: Share) -> str:
    """`5 of 6`; a dash where there is none to count."""
    return f"{share.number} of {share.of}" if share.of else "–"


def method_table(found: Agreement, each: SplitAgreement) -> tuple[list[str], list[list[str]]]:
    """Column titles and rows: the methods of a split under both protocols, the best first."""
    columns = ["method", *(f"{name}: mean" for name in found.protocols)]
    columns += [f"{name}: − {found.against}" for name in found.protocols]
    rows = [
        [
            method.method,
            *(found.metric.text(mean, max(found.metric.decimals, 2)) for mean in method.means),
            *map(_difference, method.differences),
            ", ".join("–" if each is None else str(each.n) for each in method.differences),
            sign_text(method),
            significance_text(method, found.protocols),
        ]
        for method in each.methods
    ]
    return [*columns, "pairs", "sign", "significant"], rows


def _difference(each: Difference | None) -> str:
    if each is None:
        return "–"
    interval = f" ({interval_text(each)})" if each.n > 1 else ""
    return f"{difference_text(each)}{interval}"


def sign_text(method: MethodAgreement) -> str:
    """Whether both differences have the same sign."""
    return {None: "–", True: "same", False: "different"}[method.same_sign]


def significance_text(
    method: MethodAgreement, protocols: Sequence[str], escape: Callable[[str], str] = str
) -> str:
    """Under which of the protocols a difference is significant, or why there is no test."""
    if None in method.differences:
        return "–"
    untested: dict[str, list[str]] = {}
    for name, each in zip(protocols, method.differences, strict=True):
        if each is not None and each.no_test is not None:
            untested.setdefault(each.no_test, []).append(name)
    if untested:
        said = (f"{escape(why)} under {' and '.join(names)}" for why, names in untested.items())
        return "; ".join(said)
    tests = zip(protocols, method.significant, strict=True)
    significant = [name for name, test in tests if test]
    if len(significant) == 1:
        return f"under {significant[0]} alone"
    return "both" if significant else "neither"


def titled(each: SplitAgreement) -> str:
    """The split, and which of its subsets are meant where that may be asked."""
    return each.split if each.subsets == "0" else f"{each.split}, all subsets"


def sentences(found: Agreement) -> list[str]:
    """What the tables leave out, and why."""
    said = [line for each in found.splits for line in _of_split(found, each)]
    return [*_in_all(found), *said, *_other_subsets(found), *lacking_sentences(found)]


def _other_subsets(found: Agreement) -> Iterator[str]:
    """Which subsets either protocol has where they differ, and what of them is compared."""
    for split, both in found.subsets.items():
        has = (
            f"{protocol} has {span(own)}"
            for protocol, own in zip(found.protocols, both, strict=True)
        )
        compared = [each.subsets for each in found.splits if each.split == split]
        what = "subset 0 alone is compared" if compared else "nothing is compared"
        if "all" in compared:
            what = "all subsets are those that either has"
        yield f"{split}: the subsets differ: {', '.join(has)}; {what}"


def _in_all(found: Agreement) -> Iterator[str]:
    """The counts of several splits together, over subset 0 alone: a split counts once.

    Those that both protocols train alike are left out.
    """
    splits = [each for each in found.splits if each.subsets == "0" and not each.same_recipe]
    if len(splits) > 1:
        signs, significances = (
            share_text(Share(*map(sum, zip(*shares, strict=True))))
            for shares in (
                [each.signs for each in splits],
                [each.significances for each in splits],
            )
        )
        yield (
            f"{', '.join(each.split for each in splits)}, subset 0: differences to {found.against} "
            f"with the same sign: {signs}; with the same significance: {significances}"
        )


def lacking_sentences(found: Agreement, name: Callable[[str], str] = str) -> Iterator[str]:
    """Which protocol has no rows of which splits; that there are none at all."""
    if not found.splits and not found.lacking and not found.subsets:
        yield f"there are no rows under {' or '.join(map(name, found.protocols))}"
    for protocols in dict.fromkeys(found.lacking.values()):
        splits = [split for split, lacking in found.lacking.items() if lacking == protocols]
        have = "has" if len(protocols) == 1 else "have"
        listed = ", ".join(map(name, splits))
        yield f"{' and '.join(map(name, protocols))} {have} no rows of {listed}"


def what_to_run(found: Agreement) -> Iterator[str]:
    """How to see the runs that are lacking."""
    for protocol in dict.fromkeys(each for lacking in found.lacking.values() for each in lacking):
        yield f"`dcbench plan SPLIT --protocol {protocol}` lists the runs that {protocol} asks for"


def _of_split(found: Agreement, each: SplitAgreement) -> Iterator[str]:
    where = titled(each)
    count = len(each.methods)
    if each.same_recipe:
        yield (
            f"{where}: {' and '.join(found.protocols)} have the same recipe here, so their "
            "agreement says nothing"
        )
    if each.correlation is None:
        yield (
            f"{where}: no rank correlation of {count} method{'' if count == 1 else 's'}: it takes "
            f"{FEWEST}"
            if count < FEWEST
            else f"{where}: no rank correlation, for all methods have the same mean"
        )
    for other, methods in zip(reversed(found.protocols), each.alone, strict=True):
        if methods:
            without = f"without {found.metric.key} under {other}"
            yield f"{where}: left out, {without}: {', '.join(methods)}"
    for protocol, differ in zip(found.protocols, each.runs_differ, strict=True):
        if differ and each.correlation is not None:
            yield (
                f"{where}: under {protocol} not all of these methods have the same runs; each mean "
                "is over a method's own"
            )
    yield from _of_differences(found, each)


def _of_differences(found: Agreement, each: SplitAgreement) -> Iterator[str]:
    where, against = titled(each), found.against
    others = [method for method in each.methods if method.method != against]
    for number, protocol in enumerate(found.protocols):
        lacking = [method.method for method in others if method.differences[number] is None]
        if lacking:
            yield (
                f"{where}: no difference under {protocol}, where {against} has no run of the same "
                f"subset and seed: {', '.join(lacking)}"
            )
        single = [
            method.method
            for method in others
            if (difference := method.differences[number]) is not None and difference.n == 1
        ]
        if single:
            yield f"{where}: no interval under {protocol}, of a single pair: {', '.join(single)}"
    reversed_ = [
        method.method for method in others if all(method.significant) and not method.same_sign
    ]
    if reversed_:
        yield (
            f"{where}: significantly different from {against} under both, in opposite directions: "
            f"{', '.join(reversed_)}"
        )


def how_compared(found: Agreement) -> str:
    """A sentence on means, intervals and tests."""
    return (
        f"means, differences to {found.against} and tests are those of each board, as `dcbench "
        f"leaderboard show --against {found.against}` has them: runs of equal subset and seed, 95 "
        "% intervals, Holm's correction over all pairs of the methods that are ranked there; a "
        "provisional method has fewer runs than its protocol requires, and no test"
    )


def as_data(found: Agreement) -> dict[str, Any]:
    """All of it as JSON has it; what is no number is null."""
    return {
        "protocols": list(found.protocols),
        "against": found.against,
        "metric": found.metric.key,
        "splits": [_split_data(each, found.protocols) for each in found.splits],
        "lacking": {split: list(protocols) for split, protocols in found.lacking.items()},
        "subsets": {
            split: _by_protocol(found.protocols, map(list, both))
            for split, both in found.subsets.items()
        },
    }


def _split_data(each: SplitAgreement, protocols: Sequence[str]) -> dict[str, Any]:
    return {
        "split": each.split,
        "subsets": each.subsets,
        "same_recipe": each.same_recipe,
        "correlation": None if each.correlation is None else each.correlation._asdict(),
        "same_sign": each.signs._asdict(),
        "same_significance": each.significances._asdict(),
        "alone": _by_protocol(protocols, map(list, each.alone)),
        "runs_differ": _by_protocol(protocols, each.runs_differ),
        "methods": [_method_data(method, protocols) for method in each.methods],
    }


def _method_data(method: MethodAgreement, protocols: Sequence[str]) -> dict[str, Any]:
    return {
        "method": method.method,
        "means": _by_protocol(protocols, method.means),
        "differences": _by_protocol(protocols, map(_difference_data, method.differences)),
        "same_sign": method.same_sign,
        "significant": _by_protocol(protocols, method.significant),
        "same_significance": method.same_significance,
    }


def _difference_data(each: Difference | None) -> dict[str, Any] | None:
    if each is None:
        return None
    return {key: None if value != value else value for key, value in asdict(each).items()}


def _by_protocol(protocols: Sequence[str], values: Iterable[Any]) -> dict[str, Any]:
    return dict(zip(protocols, values, strict=True))
