import math
from collections import Counter
from pathlib import Path

import pandas as pd
import pytest

from dcbench.config.names import parse_method
from dcbench.config.protocol import load_protocol
from dcbench.data.splits import split_config, split_names
from dcbench.errors import DataError
from dcbench.methods import method_class, method_names
from dcbench.reports.against_reported import comparison_rows, side_by_side
from dcbench.reports.reported import Reported, load_reported
from dcbench.runs.plan import choose

HEADER = "table,split,subsets,method,metric,value,averaged,recipe_differs,source,url,note"
GOOD = "poster: a,cifair10,0,erm,accuracy,0.5822,1 split x 10 runs,no,a paper,https://a.org/b,"


def found(table: str, split: str, method: str, metric: str = "accuracy") -> list[float | None]:
    return [
        row.value
        for row in load_reported()
        if row.table.startswith(table)
        and (row.split, row.method, row.metric) == (split, method, metric)
    ]


@pytest.mark.parametrize(
    ("table", "split", "method", "value"),
    [
        ("poster", "cifar100", "ic-mixup", 0.7790),
        ("poster", "cifar100", "ic-mixup[batch_size=64]", 0.7620),
        ("poster", "cifar100", "ic-mixup[axes=class,batch_size=512]", 0.7617),
        ("poster", "cifar100-lt-10", "erm", 0.5854),
        ("poster", "cifar100-lt-100", "ic-remix", 0.4601),
        ("poster", "cifar10-lt-10", "remix", 0.8957),
        ("poster", "cifar10-lt-100", "ic-mixup", 0.7681),
        ("poster", "cifair10", "erm", 0.5822),
        ("poster", "cifair10", "grad-l2", 0.5103),
        ("poster", "cifair10", "ic-regmixup", 0.6184),
        ("DEIC", "cifair100", "erm", 0.5342),
        ("others", "cifar100-lt-100", "balms", 0.508),
        ("others", "cifar100", "erm", 0.7676),
    ],
)
def test_published_numbers_are_those_of_their_sources(table, split, method, value):
    assert found(table, split, method) == [value]


def test_numbers_of_one_split_and_of_three_are_kept_apart():
    assert found("GEM", "cifair10", "erm", "balanced_accuracy") == [0.5518]
    kinds = {(row.table.partition(":")[0], row.averaged, row.subsets) for row in load_reported()}
    assert ("GEM", "3 splits x 10 runs", (0, 1, 2)) in kinds
    assert ("DEIC", "1 split x 10 runs", (0,)) in kinds
    assert {averaged for table, averaged, _ in kinds if table == "DEIC"} == {"1 split x 10 runs"}


def test_calibration_errors_stand_at_their_own_imbalance():
    assert found("others", "cifar10-lt-100", "mixup", "ece15") == [0.0214]
    assert found("others", "cifar10-lt-10", "mixup", "ece15") == [0.119]
    assert found("others", "cifar100-lt-10", "mislas", "ece15") == [0.0173]


def test_tables_of_the_poster_are_whole_and_its_unclear_digits_are_left_out():
    poster = [row for row in load_reported() if row.of_the_poster]
    assert Counter(row.split for row in poster) == {
        "cifar100": 9, "cifair10": 7,
        "cifar10-lt-10": 5, "cifar10-lt-100": 5, "cifar100-lt-10": 5, "cifar100-lt-100": 5,
    }  # fmt: skip
    unclear = [row.method for row in poster if row.value is None]
    assert len(unclear) == 3
    assert all("axes=pair" in method for method in unclear)


def test_labels_are_those_that_a_run_under_v1_has():
    for row in load_reported():
        spec = parse_method(row.method)
        assert row.split in split_names()
        if spec.name in method_names():
            entry = load_protocol("v1").entry(split_config(row.split).recipe)
            choice = choose(entry, method_class(spec.name), spec.settings)
            assert choice.label == row.method
            assert not (row.of_the_poster and choice.departures)


