import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binom

from dcbench.leaderboard.across import (
    Across,
    StandingAcross,
    choose_block,
    compare_across,
    pairwise_p,
)
from dcbench.leaderboard.boards import Board
from dcbench.leaderboard.hierarchical import interval, resampled_means, split_means
from tests.leaderboard.across_boards import board, boards, single_runs

# Ranks of erm, a, b by split: 3 2 1; 2.5 2.5 1; 2 2 2; 1 2 3; 2 1 3.
FIVE = {
    "erm": (0.5, 0.5, 0.5, 0.7, 0.5),
    "a": (0.6, 0.5, 0.5, 0.6, 0.6),
    "b": (0.7, 0.7, 0.5, 0.5, 0.4),
}


def standings(found: Across) -> dict[str, StandingAcross]:
    return {each.method: each for each in found.standings}


def test_mean_ranks_and_wins_share_what_is_tied():
    found = compare_across(single_runs(FIVE))
    by_method = standings(found)
    assert list(by_method) == ["a", "b", "erm"]
    ranks = {name: each.mean_rank.value for name, each in by_method.items()}
    assert ranks == pytest.approx({"erm": 10.5 / 5, "a": 9.5 / 5, "b": 10 / 5})
    assert by_method["a"].wins is not None
    assert by_method["a"].wins.value == pytest.approx((1 + 0.5 + 0.5 + 0 + 1) / 5)
    assert by_method["b"].wins is not None
    assert by_method["b"].wins.value == pytest.approx((1 + 1 + 0.5 + 0 + 0) / 5)
    assert by_method["a"].accuracy is not None
    assert by_method["a"].accuracy.value == pytest.approx(0.1 / 5)
    assert by_method["erm"][2:5] == (None, None, None)


def test_ranks_are_of_means_of_subsets_over_the_runs_that_all_methods_have():
    # Subset 0 has two seeds and subset 1 one, which count the same: erm 0.45, a 0.5.
    # Seed 9 of erm, which would raise erm to 0.6, has no partner.
    own = board("s", {"erm": {(0, 0): 0.2, (0, 1): 0.4, (1, 0): 0.6, (0, 9): 1.0}})
    other = board("s", {"a": {(0, 0): 0.5, (0, 1): 0.5, (1, 0): 0.5}})
    runs = pd.concat([own.runs, other.runs])
    several = [Board("v1", f"s{number}", runs, pd.DataFrame()) for number in range(5)]
    found = compare_across(several)
    assert set(found.block.runs.values()) == {((0, 0), (0, 1), (1, 0))}
    accuracy = standings(found)["a"].accuracy
    assert accuracy is not None
    assert accuracy.value == pytest.approx(0.05)


def test_wins_of_single_runs_have_the_interval_of_a_binomial():
    # One run a split leaves splits alone to be drawn: wins are Binomial(5, 3/5) / 5.
    found = compare_across(single_runs({"erm": (0.5,) * 5, "a": (0.6, 0.6, 0.6, 0.4, 0.4)}))
    wins = standings(found)["a"].wins
    assert wins is not None
    assert wins == pytest.approx((0.6, *(binom.ppf([0.025, 0.975], 5, 0.6) / 5)))
    # The mean rank is 2 less the wins.
    rank = standings(found)["a"].mean_rank
    assert rank == pytest.approx((1.4, 2 - wins.high, 2 - wins.low))


def test_intervals_are_points_where_nothing_varies():
    found = compare_across(single_runs({"erm": (0.5,) * 5, "a": (0.6,) * 5, "b": (0.7,) * 5}))
    for each in found.standings:
        assert each.mean_rank.low == each.mean_rank.value == each.mean_rank.high
    accuracy = standings(found)["a"].accuracy
    assert accuracy == pytest.approx((0.1, 0.1, 0.1))


def shares(means: np.ndarray) -> dict[float, float]:
    values, counts = np.unique(means, return_counts=True)
    return dict(zip(values.tolist(), counts / means.size, strict=True))


