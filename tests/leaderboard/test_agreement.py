"""Whether two protocols agree: correlations and differences that are computed by hand."""

from __future__ import annotations

import dataclasses
import math
import shutil
from pathlib import Path

import pytest

from dcbench.errors import UsageError
from dcbench.leaderboard.agreement import (
    Agreement,
    MethodAgreement,
    SplitAgreement,
    agreement,
    rank_correlation,
    two_protocols,
)
from dcbench.leaderboard.boards import Board, load_boards
from dcbench.leaderboard.marks import mark
from tests.leaderboard.tampering import SEEDS
from tests.leaderboard.two_protocols import ERM, FULL, LITE, above, board, seeds

PAIR = ("v1-lite", "v1")
T2, T3 = 4.302653, 3.182446
"""Quantiles 0.975 of Student's t with two and with three degrees of freedom."""


def agree(*boards: Board, **options: str) -> Agreement:
    return agreement(boards or (LITE, FULL), PAIR, **options)


def of(found: SplitAgreement, name: str) -> MethodAgreement:
    return next(each for each in found.methods if each.method == name)


def test_correlation_is_another_one_than_by_hand():
    # By v1-lite: erm, mixup, regmixup, remix; by v1: mixup, erm, then the other two, equal. Of
    # six pairs, four are concordant, one is discordant and one is tied under v1:
    # (4 - 1) / sqrt(6 * 5). Ranks under v1: 2, 1, 3.5, 3.5; covariance 3.5, squares 5 and 4.5.
    [found] = agree().splits
    assert found.correlation is not None
    assert found.correlation.kendall_tau_b == pytest.approx(3 / math.sqrt(30))
    assert found.correlation.spearman == pytest.approx(3.5 / math.sqrt(5 * 4.5))


def test_method_of_one_protocol_alone_takes_part_or_is_not_named():
    [found] = agree().splits
    assert [each.method for each in found.methods] == ["remix", "regmixup", "mixup", "erm"]
    assert found.alone == (("cutmix",), ("sam",))


def test_differences_and_intervals_are_others_than_by_hand():
    # mixup, v1-lite: 0.01, 0.02, 0.03 have deviation 0.01; v1: -0.019, -0.020, -0.021, 0.001.
    [found] = agree().splits
    lite, full = of(found, "mixup").differences
    assert lite is not None
    assert full is not None
    assert (lite.n, full.n) == (3, 3)
    assert (lite.mean, full.mean) == pytest.approx((0.02, -0.02))
    assert lite.high - lite.mean == pytest.approx(T2 * 0.01 / math.sqrt(3), rel=1e-6)
    assert full.low - full.mean == pytest.approx(-T2 * 0.001 / math.sqrt(3), rel=1e-6)


def test_verdicts_are_others_than_by_hand():
    # t of mean m and deviation s is m sqrt(3) / s, and p = 1 - t / sqrt(t^2 + 2). mixup: v1-lite
    # 0.074, v1 0.0008; remix: 0.0002, 0.0001; regmixup: 0.0004 and, with m = s, 0.225. Ten pairs
    # of methods have a corrected p of no more than ten times that.
    [found] = agree().splits
    verdicts = {each.method: (each.same_sign, each.significant) for each in found.methods}
    assert verdicts == {
        "erm": (None, (None, None)),
        "mixup": (False, (False, True)),
        "regmixup": (True, (True, False)),
        "remix": (True, (True, True)),
    }
    assert found.signs == (2, 3)
    assert found.significances == (1, 3)
    assert of(found, "remix").same_significance
    assert of(found, "mixup").same_significance is False


def test_order_of_the_protocols_or_the_method_compared_with_is_ignored():
    [turned] = agreement((LITE, FULL), ("v1", "v1-lite"), against="mixup").splits
    assert turned.methods[0].means == (0.66, 0.53)
    assert turned.alone == (("sam",), ("cutmix",))
    full, lite = of(turned, "erm").differences
    assert full is not None
    assert lite is not None
    assert (full.against, full.mean, lite.mean) == ("mixup", *map(pytest.approx, (0.02, -0.02)))
    assert of(turned, "mixup").differences == (None, None)


def test_protocols_and_splits_that_are_not_known_here_cannot_be_compared():
    boards = (dataclasses.replace(each, split="mine") for each in (LITE, FULL, FULL))
    lite, full, other = boards
    other = dataclasses.replace(other, protocol="v2")
    [found] = agreement((lite, full, other), ("v1", "v2")).splits
    assert found.correlation is not None
    assert found.correlation.kendall_tau_b == pytest.approx(1)
    assert found.signs == found.significances == (4, 4)
    assert not found.same_recipe


