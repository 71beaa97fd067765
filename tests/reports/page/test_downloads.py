from __future__ import annotations

import pandas as pd
import pytest

from dcbench.reports.page.downloads import harmless


@pytest.mark.parametrize("cell", ["=1+1", "+cmd|' /C calc'!A0", "-2+3", "@SUM(A1)", "\t=1", "\r=1"])
def test_text_that_a_spreadsheet_would_run_gets_an_apostrophe(cell):
    assert harmless(pd.DataFrame({"name": [cell]}))["name"].tolist() == [f"'{cell}"]


@pytest.mark.parametrize("cell", ["erm", "ic-mixup[axes=class]", "", "1=1", "-0.1", "+2", "-1e-05"])
def test_other_text_stays(cell):
    assert harmless(pd.DataFrame({"name": [cell]}))["name"].tolist() == [cell]


def test_numbers_stay_numbers():
    table = pd.DataFrame({"difference": [-0.1, 0.2]})
    pd.testing.assert_frame_equal(harmless(table), table)


def test_names_of_columns_are_made_harmless_too():
    assert list(harmless(pd.DataFrame({"=a": [1], "b": [2]})).columns) == ["'=a", "b"]
