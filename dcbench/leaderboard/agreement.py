"""Whether two protocols agree: the order of the methods, and their differences to one of them.

Means, differences and tests are those that each board has; nothing is measured or tested anew.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from dcbench.config.names import split_list
from dcbench.config.protocol import load_protocol, protocol_names
from dcbench.data.splits import split_config
from dcbench.errors import UsageError, unknown
from dcbench.leaderboard.boards import Board
from dcbench.leaderboard.comparison import PLAIN
from dcbench.leaderboard.hierarchical import DECIMALS
from dcbench.leaderboard.statistics import Difference, differences_to
from dcbench.leaderboard.tracks import DEFAULT
from dcbench.metrics.metric import Metric
from dcbench.metrics.table import metric_of

FEWEST = 3
"""Methods below which no rank correlation is given: that of two is 1 or -1 whatever they are."""

Protocols = tuple[str, str]


class MethodAgreement(NamedTuple):
    """A method that has rows under both protocols.

    Attributes
    ----------
    means : tuple of float
        Of the metric, as either board has it: over the method's own runs there.
    differences : tuple of Difference or None
        To the method that all are compared with. None for that method, and where the two have no
        run of equal subset and seed.
    """

    method: str
    means: tuple[float, float]
    differences: tuple[Difference | None, Difference | None]

    @property
    def same_sign(self) -> bool | None:
        """Whether both differences are above zero, or both below, or both zero."""
        signs = [None if each is None else _sign(each.mean) for each in self.differences]
        return None if None in signs else signs[0] == signs[1]

    @property
    def significant(self) -> tuple[bool | None, bool | None]:
        """Whether either difference is significant after its board's correction.

        None where there is no test, for want of a difference or of the runs that a rank needs.
        """
        one, other = self.differences
        return one.significant if one else None, other.significant if other else None

    @property
    def same_significance(self) -> bool | None:
        """Whether both differences are significant, or neither is."""
        one, other = self.significant
        return None if one is None or other is None else one == other


class RankCorrelation(NamedTuple):
    """Of the methods' means under the two protocols: 1 for the same order, -1 for the reverse."""

    kendall_tau_b: float
    spearman: float


class Share(NamedTuple):
    """How many of how many."""

    number: int
    of: int


@dataclass(frozen=True)
class SplitAgreement:
    """The methods of a split under both protocols.

    Attributes
    ----------
    subsets : str
        `0`, or `all`, as in a summary.
    methods : tuple of MethodAgreement
        Best mean under the first protocol first.
    alone : tuple of tuple of str
        Methods that have the metric under the first protocol alone, and under the second.
    runs_differ : tuple of bool
        Whether, under either protocol, some of the methods have other runs than the others.
    correlation : RankCorrelation or None
        None for fewer than three methods, or where all of them have the same mean.
    same_recipe : bool
        Whether the protocols train alike here: then that they agree says nothing of them.
    """

    split: str
    subsets: str
    methods: tuple[MethodAgreement, ...]
    alone: tuple[tuple[str, ...], tuple[str, ...]]
    runs_differ: tuple[bool, bool]
    correlation: RankCorrelation | None
    same_recipe: bool

    @property
    def signs(self) -> Share:
        """The methods whose differences have the same sign, of those with both differences."""
        return _share([each.same_sign for each in self.methods])

    @property
    def significances(self) -> Share:
        """The methods whose differences are both significant or neither, of those with tests."""
        return _share([each.same_significance for each in self.methods])


@dataclass(frozen=True)
class Agreement:
    """Two protocols on all splits that have rows under both.

    Attributes
    ----------
    against : str
        The method that differences are to.
    splits : tuple of SplitAgreement
        By split; over subset 0, and over all subsets where both boards have others.
    lacking : dict
        By split without rows under both: the protocols that have none.
    subsets : dict
        By split whose boards have other subsets than one another: those of either.
    """

    protocols: Protocols
    against: str
    metric: Metric
    splits: tuple[SplitAgreement, ...]
    lacking: Mapping[str, tuple[str, ...]]
    subsets: Mapping[str, tuple[tuple[int, ...], tuple[int, ...]]]


def two_protocols(text: str) -> Protocols:
    """The names of two protocols that a comma joins.

    Raises
    ------
    UsageError
        They are not two, or a protocol is unknown.
    """
    names = split_list(text)
    for name in names:
        load_protocol(name)
    if len(names) != 2 or names[0] == names[1]:
        there = ", ".join(protocol_names())
        raise UsageError(
            f"protocols '{text}': name two different ones, joined by a comma; there are: {there}"
        )
    return names[0], names[1]