def test_split_that_both_protocols_train_alike_is_evidence():
    # baselines/v1-lite.yaml takes over the recipe of digits from v1, and no other
    alike = (dataclasses.replace(each, split="digits") for each in (LITE, FULL))
    [found] = agree(*alike).splits
    assert found.same_recipe
    [found] = agree().splits
    assert not found.same_recipe


def test_a_lower_error_is_not_first_and_its_correlation_another_one():
    [found] = agree(metric="ece15").splits
    assert found.methods[0].method == "remix"
    assert found.correlation is not None
    assert found.correlation.kendall_tau_b == pytest.approx(3 / math.sqrt(30))
    assert found.signs == (2, 3)


def test_one_seed_has_a_sign_and_neither_interval_nor_test():
    single = board("v1", {"erm": above(ERM, 0.0), "mixup": above(ERM, 0.1), "sam": above(ERM, 0.2)})
    [found] = agree(LITE, single).splits
    full = of(found, "mixup").differences[1]
    assert full is not None
    assert (full.n, full.mean) == (1, pytest.approx(0.1))
    assert math.isnan(full.low)
    assert of(found, "mixup").same_sign is True
    assert of(found, "mixup").significant == (False, None)
    assert of(found, "mixup").same_significance is None
    assert (found.signs, found.significances) == ((1, 1), (0, 0))
    assert found.correlation is None, "two methods have no rank correlation"


def test_methods_with_other_runs_are_said_to_have_them():
    [found] = agree(LITE, board("v1", {"erm": seeds(ERM), "mixup": above(ERM, 0.1)})).splits
    assert found.runs_differ == (False, True)


def test_subsets_are_paired_as_such_and_subset_0_is_compared_alone_too():
    # Subset 1 is harder by a tenth and has one seed more. Differences of mixup: 0.02 and 0.04 on
    # subset 0, 0.02 and 0.04 on subset 1: mean 0.03, deviation 0.011547.
    def both(base: float, gain: tuple[float, float] = (0, 0)) -> dict[tuple[int, int], float]:
        easy = seeds([base + gain[0], base + gain[1]])
        hard = seeds([base - 0.1 + gain[0], base - 0.1 + gain[1]], subset=1)
        return {**easy, **hard}

    methods = {"erm": both(0.5), "mixup": both(0.5, (0.02, 0.04)), "remix": both(0.4)}
    more = {"erm": methods["erm"] | {(1, 2): 0.9}}
    lite = board("v1-lite", methods, asked="0-1", subsets="0-1")
    full = board("v1", methods | more, asked="0-1", subsets="0-1")
    found = agree(lite, full)
    zero, every = found.splits
    assert (zero.subsets, every.subsets) == ("0", "all")
    for split, pairs in ((zero, 2), (every, 4)):
        for each in of(split, "mixup").differences:
            assert each is not None
            assert (each.n, each.mean) == (pairs, pytest.approx(0.03))
    last = of(every, "mixup").differences[1]
    assert last is not None
    assert last.high - last.mean == pytest.approx(T3 * 0.011547005 / 2, rel=1e-6)
    assert of(every, "erm").means == (pytest.approx(0.45), pytest.approx((1.8 + 0.9) / 5))
    assert every.runs_differ == (False, True)
    assert not found.subsets


def test_subsets_of_one_protocol_alone_are_not_compared_and_are_named():
    full = board("v1", {"erm": {**seeds(ERM), **seeds(ERM, 1)}, "mixup": seeds(ERM)})
    found = agree(LITE, full)
    assert [each.subsets for each in found.splits] == ["0"]
    assert found.subsets == {"cifair10-common": ((0,), (0, 1))}


def test_tuned_runs_take_part():
    tuned = Board("v1", "cifair10", FULL.runs, FULL.summary, "tuned(50)")
    lite = Board("v1-lite", "cifair10", LITE.runs, LITE.summary)
    found = agree(lite, tuned)
    assert found.splits == ()
    assert found.lacking == {"cifair10": ("v1",)}


def test_splits_without_rows_are_compared_or_not_said_to_lack_them():
    other = Board("v1", "cifair10", FULL.runs, FULL.summary)
    found = agree(LITE, FULL, other)
    assert [each.split for each in found.splits] == ["cifair10-common"]
    assert found.lacking == {"cifair10": ("v1-lite",)}
    found = agreement(
        (LITE, FULL, other), PAIR, splits=["cifar100", "cifair10-common", "cifair10-common"]
    )
    assert [each.split for each in found.splits] == ["cifair10-common"]
    assert found.lacking == {"cifar100": PAIR}


