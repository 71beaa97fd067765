"""Files that earlier versions wrote; they load for good."""

import shutil
from pathlib import Path

from dcbench.leaderboard.boards import load_board
from dcbench.leaderboard.build import build
from dcbench.leaderboard.rows import row_of
from dcbench.leaderboard.tables import read_rows
from dcbench.records.files import read_record
from tests.leaderboard.tampering import put, rows_of

SAMPLES = Path(__file__).parent / "samples"
ROWS = SAMPLES / "rows-before-runs-folder.csv"


def test_rows_without_the_newer_columns_load_with_those_empty():
    before, found = rows_of(ROWS), read_rows(ROWS)
    assert len(found) == 17
    for old, new in zip(before, found, strict=True):
        assert {key: new[key] for key in old} == old
        assert all(new[key] == "" for key in new.keys() - old.keys())
    assert {"footnote", "images_per_second", "model_flops", "ceiling_share"} <= found[0].keys()
    assert "footnote" not in before[0]


def test_record_without_the_newer_costs_loads_and_makes_a_row():
    record = read_record(SAMPLES / "record-schema-1.json")
    row = row_of(record)
    assert (record.label, record.seed) == ("ic-remix", 8)
    assert (row["accuracy"], row["images_per_second"]) == ("0.824561", "11649.0")
    assert (row["model_flops"], row["ceiling_share"]) == ("", "")


def test_leaderboard_of_the_first_layout_moves_and_loses_no_row(tmp_path: Path):
    put(tmp_path / "results", "erm", 0, 0)
    build(tmp_path / "results", tmp_path / "board")
    folder = tmp_path / "board/v1"
    shutil.move(folder / "runs/digits.csv", folder / "digits.csv")
    shutil.copy(folder / "protocol.yaml", folder / "digits-summary.csv")
    put(tmp_path / "more", "erm", 1, 1)
    build(tmp_path / "more", tmp_path / "board")
    board = load_board("digits", "v1", tmp_path / "board")
    assert board.runs["seed"].tolist() == [0, 1]
    assert board.summary["n"].tolist() == [2]
    assert not (folder / "digits-summary.csv").exists()