def agreement(
    boards: Sequence[Board],
    protocols: Protocols,
    *,
    splits: Sequence[str] = (),
    against: str = PLAIN,
    metric: str = "accuracy",
) -> Agreement:
    """Compare what two protocols say of the methods, on the default track.

    Rank correlation is Kendall's tau-b, which takes equal means into account (Kendall, "The
    treatment of ties in ranking problems", Biometrika 33, 1945), and Spearman's. Differences are
    those of `differences_to`: over runs of equal subset and seed, with Student's interval, and p
    after Holm's correction over all pairs of the methods that are ranked on the board.

    Parameters
    ----------
    boards
        Of any protocols, splits and tracks; those of the two protocols are taken.
    splits
        Which splits; all that either protocol has rows of, if none is named.
    against
        The method that differences are to.
    metric
        The key of a metric.

    Raises
    ------
    UsageError
        An unknown split, method or metric, or a metric that no method has under both protocols.
    """
    for split in splits:
        split_config(split)
    found = metric_of(metric)
    own = {
        (board.split, board.protocol): board
        for board in boards
        if board.track == DEFAULT and board.protocol in protocols
        if board.split in (splits or [board.split])
    }
    methods = {name for board in own.values() for name in board.runs["method"]}
    if methods and against not in methods:
        raise unknown("method of these leaderboards", against, methods)
    names = list(dict.fromkeys(splits)) or sorted({split for split, _ in own})
    absent = {
        split: tuple(each for each in protocols if (split, each) not in own) for split in names
    }
    pairs = [
        (own[split, protocols[0]], own[split, protocols[1]]) for split in names if not absent[split]
    ]
    compared = tuple(each for pair in pairs for each in _of_split(pair, against, found))
    if compared and not any(each.methods for each in compared):
        raise UsageError(f"metric {metric}: no method has it under both {' and '.join(protocols)}")
    listed = {one.split: (_subsets(one), _subsets(other)) for one, other in pairs}
    return Agreement(
        protocols,
        against,
        found,
        compared,
        {split: lacking for split, lacking in absent.items() if lacking},
        {split: both for split, both in listed.items() if both[0] != both[1]},
    )


def _subsets(board: Board) -> tuple[int, ...]:
    return tuple(sorted(map(int, board.runs["subset"].unique())))


def _of_split(pair: tuple[Board, Board], against: str, metric: Metric) -> list[SplitAgreement]:
    """What both boards of a split have, over each choice of subsets that both know."""
    differences = [_differences(board, against, metric.key) for board in pair]
    choices = [sorted(set(board.summary["subsets"])) for board in pair]
    return [
        _of_subsets(pair, subsets, metric, [each.get(subsets, {}) for each in differences])
        for subsets in choices[0]
        if subsets in choices[1]
    ]


def _differences(board: Board, against: str, metric: str) -> dict[str, dict[str, Difference]]:
    """The differences of a board by its choices of subsets and by method; none if it has none."""
    runs = board.runs
    known = metric in runs.columns and runs[metric].notna().any()
    if not known or against not in set(runs["method"]):
        return {}
    return {
        subsets: {each.method: each for each in found}
        for subsets, found in differences_to(board, against, metric).items()
    }


def _of_subsets(
    pair: tuple[Board, Board],
    subsets: str,
    metric: Metric,
    differences: Sequence[Mapping[str, Difference]],
) -> SplitAgreement:
    one, other = (_means(board, subsets, metric.key) for board in pair)
    best_first = 1 if metric.lower_is_better else -1
    common = sorted(one.keys() & other.keys(), key=lambda each: (best_first * one[each], each))
    methods = tuple(
        MethodAgreement(
            method,
            (one[method], other[method]),
            (differences[0].get(method), differences[1].get(method)),
        )
        for method in common
    )
    return SplitAgreement(
        pair[0].split,
        subsets,
        methods,
        (tuple(sorted(one.keys() - other.keys())), tuple(sorted(other.keys() - one.keys()))),
        (_runs_differ(pair[0], subsets, common), _runs_differ(pair[1], subsets, common)),
        rank_correlation(*zip(*(each.means for each in methods), strict=True)) if methods else None,
        _same_recipe(pair),
    )


def _same_recipe(pair: tuple[Board, Board]) -> bool:
    """Whether two protocols give a split the same training, and every method the same settings."""
    try:
        recipe = split_config(pair[0].split).recipe
        one, other = (load_protocol(board.protocol).entry(recipe) for board in pair)
    except UsageError:
        return False  # a split or a protocol of somebody else's, which is not known here
    return (one.training, one.methods) == (other.training, other.methods)


def _means(board: Board, subsets: str, metric: str) -> dict[str, float]:
    """The means of a metric by method, of those that have one."""
    column = f"{metric}_mean"
    rows = board.summary[board.summary["subsets"] == subsets]
    if column not in rows.columns:
        return {}
    return {
        str(method): round(float(mean), DECIMALS)
        for method, mean in zip(rows["method"], rows[column], strict=True)
        if mean == mean
    }


def _runs_differ(board: Board, subsets: str, methods: Sequence[str]) -> bool:
    """Whether the means of some methods are over other runs than those of the others."""
    runs = board.runs[board.runs["method"].isin(methods)]
    chosen = runs[runs["subset"] == 0] if subsets == "0" else runs
    groups = chosen.groupby("method")
    return len({frozenset(zip(own["subset"], own["seed"], strict=True)) for _, own in groups}) > 1


def rank_correlation(one: Sequence[float], other: Sequence[float]) -> RankCorrelation | None:
    """Kendall's tau-b and Spearman's rho of the means of the same methods.

    None for fewer than three methods, or where all means of one side are equal.
    """
    if len(one) < FEWEST or min(len(set(one)), len(set(other))) < 2:
        return None
    from scipy.stats import kendalltau, spearmanr  # in here: other tables need no correlation

    tau = kendalltau(one, other, variant="b").statistic
    return RankCorrelation(float(tau), float(spearmanr(one, other).statistic))


def _sign(value: float) -> int:
    rounded = round(value, DECIMALS)
    return (rounded > 0) - (rounded < 0)


def _share(verdicts: Sequence[bool | None]) -> Share:
    known = [each for each in verdicts if each is not None]
    return Share(sum(known), len(known))
