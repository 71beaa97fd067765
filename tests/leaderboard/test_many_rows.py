"""Boards of many rows: what is the same for all of them is found out once."""

from collections import Counter
from pathlib import Path

from dcbench.config import reading
from dcbench.leaderboard import build as building
from dcbench.leaderboard import rows as board_rows
from dcbench.leaderboard.build import build
from dcbench.leaderboard.checks import check, schema
from dcbench.leaderboard.rows import in_order
from tests.counting import counted
from tests.leaderboard.tampering import edit, put, runs


def test_facts_of_a_split_are_read_once_for_all_its_records(tmp_path: Path, monkeypatch):
    for seed in range(6):
        put(tmp_path / "results", "erm", seed, seed)
    calls: Counter[str] = Counter()
    counted(monkeypatch, building, "split_config", calls)
    counted(monkeypatch, building, "load_protocol", calls)
    counted(monkeypatch, reading, "parse_yaml", calls)
    reading._parsed_yaml.cache_clear()
    [board] = build(tmp_path / "results", tmp_path / "board").boards
    assert board.rows == 6
    # The protocol is one file and the split another; the frozen rules are not there yet.
    assert calls == {"split_config": 1, "load_protocol": 1, "parse_yaml": 2}


def test_settings_of_a_method_and_needed_columns_are_looked_up_once_for_all_its_rows(
    whole: Path, monkeypatch
):
    path = runs(whole)

    def lookups() -> Counter[str]:
        calls: Counter[str] = Counter()
        with monkeypatch.context() as patch:
            for name in ("parse_method", "find_metric", "ood_columns"):
                counted(patch, schema, name, calls)
            check(whole)
        return calls

    many = lookups()
    edit(path, lambda rows: rows.__setitem__(slice(None), rows[::10]))  # one row a method
    assert many["parse_method"] == 3
    assert lookups() == many


def test_columns_are_ordered_once_for_all_rows_that_have_the_same(monkeypatch):
    asked = []

    def kept(names):
        asked.extend(names)
        return ["a", "b", "c"]

    monkeypatch.setattr(board_rows, "row_names", kept)
    found = in_order([{"b": "1", "a": "2"}] * 50 + [{"c": "3", "b": "4"}])
    assert asked == ["b", "a", "c", "b"]
    assert found[0] == {"a": "2", "b": "1", "c": ""}
    assert found[50] == {"a": "", "b": "4", "c": "3"}
