import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from dcbench.config.protocol import RequiredRuns
from dcbench.errors import UsageError
from dcbench.leaderboard.boards import Board
from dcbench.leaderboard.columns import COSTS
from dcbench.leaderboard.ranks import holm, paired_p, pairwise, standings
from dcbench.leaderboard.statistics import (
    Difference,
    differences_to,
    paired_difference,
    values_by_method,
)
from dcbench.leaderboard.summary import summarize
from dcbench.metrics.table import METRICS

KEYS = tuple(metric.key for metric in METRICS)

SEEDS = RequiredRuns.model_validate({"subsets": 0, "seeds": "0-4"})
ERM = [0.50, 0.52, 0.47, 0.55, 0.51]
MIXUP = [0.53, 0.54, 0.51, 0.56, 0.56]


def runs(**methods: list[float]) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {"subset": 0, "method": method, "seed": seed, "unverified_data": ""}
            | dict.fromkeys([*KEYS, *COSTS], value)
            for method, values in methods.items()
            for seed, value in enumerate(values)
        ]
    )


def difference(table: pd.DataFrame, method: str, against: str) -> Difference:
    found = paired_difference(values_by_method(table, "accuracy"), method, against)
    assert found is not None
    return found


def test_paired_difference_is_that_of_scipy():
    table = runs(erm=ERM, mixup=MIXUP).sample(frac=1, random_state=1)
    found = difference(table, "mixup", "erm")
    expected = stats.ttest_rel(MIXUP, ERM)
    interval = expected.confidence_interval(0.95)
    assert (found.method, found.against, found.metric, found.n) == ("mixup", "erm", "accuracy", 5)
    assert found.mean == pytest.approx(np.mean(np.subtract(MIXUP, ERM)))
    assert found.sd == pytest.approx(np.std(np.subtract(MIXUP, ERM), ddof=1))
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high))
    assert found.p == pytest.approx(expected.pvalue)


def test_paired_difference_by_hand():
    # differences 0.01, 0.02, 0.03: mean 0.02, sd 0.01, standard error 0.01 / sqrt(3);
    # t(0.975, 2) = 4.302653, t = 2 sqrt(3), p = 1 - t / sqrt(t^2 + 2) for two degrees of freedom
    found = difference(runs(a=[0.11, 0.22, 0.33], b=[0.1, 0.2, 0.3]), "a", "b")
    assert found.mean == pytest.approx(0.02)
    assert found.high - found.mean == pytest.approx(4.302653 * 0.01 / math.sqrt(3), rel=1e-6)
    assert found.p == pytest.approx(1 - math.sqrt(12) / math.sqrt(14))


def test_only_runs_of_equal_subset_and_seed_are_paired():
    table = pd.concat([runs(erm=ERM, mixup=MIXUP[:3]), runs(mixup=[0.9]).assign(subset=1)])
    found = difference(table, "mixup", "erm")
    assert found.n == 3
    assert found.mean == pytest.approx(np.mean([0.03, 0.02, 0.04]))


def test_one_pair_tells_nothing_apart():
    found = difference(runs(erm=[0.5], mixup=[0.9]), "mixup", "erm")
    assert (found.n, found.p) == (1, 1.0)
    assert all(math.isnan(value) for value in (found.sd, found.low, found.high))


@pytest.mark.parametrize(
    ("differences", "p"), [([0.0, 0.0, 0.0], 1.0), ([0.25, 0.25, 0.25], 0.0), ([0.25], 1.0)]
)
def test_differences_without_spread_have_the_p_that_they_deserve(differences, p):
    assert paired_p(differences) == p


@pytest.mark.parametrize(
    ("metric", "message"),
    [
        ("acuracy", "did you mean accuracy"),
        ("method", "unknown metric 'method'"),
        ("train_seconds", "unknown metric 'train_seconds'"),
        ("ood.mnist.msp.auroc", "metric ood.mnist.msp.auroc: no run has it"),
    ],
)
def test_metric_that_cannot_be_compared_is_named(metric, message):
    with pytest.raises(UsageError, match=message):
        values_by_method(runs(erm=ERM, mixup=MIXUP), metric)


@pytest.mark.parametrize("against", ["alone", "not-there"])
def test_methods_that_share_no_run_have_no_difference(against):
    table = pd.concat([runs(mixup=MIXUP), runs(alone=[0.5]).assign(seed=9)])
    values = values_by_method(table, "accuracy")
    assert paired_difference(values, "mixup", against) is None
    assert paired_difference(values, against, "mixup") is None


def test_holm_by_hand():
    # sorted 0.005 * 4, 0.01 * 3, 0.03 * 2, 0.04 * 1, and never below the one before
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.5]) == pytest.approx([1.0, 1.0])


def test_correction_is_over_all_pairs():
    values = pd.DataFrame({"a": ERM, "b": MIXUP, "c": [0.2, 0.3, 0.25, 0.2, 0.3]})
    raw = {
        pair: stats.ttest_rel(values[pair[0]], values[pair[1]]).pvalue
        for pair in (("a", "b"), ("a", "c"), ("b", "c"))
    }
    low, middle, high = sorted(raw, key=raw.__getitem__)
    found = pairwise(values)
    assert found.at[low] == pytest.approx(3 * raw[low])
    assert found.at[middle] == pytest.approx(max(3 * raw[low], 2 * raw[middle]))
    assert found.at[high] == pytest.approx(max(3 * raw[low], 2 * raw[middle], raw[high]))
    pd.testing.assert_frame_equal(found, found.T)
    assert all(found.at[name, name] == 1 for name in values)


