import inspect

import pytest

from dcbench import metrics
from dcbench.metrics.table import (
    METHODS_VIEW,
    METRICS,
    OOD_METRICS,
    OOD_SCORES,
    TERMINAL,
    find_metric,
    is_headline_ood,
    metrics_of,
    ood_key,
)


def row(key: str):
    [found] = metrics_of([key])
    return found


def test_keys_are_unique_and_each_row_is_described():
    keys = [each.key for each in (*METRICS, *OOD_METRICS)]
    assert len(set(keys)) == len(keys)
    for each in (*METRICS, *OOD_METRICS):
        assert each.title
        assert each.short_title
        assert each.meaning
        assert each.definition
        assert "Parameters" not in each.definition
        assert each.compute.__name__ in metrics.__all__
        assert inspect.getmodule(each.compute).__name__.startswith("dcbench.metrics.")


def test_errors_and_scores_are_better_when_low_and_accuracies_when_high():
    low = {each.key for each in METRICS if each.lower_is_better}
    high = {each.key for each in METRICS if each.best == "highest"}
    scaled = {"nll_ts", "brier_ts", "ece15_ts"}
    assert low == {"nll", "brier", "ece15", "adaptive_ece15", "classwise_ece15"} | scaled
    assert high == {each.key for each in METRICS if "accuracy" in each.key}
    assert {each.key for each in METRICS} - low - high == {"temperature"}
    lowest = {each.key for each in OOD_METRICS if each.lower_is_better}
    assert lowest == {"fpr95_ood_pos", "fpr95_id_pos"}


def test_fractions_are_shown_in_percent_and_others_as_they_are():
    assert row("accuracy").text(0.12345) == "12.35"
    assert row("accuracy").column_title == "Accuracy %"
    assert row("ece15").paper_title == "ECE (%)"
    assert row("nll").text(1.23456) == "1.235"
    assert row("nll").column_title == row("nll").paper_title == "NLL"
    assert row("brier").largest == 2
    assert row("temperature").text(1.5) == "1.50"
    assert row("accuracy_few").text(0.5, decimals=0) == "50"


def test_number_of_an_ood_set_is_found_by_its_dotted_name():
    found = find_metric("ood.mnist.energy.fpr95_id_pos")
    assert found is not None
    assert (found.key, found.lower_is_better) == ("ood.mnist.energy.fpr95_id_pos", True)
    assert find_metric("accuracy") is row("accuracy")


@pytest.mark.parametrize(
    "key",
    [
        *("", "acc", "ood", "ood.mnist", "ood.mnist.msp", "ood.mnist.msp.acc"),
        *("ood.mnist.no.auroc", "x.mnist.msp.auroc", "ood.mnist.msp.auroc.x", "accuracy_mean"),
    ],
)
def test_what_is_no_metric_has_no_row(key):
    assert find_metric(key) is None


def test_headline_of_an_ood_set_is_auroc_by_maximum_probability():
    assert ood_key("mnist") == "ood.mnist.msp.auroc"
    assert is_headline_ood("ood.mnist.msp.auroc")
    assert not is_headline_ood("ood.mnist.energy.auroc")
    assert not is_headline_ood("accuracy")


def test_views_name_metrics_that_there_are():
    assert {*TERMINAL, *METHODS_VIEW} <= {each.key for each in METRICS}
    assert [each.key for each in OOD_SCORES] == ["msp", "max_logit", "entropy", "energy"]
