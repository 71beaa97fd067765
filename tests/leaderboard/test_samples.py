"""Files that earlier versions wrote; they load for good."""

import json
import shutil
from pathlib import Path

import pytest

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
        later = {key: new[key] for key in new.keys() - old.keys()}
        assert (later.pop("tier"), later.pop("state")) == ("claimed", "current")
        assert set(later.values()) == {""}
    assert {"footnote", "images_per_second", "model_flops", "ceiling_share"} <= found[0].keys()
    assert "footnote" not in before[0]


def test_record_without_the_newer_costs_loads_and_makes_a_row():
    record = read_record(SAMPLES / "record-schema-1.json")
    row = row_of(record)
    assert (record.label, record.seed) == ("ic-remix", 8)
    assert (row["accuracy"], row["images_per_second"]) == ("0.824561", "11649.0")
    assert (row["model_flops"], row["ceiling_share"]) == ("", "")


def test_record_without_the_newer_metrics_lacks_them_and_does_not_say_that_they_are_none():
    record = read_record(SAMPLES / "record-with-normalisation.json")
    assert "nll_ts" not in record.metrics
    assert record.metrics.nll_ts is None
    assert "accuracy_few" in record.metrics
    assert record.metrics.accuracy_few is None
    dumped = record.model_dump(mode="json")
    assert "nll_ts" not in dumped["metrics"]
    assert dumped["metrics"]["accuracy_few"] is None
    assert row_of(record)["nll_ts"] == ""
    assert record.recipe.normalization == "split"


@pytest.mark.parametrize("name", ["record-schema-1.json", "record-with-normalisation.json"])
def test_record_comes_back_with_every_number_that_it_had(name):
    content = json.loads((SAMPLES / name).read_text())
    metrics = read_record(SAMPLES / name).model_dump(mode="json")["metrics"]
    assert metrics == content["metrics"]


def test_metrics_and_recipe_of_a_record_are_objects():
    record = read_record(SAMPLES / "record-with-normalisation.json")
    content = json.loads((SAMPLES / "record-with-normalisation.json").read_text())
    assert record.metrics.accuracy == content["metrics"]["accuracy"]
    auroc = content["metrics"]["ood"]["gaussian"]["msp"]["auroc"]
    assert record.metrics.ood["gaussian"]["msp"].auroc == auroc
    assert record.recipe.epochs == content["recipe"]["epochs"]


def test_record_is_shown_in_a_few_lines():
    shown = repr(read_record(SAMPLES / "record-with-normalisation.json"))
    assert shown.startswith("<Record: ic-mixup on digits, subset 0, seed 0")
    assert "accuracy=0." in shown
    assert len(shown.splitlines()) < 8
    assert max(map(len, shown.splitlines())) <= 100


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