def test_subsets_are_drawn_before_their_seeds():
    # Drawn flat, four runs of 0 and 1 would all be 0 in 1 of 16 draws.
    whole = [np.zeros((2, 1)), np.ones((2, 1))]
    assert shares(resampled_means([whole])) == pytest.approx(
        {0: 1 / 4, 0.5: 1 / 2, 1: 1 / 4}, abs=0.02
    )
    seeds = [np.array([[0.0], [1.0]])]
    assert shares(resampled_means([seeds])) == pytest.approx(
        {0: 1 / 4, 0.5: 1 / 2, 1: 1 / 4}, abs=0.02
    )


def test_a_split_that_is_drawn_twice_has_its_seeds_drawn_twice():
    seeds = [np.array([[0.0], [1.0]])]
    drawn = resampled_means([seeds, seeds])[..., 0]
    assert (drawn[:, 0] != drawn[:, 1]).mean() == pytest.approx(
        1 - (1 / 16 + 1 / 4 + 1 / 16), abs=0.02
    )


def test_methods_stay_paired_whatever_is_drawn():
    generator = np.random.default_rng(1)
    runs = [[generator.random((4, 1)) for _ in range(2)] for _ in range(3)]
    both = [[np.hstack([each, each + 0.25]) for each in subsets] for subsets in runs]
    drawn = resampled_means(both)
    assert drawn[..., 1] - drawn[..., 0] == pytest.approx(np.full(drawn.shape[:-1], 0.25))
    assert np.ptp(drawn[..., 0].mean(axis=1)) > 0
    assert (resampled_means(both) == drawn).all()
    assert split_means(both)[:, 0] == pytest.approx([np.mean(np.stack(each)) for each in runs])


def test_interval_ends_are_values_that_were_drawn():
    drawn = np.arange(1, 41, dtype=float)
    assert interval(20.0, drawn) == (20.0, 1.0, 39.0)


def test_signed_ranks_have_their_exact_p_and_equal_methods_1():
    # Seven differences of one sign: 2 of 2**7 signs are as extreme.
    table = pd.DataFrame({"a": np.arange(1, 8) / 100, "b": 0.0, "c": 0.0})
    p = pairwise_p(table)
    assert p[frozenset("ab")] == pytest.approx(min(1, 3 * 2 / 2**7))
    assert p[frozenset("bc")] == 1


def test_p_is_that_of_scikit_posthocs_and_statsmodels():
    posthocs = pytest.importorskip("scikit_posthocs")
    multitest = pytest.importorskip("statsmodels.stats.multitest")
    shift = np.array([0, 0.1, 0.4, 0.9])
    table = pd.DataFrame(np.random.default_rng(5).random((12, 4)) + shift)
    table.columns = list("abcd")
    found = pairwise_p(table)
    long = table.melt(var_name="method", value_name="accuracy")
    p_of = {"val_col": "accuracy", "group_col": "method"}
    plain = posthocs.posthoc_wilcoxon(long, **p_of)
    pairs = [(one, other) for one in "abcd" for other in "abcd" if one < other]
    adjusted = multitest.multipletests([plain.loc[pair] for pair in pairs], method="holm")[1]
    holm = posthocs.posthoc_wilcoxon(long, **p_of, p_adjust="holm")
    for pair, expected in zip(pairs, adjusted, strict=True):
        assert found[frozenset(pair)] == pytest.approx(expected)
        assert found[frozenset(pair)] == pytest.approx(holm.loc[pair])


def test_friedmans_test_by_hand():
    # Mean ranks 1, 2, 3 on six splits: 12 * 6 / (3 * 4) * (1 + 4 + 9 - 3 * 16 / 4) = 12, and with
    # two degrees of freedom p = exp(-12 / 2).
    found = compare_across(single_runs({"erm": (0.5,) * 6, "a": (0.6,) * 6, "b": (0.7,) * 6}))
    assert found.friedman_p == pytest.approx(math.exp(-6))
    assert compare_across(single_runs({"erm": (0.5,) * 6, "a": (0.6,) * 6})).friedman_p is None
    level = compare_across(single_runs(dict.fromkeys("abc", (0.5,) * 6)))
    assert level.friedman_p == 1


