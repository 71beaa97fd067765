import math
import statistics

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from dcbench.config.protocol import RequiredRuns
from dcbench.leaderboard.columns import COSTS
from dcbench.leaderboard.summary import half_width_95, summarize
from dcbench.metrics.table import METRICS

KEYS = tuple(metric.key for metric in METRICS)

ASKED = RequiredRuns.model_validate({"subsets": "0-2", "seeds": "0-9"})
VALUES = [0.5, 0.52, 0.47, 0.55]


def rows(*runs: tuple[int, str, float | None]) -> pd.DataFrame:
    """A table of runs: subset, method, and a value for every metric."""
    columns = [*KEYS, "ood.mnist.msp.auroc", "ood.mnist.energy.auroc", *COSTS]
    return pd.DataFrame(
        [
            {"subset": subset, "method": method, "seed": seed, "unverified_data": ""}
            | dict.fromkeys(columns, math.nan if value is None else value)
            for seed, (subset, method, value) in enumerate(runs)
        ]
    )


def test_interval_of_a_sample_is_that_of_the_t_distribution():
    low, high = stats.t.interval(
        0.95, df=3, loc=statistics.mean(VALUES), scale=statistics.stdev(VALUES) / 2
    )
    assert half_width_95(VALUES) == pytest.approx((high - low) / 2)


def test_interval_of_two_values_is_the_textbooks():
    # t(0.975, 1) = 12.706, s = 0.1 * sqrt(2) / 2 * sqrt(2) = 0.1 / sqrt(2), s / sqrt(2) = 0.05
    assert half_width_95([0.4, 0.5]) == pytest.approx(12.706 * 0.05, rel=1e-4)


@pytest.mark.parametrize("values", [[], [0.5]])
def test_interval_of_less_than_two_values_is_unknown(values):
    assert math.isnan(half_width_95(values))


def test_mean_and_deviation_are_those_of_a_sample():
    table = summarize(rows(*((0, "erm", value) for value in VALUES)), ASKED)
    assert len(table) == 1
    row = table.iloc[0]
    assert (row["subsets"], row["method"], row["n"], row["asked"]) == ("0", "erm", 4, 10)
    for metric in (*KEYS, "ood.mnist.msp.auroc"):
        assert row[f"{metric}_mean"] == pytest.approx(0.51)
        # deviations from 0.51: -0.01, 0.01, -0.04, 0.04; squares sum to 0.0034, over n - 1 = 3
        assert row[f"{metric}_sd"] == pytest.approx(math.sqrt(0.0034 / 3))
        low, high = stats.t.interval(0.95, df=3, loc=0.51, scale=math.sqrt(0.0034 / 3) / 2)
        assert row[f"{metric}_mean"] - row[f"{metric}_ci95"] == pytest.approx(low)
        assert row[f"{metric}_mean"] + row[f"{metric}_ci95"] == pytest.approx(high)


def test_score_that_heads_no_table_is_left_out():
    table = summarize(rows((0, "erm", 0.5)), ASKED)
    assert "ood.mnist.msp.auroc_mean" in table.columns
    assert not any("energy" in column for column in table.columns)


def test_one_run_has_a_mean_and_no_spread():
    row = summarize(rows((0, "erm", 0.25)), ASKED).iloc[0]
    assert row["accuracy_mean"] == 0.25
    assert np.isnan(row["accuracy_sd"])
    assert np.isnan(row["accuracy_ci95"])


def test_metric_that_no_run_has_is_empty():
    row = summarize(rows((0, "erm", None), (0, "erm", None)), ASKED).iloc[0]
    assert row["n"] == 2
    assert np.isnan(row["accuracy_few_mean"])
    assert np.isnan(row["accuracy_few_sd"])


def test_metric_that_one_run_lacks_is_not_averaged_over_the_others():
    runs = rows((0, "erm", 0.2), (0, "erm", 0.3), (0, "erm", 0.4), (0, "mixup", 0.6))
    runs.loc[1, ["nll", "train_seconds"]] = math.nan
    erm, mixup = summarize(runs, ASKED).to_dict("records")
    assert erm["n"] == 3
    assert all(math.isnan(erm[f"nll_{kind}"]) for kind in ("mean", "sd", "ci95"))
    assert math.isnan(erm["train_seconds_mean"])
    assert erm["accuracy_mean"] == pytest.approx(0.3)
    assert (mixup["nll_mean"], mixup["train_seconds_mean"]) == (0.6, 0.6)


def test_methods_are_apart_and_in_order_over_subset_0_and_over_all():
    table = summarize(
        rows(
            (0, "mixup", 0.5),
            (0, "erm", 0.2),
            (1, "erm", 0.4),
            (2, "erm", 0.9),
            (0, "ic-mixup[axes=class]", 0.7),
        ),
        ASKED,
    )
    found = [tuple(row) for row in table[["subsets", "method", "n", "asked"]].to_numpy()]
    assert found == [
        ("0", "erm", 1, 10),
        ("0", "ic-mixup[axes=class]", 1, 10),
        ("0", "mixup", 1, 10),
        ("all", "erm", 3, 30),
        ("all", "ic-mixup[axes=class]", 1, 30),
        ("all", "mixup", 1, 30),
    ]
    assert table["accuracy_mean"].tolist() == pytest.approx([0.2, 0.7, 0.5, 0.5, 0.7, 0.5])


def test_subset_0_alone_is_not_told_twice():
    assert summarize(rows((0, "erm", 0.5)), ASKED)["subsets"].tolist() == ["0"]


def test_runs_of_other_subsets_alone_are_no_result_on_subset_0():
    table = summarize(rows((1, "erm", 0.5), (2, "erm", 0.6)), ASKED)
    assert table["subsets"].tolist() == ["all"]
    assert table["n"].tolist() == [2]
