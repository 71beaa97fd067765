import pytest
import torch

from dcbench.bench import growth
from dcbench.bench.growth import Growth, GrowthReport, markdown, measure_growth


def test_line_through_equal_times_each_has_no_deviation():
    found = Growth("runs", (1, 2, 4), (3.0, 6.0, 12.0))
    assert found.each == pytest.approx(3.0)
    assert found.deviation == pytest.approx(0.0)


def test_line_minimizes_the_relative_squares():
    # Times each 1 and 2: b minimizes (1/b - 1)^2 + (2/b - 1)^2, so b = (1 + 4) / (1 + 2) = 5/3;
    # the times are 0.6 and 1.2 of the line.
    found = Growth("runs", (1, 10), (1.0, 20.0))
    assert found.each == pytest.approx(5 / 3)
    assert found.deviation == pytest.approx(0.4)


def test_table_has_every_amount_with_the_machine_and_the_date():
    report = GrowthReport("a CPU", "2026-11-24", (Growth("seeds", (1, 2), (1.5, 3.0)),), 0.75)
    text = markdown(report)
    assert "Measured on 2026-11-24, a CPU." in text
    assert "0.8 s longer" in text
    assert "| seeds | 1: 1.50, 2: 3.00 | 1.5 | 0% |" in text


def test_small_growth_is_measured_from_end_to_end(monkeypatch):
    for name, value in (("IMAGES", (50, 100)), ("SEEDS", (1, 2)), ("METHODS", (1, 2))):
        monkeypatch.setattr(growth, name, value)
    monkeypatch.setattr(growth, "EPOCHS", 1)
    report = measure_growth(torch.device("cpu"))
    assert [each.amounts for each in report.growths] == [(50, 100), (1, 2), (1, 2)]
    assert all(seconds > 0 for each in report.growths for seconds in each.seconds)