def test_methods_that_lack_a_split_are_left_out_and_named():
    several = boards(
        {split: {"erm": (0.5,), "a": (0.6,)} for split in "uvwxy"}
        | {"u": {"erm": (0.5, 0.6), "a": (0.6,), "b": (0.9,)}}
    )
    block = choose_block(several)
    assert block.splits == tuple("uvwxy")
    assert block.methods == ("a", "erm")
    assert (block.other_splits, block.other_methods) == ((), ("b",))
    assert set(block.runs.values()) == {((0, 0),)}


def test_split_that_shares_no_two_methods_or_no_run_is_left_out_and_named():
    whole: dict[str, Mapping[str, Sequence[float]]] = {
        split: {"erm": (0.5,), "a": (0.6,)} for split in "uvwxy"
    }
    apart = board("t", {"erm": {(0, 0): 0.5}, "a": {(0, 1): 0.5}})
    block = choose_block([*boards(whole | {"z": {"b": (0.9,)}}), apart])
    assert block.splits == tuple("uvwxy")
    assert (block.other_splits, block.other_methods) == (("t", "z"), ("b",))
    nothing = choose_block(boards({"u": {"a": (0.5,)}, "v": {"b": (0.5,)}}))
    assert (nothing.splits, nothing.methods) == ((), ())
    assert (nothing.other_splits, nothing.other_methods) == (("u", "v"), ("a", "b"))
    assert choose_block([]).splits == ()


@pytest.mark.parametrize(("count", "enough", "weak"), [(4, 0, 1), (5, 1, 1), (9, 1, 1), (10, 1, 0)])
def test_nothing_below_five_splits_and_weak_below_ten(count: int, enough: int, weak: int):
    found = compare_across(single_runs({"erm": (0.5,) * count, "a": (0.6,) * count}))
    assert bool(found.standings) == bool(enough)
    assert found.block.enough == bool(enough)
    assert found.block.weak == bool(weak)


def test_smallest_p_is_that_of_a_method_that_wins_everywhere():
    found = compare_across(single_runs({"erm": (0.5,) * 7, "a": (0.61,) * 7, "b": (0.7,) * 7}))
    assert found.block.least_p == pytest.approx(3 * 2 / 2**7)
    assert min(found.p.values()) == pytest.approx(found.block.least_p)
    assert standings(found)["b"].tied == ()


def test_cost_is_the_median_ratio_of_the_splits_that_know_both():
    several = single_runs({"erm": (0.5,) * 5, "a": (0.6,) * 5, "b": (0.6,) * 5})
    ratios = {"u": 1.0, "v": 2.0, "w": 9.0}
    for each, split in zip(several, "uvwxy", strict=True):
        flops = {"erm": 100.0 if split != "x" else math.nan, "a": 100 * ratios.get(split, math.nan)}
        each.runs["model_flops"] = each.runs["method"].map(flops)
    by_method = standings(compare_across(several))
    assert (by_method["a"].flops, by_method["a"].flops_splits) == (2.0, 3)
    assert (by_method["b"].flops, by_method["b"].flops_splits) == (None, 0)
    assert by_method["erm"].flops == 1


def test_without_the_reference_there_are_ranks_alone():
    found = compare_across(single_runs({"a": (0.5,) * 5, "b": (0.6,) * 5}))
    assert not found.has_reference
    assert [each.mean_rank.value for each in found.standings] == [1, 2]
    assert all(each[2:6] == (None, None, None, None) for each in found.standings)


def test_metric_that_a_run_lacks_has_no_difference():
    several = single_runs({"erm": (0.5,) * 5, "a": (0.6,) * 5})
    several[0].runs["ece15"] = math.nan
    each = standings(compare_across(several))["a"]
    assert each.ece is None
    assert each.accuracy is not None


def test_runs_of_a_tuned_track_take_no_part():
    plain = single_runs({"erm": (0.5,) * 5, "a": (0.6,) * 5})
    tuned = single_runs({"erm[tuned=8-x]": (0.9,) * 5, "a[tuned=8-y]": (0.8,) * 5})
    found = compare_across([*plain, *(replace(each, track="tuned(8)") for each in tuned)])
    assert found == compare_across(plain)
    assert not compare_across([replace(each, track="tuned(8)") for each in tuned]).standings
