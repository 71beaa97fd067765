"""Reports of many methods: a table is put in order once, not once for each method or cell."""

from collections import Counter

import pandas as pd
import pytest

from dcbench.reports.page.content import method_tables
from dcbench.reports.paper import paper_table
from tests.counting import counted
from tests.reports.page import made
from tests.reports.test_latex import a_board

VALUES = (0.5, 0.51, 0.52, 0.53, 0.54)


def calls_of(patch: pytest.MonkeyPatch, report, *names: str) -> Counter[str]:
    calls: Counter[str] = Counter()
    with patch.context() as inner:
        for name in names:
            counted(inner, pd.DataFrame, name, calls)
        report()
    return calls


def test_paper_table_sorts_a_summary_once(monkeypatch):
    def sorted_for(methods: int, metrics: list[str]) -> Counter[str]:
        board = a_board({f"method-{number}": list(VALUES) for number in range(methods)})
        return calls_of(monkeypatch, lambda: paper_table([board], metrics), "sort_values")

    assert sorted_for(3, ["accuracy"]) == {"sort_values": 1}
    assert sorted_for(12, ["accuracy", "nll"]) == {"sort_values": 1}


def test_page_takes_the_runs_of_a_table_apart_once(monkeypatch):
    def taken_for(methods: int) -> Counter[str]:
        names = [f"method-{number}" for number in range(methods)]
        board = made.board(dict.fromkeys(names, VALUES), dict.fromkeys(names, 1), asked=5)
        return calls_of(monkeypatch, lambda: method_tables(board), "to_dict", "__getitem__")

    assert taken_for(3) == taken_for(12)