def test_every_number_has_a_source_and_those_of_other_recipes_say_so():
    for row in load_reported():
        assert row.source
        assert row.recipe_differs or row.table.split(":")[0] in ("poster", "GEM", "DEIC")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (GOOD.replace("0.5822", "58.22"), r"line 2: value='58.22'.*less than or equal to 1"),
        (GOOD.replace(",accuracy,", ",accurate,"), r"line 2: metric='accurate': should be one of"),
        (GOOD.replace(",no,", ",maybe,"), r"line 2: recipe_differs='maybe'"),
        (GOOD.replace("https://a.org/b", "javascript:alert(1)"), r"line 2: url=.*https://"),
        (GOOD + ",more", r"line 2: 12 cells where the header has 11"),
        (GOOD.replace(",a paper,", ",,"), r"line 2: source=''"),
    ],
)
def test_wrong_cell_is_told_by_file_line_and_column(tmp_path: Path, line, message):
    path = tmp_path / "reported.csv"
    path.write_text(f"{HEADER}\n{line}\n")
    with pytest.raises(DataError, match=message):
        load_reported(path)


def test_a_mean_over_ood_sets_is_reported_as_records_have_it():
    found = {
        (row.method, row.metric): row.value
        for row in load_reported()
        if row.metric in ("ood.near.msp.auroc", "ood.far.msp.auroc")
    }
    assert found == {
        ("erm[model=resnet-18]", "ood.near.msp.auroc"): 0.8027,
        ("erm[model=resnet-18]", "ood.far.msp.auroc"): 0.7776,
        ("regmixup[model=resnet-18]", "ood.near.msp.auroc"): 0.8083,
        ("regmixup[model=resnet-18]", "ood.far.msp.auroc"): 0.7904,
    }


def test_metric_that_is_no_fraction_may_be_above_1(tmp_path: Path):
    path = tmp_path / "reported.csv"
    path.write_text(f"{HEADER}\n{GOOD.replace(',accuracy,0.5822', ',nll,1.25')}\n")
    assert [row.value for row in load_reported(path)] == [1.25]
    path.write_text(f"{HEADER}\n{GOOD.replace(',accuracy,0.5822', ',brier,2.5')}\n")
    with pytest.raises(DataError, match=r"line 2: value=.*2\.5.*less than or equal to 2"):
        load_reported(path)


def a_number(value: float | None = 0.58, subsets: tuple[int, ...] = (0,)) -> Reported:
    text = " ".join(map(str, subsets))
    cells = dict(zip(HEADER.split(","), GOOD.split(","), strict=True))
    return Reported.model_validate(
        {**cells, "value": "" if value is None else str(value), "subsets": text}
    )


RUNS = pd.DataFrame(
    {
        "subset": [0, 0, 0, 1, 0],
        "method": ["erm", "erm", "erm", "erm", "mixup"],
        "seed": [0, 1, 2, 0, 0],
        "accuracy": [0.56, 0.57, 0.58, 0.40, 0.9],
    }
)


def test_measured_mean_is_that_of_the_same_method_and_subsets():
    # Mean 0.57, sd 0.01; t(0.975, 2) = 4.302653; 4.302653 * 0.01 / sqrt(3) = 0.024841.
    compared = side_by_side([a_number(0.58)], {"cifair10": RUNS})[0]
    assert compared.n == 3
    assert compared.mean == pytest.approx(0.57)
    assert compared.half_width == pytest.approx(0.024841, abs=1e-6)
    assert compared.difference == pytest.approx(-0.01)
    assert compared.covered is True
    assert side_by_side([a_number(0.60)], {"cifair10": RUNS})[0].covered is False
    assert side_by_side([a_number(0.58, (0, 1))], {"cifair10": RUNS})[0].n == 4


def test_nothing_is_said_where_nothing_is_known():
    unclear = side_by_side([a_number(None)], {"cifair10": RUNS})[0]
    assert math.isnan(unclear.difference)
    assert unclear.covered is None
    absent = side_by_side([a_number()], {})[0]
    assert (absent.n, absent.covered) == (0, None)
    _, rows = comparison_rows([unclear, absent])
    assert rows[0][2:] == ["3", "57.00 ± 2.48", "unclear", "–", "–"]
    assert rows[1][2:] == ["none yet", "–", "58.00", "–", "–"]


def test_numbers_of_other_recipes_are_not_compared():
    tables = {each.reported.table.partition(":")[0] for each in side_by_side(load_reported(), {})}
    assert tables == {"poster"}