def noisy(mean: float, spread: float, phase: int) -> list[float]:
    """Ten values around a mean, of a pattern that no other phase shares."""
    return [mean + spread * math.sin(seed * (phase + 1) + phase) for seed in range(10)]


def test_methods_that_cannot_be_told_apart_share_a_rank_and_the_next_counts_them():
    values = pd.DataFrame(
        {
            "worst": noisy(0.20, 0.004, 1),
            "good": noisy(0.801, 0.004, 2),
            "best": noisy(0.803, 0.004, 3),
            "middle": noisy(0.50, 0.004, 4),
        }
    )
    found = standings(values)
    assert [(name, found[name].rank, found[name].tied) for name in found] == [
        ("best", 1, ("good",)),
        ("good", 1, ("best",)),
        ("middle", 3, ()),
        ("worst", 4, ()),
    ]


def test_noisy_method_shares_the_first_rank_though_a_steady_one_is_above_it():
    best, steady = noisy(0.80, 0.001, 1), noisy(0.79, 0.001, 2)
    found = standings(pd.DataFrame({"a": best, "b": steady, "c": noisy(0.75, 0.4, 3)}))
    assert {name: place.rank for name, place in found.items()} == {"a": 1, "c": 1, "b": 3}
    assert found["a"].tied == ("c",)
    assert found["b"].tied == ()


def test_equal_methods_tie():
    found = standings(pd.DataFrame({"mixup": MIXUP, "remix": MIXUP}))
    assert [place.rank for place in found.values()] == [1, 1]


def test_one_method_is_the_best_of_one():
    assert standings(pd.DataFrame({"erm": ERM}))["erm"] == (1, ())


def test_equal_methods_are_parted_in_no_more_than_one_of_twenty_leaderboards():
    generator = np.random.default_rng(0)
    boards = 1000
    parted = 0
    for _ in range(boards):
        values = generator.normal(0.5, 0.03, (10, 1)) + generator.normal(0, 0.01, (10, 7))
        places = standings(pd.DataFrame(values, columns=list("abcdefg"))).values()
        parted += max(place.rank for place in places) > 1
    # 0.05, and three standard errors of a share of 1,000
    assert 0 < parted / boards <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / boards)


def test_method_that_is_better_by_three_deviations_is_alone_on_top_nearly_always():
    generator = np.random.default_rng(1)
    alone = 0
    for _ in range(100):
        values = generator.normal(0, 0.01, (10, 7))
        values[:, 0] += 0.03
        alone += standings(pd.DataFrame(values, columns=list("abcdefg")))["a"] == (1, ())
    assert alone > 80


def test_method_with_fewer_runs_is_provisional_and_changes_no_rank():
    table = summarize(runs(erm=ERM, mixup=MIXUP, new=[0.99] * 4), SEEDS).set_index("method")
    assert table["state"].to_dict() == {"erm": "ranked", "mixup": "ranked", "new": "provisional"}
    assert pd.isna(table.loc["new", "rank"])
    # the only pair: p = 0.0132 by ttest_rel, below 0.05 without a correction for `new`
    assert table["rank"].dropna().to_dict() == {"erm": 2, "mixup": 1}
    assert (table["tied"] == "").all()


def test_run_that_is_not_asked_for_does_not_stand_in_for_one_that_is():
    table = runs(erm=ERM).replace({"seed": {4: 7}})
    assert summarize(table, SEEDS)["state"].tolist() == ["provisional"]


def test_method_with_a_run_without_accuracy_is_provisional():
    table = summarize(runs(erm=[*ERM[:4], math.nan], mixup=MIXUP), SEEDS).set_index("method")
    assert table["state"].to_dict() == {"erm": "provisional", "mixup": "ranked"}


def test_differences_are_corrected_over_the_pairs_of_ranked_methods_alone():
    other = [0.3, 0.4, 0.35, 0.3, 0.2]
    table = runs(erm=ERM, mixup=MIXUP, other=other, new=[0.9, 0.91, 0.95])
    board = Board("v1", "digits", table, summarize(table, SEEDS))
    [(subsets, found)] = differences_to(board, "erm").items()
    by_method = {each.method: each for each in found}
    assert subsets == "0"
    assert set(by_method) == {"mixup", "other", "new"}
    assert (by_method["new"].n, by_method["new"].p_holm) == (3, None)
    corrected = pairwise(pd.DataFrame({"erm": ERM, "mixup": MIXUP, "other": other}))
    assert by_method["mixup"].p_holm == corrected.at["erm", "mixup"]
    assert by_method["other"].p_holm == corrected.at["erm", "other"]
    assert by_method["other"].p_holm > by_method["other"].p
    with pytest.raises(UsageError, match="did you mean erm"):
        differences_to(board, "erms")


def test_difference_without_a_test_says_which_method_it_is_for():
    table = runs(erm=ERM, mixup=MIXUP, new=[0.9, 0.91])
    table.loc[(table["method"] == "mixup") & (table["seed"] == 4), "nll_ts"] = math.nan
    board = Board("v1", "digits", table, summarize(table, SEEDS))

    def why(against: str, metric: str) -> dict[str, str | None]:
        return {each.method: each.no_test for each in differences_to(board, against, metric)["0"]}

    assert why("erm", "accuracy") == {"mixup": None, "new": "provisional"}
    assert why("new", "accuracy") == dict.fromkeys(("erm", "mixup"), "new is provisional")
    assert why("erm", "nll_ts")["mixup"] == "a run of mixup lacks nll_ts"
    assert why("mixup", "nll_ts")["erm"] == "a run of mixup lacks nll_ts"