def test_method_compared_with_that_one_protocol_lacks_leaves_no_verdict():
    full = FULL.runs[FULL.runs["method"] != "erm"]
    summary = FULL.summary[FULL.summary["method"] != "erm"]
    [found] = agree(LITE, Board("v1", "cifair10-common", full, summary)).splits
    assert [each.differences[1] for each in found.methods] == [None] * 3
    assert (found.signs, found.significances) == ((0, 0), (0, 0))
    # regmixup, mixup, remix: .53 .52 .54 and .66 .58 .66; two pairs concordant, one tied
    assert found.correlation is not None
    assert found.correlation.kendall_tau_b == pytest.approx(2 / math.sqrt(3 * 2))


def test_method_without_a_run_in_common_leaves_no_verdict():
    late = board("v1", {"erm": seeds(ERM), "mixup": {(0, 9): 0.9}, "remix": above(ERM, 0.1)})
    [found] = agree(LITE, late).splits
    lite, full = of(found, "mixup").differences
    assert lite is not None
    assert full is None
    assert of(found, "mixup").same_sign is None


def test_equal_differences_that_round_otherwise_have_another_sign():
    # 0.1 + 0.2 is above 0.3 by 5.6e-17.
    rounded = {"erm": seeds((0.3, 0.3, 0.3)), "mixup": seeds((0.1 + 0.2, 0.3, 0.3))}
    plain = {"erm": seeds((0.3, 0.3, 0.3)), "mixup": seeds((0.3, 0.3, 0.3))}
    [found] = agree(board("v1-lite", rounded), board("v1", plain)).splits
    assert of(found, "mixup").same_sign is True
    [found] = agree(LITE, board("v1", plain)).splits
    assert of(found, "mixup").same_sign is False, "above zero is not zero"


@pytest.mark.parametrize(
    ("one", "other"),
    [([1, 2], [1, 2]), ([], []), ([1, 2, 3], [5, 5, 5]), ([5, 5, 5], [1, 2, 3])],
)
def test_correlation_is_given_where_there_is_none(one: list[float], other: list[float]):
    assert rank_correlation(one, other) is None


def test_reversed_order_is_not_minus_1():
    found = rank_correlation([1, 2, 3], [3, 2, 1])
    assert found == pytest.approx((-1, -1))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"against": "ermm"}, "unknown method of these leaderboards 'ermm'; did you mean erm"),
        ({"metric": "acuracy"}, "unknown metric 'acuracy'; did you mean accuracy"),
        ({"metric": "nll"}, "metric nll: no method has it under both v1-lite and v1"),
        ({"splits": ["digitz"]}, "unknown split 'digitz'; did you mean digits"),
    ],
)
def test_what_there_is_not_is_compared(options: dict[str, str], said: str):
    with pytest.raises(UsageError, match=said):
        agree(**options)


def test_metric_of_one_protocol_alone_leaves_its_methods_out():
    table = LITE.summary.assign(nll_mean=[1.0, 1.1, None, 1.2, 1.3])
    full = Board("v1", "cifair10-common", FULL.runs, FULL.summary.assign(nll_mean=1.0))
    lite = Board("v1-lite", "cifair10-common", LITE.runs, table)
    [found] = agree(lite, full, metric="nll").splits
    # by name: cutmix, erm, mixup, regmixup, remix; and sam under v1
    assert [each.method for each in found.methods] == ["erm", "regmixup", "remix"]
    assert found.alone == (("cutmix",), ("mixup", "sam"))


@pytest.mark.parametrize("text", ["v1", "v1,v1", "v1,v1-lite,v1", ""])
def test_protocols_that_are_not_two_are_taken(text: str):
    with pytest.raises(UsageError, match=r"name two different ones.*there are: v1, v1-lite"):
        two_protocols(text)


def test_unknown_protocol_is_taken():
    with pytest.raises(UsageError, match="unknown protocol 'v1-light'; did you mean v1-lite"):
        two_protocols("v1-light,v1")
    assert two_protocols("v1, v1-lite") == ("v1", "v1-lite")


def test_withdrawn_rows_count_or_disputed_ones_do_not(whole: Path):
    shutil.copytree(whole / "v1", whole / "v1-lite")
    mark(whole, "v1/digits", "mixup", [3], "withdrawn", "a wrong file")
    mark(whole, "v1/digits", "remix", [4], "disputed", "its loss rises")
    [found] = agree(*load_boards(whole)).splits
    pairs = {
        each.method: tuple(difference.n for difference in each.differences if difference)
        for each in found.methods
    }
    count = len(SEEDS)
    assert pairs == {"erm": (), "mixup": (count, count - 1), "remix": (count, count)}
    assert of(found, "mixup").significant[1] is None, "nine of ten runs give no rank"
    assert of(found, "remix").significant[1] is not None
