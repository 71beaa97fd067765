import csv
import errno
import json
import math
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from scipy import stats
from typer.testing import CliRunner

from dcbench.cli import app
from dcbench.cli import console as display
from dcbench.config.protocol import load_protocol
from dcbench.errors import DataError, RunError, UsageError
from dcbench.leaderboard.boards import load_board
from dcbench.leaderboard.build import build
from dcbench.leaderboard.rows import runs_in_brief
from dcbench.leaderboard.tables import read_rows
from dcbench.metrics.measure import measure
from dcbench.records import files, schema
from dcbench.records.store import locked
from tests.records.test_store import DIGITS, a_record, disk_that_fills_at, some_predictions


def put(results: Path, name: str, **changes: Any) -> schema.Record:
    """A record of a run, in a folder of that name."""
    seed = changes.get("seed", 0)
    metrics = measure(some_predictions(seed), long_tailed=False, ood_sets=("noise",))
    file = {"file": "predictions.npz", "sha256": f"{seed:064d}"}
    record = a_record(**{"metrics": metrics, "predictions": file, **changes})
    (results / name).mkdir(parents=True)
    files.write_record(results / name, record)
    return record


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def contents(folder: Path) -> dict[str, bytes]:
    """Every file in a folder but the lock."""
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != ".lock")
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


@pytest.fixture
def results(tmp_path: Path) -> Path:
    return tmp_path / "results"


@pytest.fixture
def board(tmp_path: Path) -> Path:
    return tmp_path / "board"


def command(*arguments: object) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, ["leaderboard", *(str(each) for each in arguments)])
    assert result.exception is None or isinstance(result.exception, SystemExit), (
        f"a traceback reached the user: {result.exception!r}"
    )
    return result.exit_code, result.stdout, result.stderr


def test_rows_stand_in_the_order_of_subset_method_and_seed_as_a_number(results: Path, board: Path):
    asked = [
        (1, "erm", 0),
        (0, "mixup", 10),
        (0, "mixup", 9),
        (0, "ic-mixup[axes=pair]", 2),
        (0, "erm", 1),
        (0, "erm", 0),
    ]
    for number, (subset, label, seed) in enumerate(asked):
        put(results, str(number), subset=subset, label=label, seed=seed)
    build(results, board)
    rows = table(board / "v1/runs/digits.csv")
    found = [(int(row["subset"]), row["method"], int(row["seed"])) for row in rows]
    assert found == sorted(asked)


def test_row_has_its_keys_first_then_fractions_with_six_decimals(results: Path, board: Path):
    record = put(results, "a")
    build(results, board)
    [row] = table(board / "v1/runs/digits.csv")
    assert list(row)[:3] == ["subset", "method", "seed"]
    assert row["accuracy"] == f"{record.metrics.accuracy:.6f}"
    assert 0 < float(row["accuracy"]) <= 1
    assert row["ood.noise.energy.fpr95_id_pos"] == (
        f"{record.metrics.ood['noise']['energy'].fpr95_id_pos:.6f}"
    )
    assert row["accuracy_few"] == ""
    assert row["predictions_sha256"] == record.predictions.sha256
    assert row["index_sha256"] == "a" * 64
    assert (row["status"], row["commit"], row["dcbench"]) == ("protocol", "", "0.1.0")
    assert row["device"] == "a processor, 2 threads"
    decimals = [row[key].partition(".")[2] for key in row if key.startswith(("acc", "ood.", "n"))]
    assert {len(digits) for digits in decimals if digits} == {6}


def test_ood_set_that_was_not_there_leaves_empty_cells(results: Path, board: Path):
    metrics = measure(some_predictions(), long_tailed=False, ood_sets=("noise", "svhn"))
    put(results, "a", metrics=metrics)
    build(results, board)
    [row] = table(board / "v1/runs/digits.csv")
    empty = [key for key, value in row.items() if key.startswith("ood.svhn.") and value == ""]
    assert len(empty) == 4 * 5
    [summary] = table(board / "v1/digits.csv")
    assert summary["ood.svhn.msp.auroc_mean"] == ""
    assert summary["ood.noise.msp.auroc_mean"] != ""


def test_each_split_and_protocol_has_a_file_of_its_own(results: Path, board: Path):
    put(results, "a")
    put(results, "b", split="cifair10", recipe=load_protocol("v1").entry("cifair10").training)
    built = build(results, board)
    assert [(each.protocol, each.split, each.rows, each.added) for each in built.boards] == [
        ("v1", "cifair10", 1, 1),
        ("v1", "digits", 1, 1),
    ]
    assert sorted(contents(board)) == [
        *("README.md", "v1/cifair10.csv", "v1/digits.csv", "v1/protocol.yaml"),
        *("v1/runs/cifair10.csv", "v1/runs/digits.csv"),
    ]


def test_custom_run_is_left_out_and_named(results: Path, board: Path):
    put(results, "a")
    put(results, "b", seed=1, status="custom", departures=["epochs=1 instead of 60"])
    built = build(results, board)
    assert built.custom == [results / "b" / "record.json"]
    assert [row["seed"] for row in table(board / "v1/runs/digits.csv")] == ["0"]
    code, _, said = command("build", "--results", results, "-o", board)
    assert code == 0
    assert f"left out, custom: {results / 'b' / 'record.json'}" in said


def test_method_with_a_setting_of_its_own_is_a_row_under_that_name(results: Path, board: Path):
    name = "label-smoothing[smoothing=0.2]"
    own = {"method": "label-smoothing", "settings": {"smoothing": 0.2}, "label": name}
    for seed in range(2):
        put(results, str(seed), seed=seed, **own)
    build(results, board)
    assert [row["method"] for row in table(board / "v1/runs/digits.csv")] == [name, name]
    _, said, _ = command("check", board)
    assert "a custom run" not in said


def test_listed_setting_with_another_value_is_refused_though_its_record_says_protocol(
    results: Path, board: Path
):
    put(results, "a", method="mixup", settings={"alpha": 0.2}, label="mixup[alpha=0.2]")
    with pytest.raises(RunError, match=r"alpha=0\.2 instead of 1\.0"):
        build(results, board)


def test_custom_runs_alone_make_no_leaderboard(results: Path, board: Path):
    put(results, "a", status="custom", departures=["epochs=1 instead of 60"])
    assert build(results, board).boards == []
    assert not board.exists()


def test_rows_that_are_there_already_stay(results: Path, board: Path, tmp_path: Path):
    put(results, "a", seed=3)
    build(results, board)
    before = table(board / "v1/runs/digits.csv")
    put(tmp_path / "more", "b", seed=1)
    built = build(tmp_path / "more", board)
    assert (built.boards[0].rows, built.boards[0].added) == (2, 1)
    after = table(board / "v1/runs/digits.csv")
    assert [row["seed"] for row in after] == ["1", "3"]
    assert after[1] == before[0]


def test_same_run_twice_is_one_row(results: Path, board: Path, tmp_path: Path):
    put(results, "a")
    put(results, "copy-of-a")
    build(results, board)
    before = (board / "v1/runs/digits.csv").read_bytes()
    built = build(results, board)
    assert (built.boards[0].rows, built.boards[0].added) == (1, 0)
    assert (board / "v1/runs/digits.csv").read_bytes() == before


@pytest.fixture
def elsewhere(results: Path, board: Path, tmp_path: Path) -> Path:
    """Records of two runs that are on the board with other predictions, and of one that is not."""
    for seed in range(3):
        put(results, str(seed), seed=seed)
    build(results, board)
    metrics = measure(some_predictions(7), long_tailed=False, ood_sets=("noise",))
    for seed in range(2):
        changed = {"file": "predictions.npz", "sha256": "ef"[seed] * 64}
        changes = {"seed": seed, "predictions": changed, "metrics": metrics}
        put(tmp_path / "other", f"erm-{seed}", **changes)
    put(tmp_path / "other", "mixup-0", label="mixup")
    return tmp_path / "other"


def test_rows_of_the_same_run_with_other_predictions_stay_and_all_others_are_added(
    elsewhere: Path, board: Path
):
    before = table(board / "v1/runs/digits.csv")
    code, _, said = command("build", "--results", elsewhere, "-o", board)
    assert code == 1
    words = " ".join(said.split())
    assert f"{board}/v1/runs/digits.csv: rows with other predictions are there of 2 of the" in words
    assert "erm (seeds 0-1); to have" in words
    assert "another folder (-o)" in words
    assert "--replace" not in said
    *erm, mixup = table(board / "v1/runs/digits.csv")
    assert erm == before
    assert mixup["method"] == "mixup"
    [summary, _] = table(board / "v1/digits.csv")
    assert (summary["method"], summary["n"]) == ("erm", "3")
    code, said, _ = command("build", "--results", elsewhere, "-o", board, "--json")
    [written] = json.loads(said)["boards"]
    assert (code, written["rows"], written["added"]) == (1, 4, 0)
    assert written["other"] == [{"subset": 0, "method": "erm", "seed": seed} for seed in range(2)]


def test_replace_takes_the_records_for_the_rows_of_the_same_runs(elsewhere: Path, board: Path):
    assert command("build", "--results", elsewhere, "-o", board, "--replace")[0] == 0
    hashes = [row["predictions_sha256"] for row in table(board / "v1/runs/digits.csv")]
    assert hashes[:3] == ["e" * 64, "f" * 64, f"{2:064d}"]


def test_runs_in_brief_name_few_methods_and_count_the_rest():
    keys = [(1, "b", 3), (1, "b", 0), (0, "b", 1), (0, "a", 1), (0, "a", 0)]
    assert runs_in_brief(keys) == "a (seeds 0-1), b (seed 1), b (subset 1, seeds 0,3)"
    assert runs_in_brief(keys, most=1) == "a (seeds 0-1), and 3 more"


def test_number_that_was_changed_under_the_same_predictions_is_not_kept_silently(
    results: Path, board: Path
):
    record = put(results, "a")
    build(results, board)
    path = board / "v1/runs/digits.csv"
    true = f"{record.metrics.accuracy:.6f}"
    path.write_text(path.read_text().replace(f",{true},", ",0.999999,", 1))
    try:
        build(results, board)
    except RunError:
        return
    assert table(path)[0]["accuracy"] == true


def test_record_of_another_recipe_is_refused_by_name(results: Path, board: Path):
    put(results, "a")
    put(results, "b", seed=1, recipe={**DIGITS, "epochs": 61})
    with pytest.raises(RunError, match=r"b/record\.json.*epochs=61 instead of 60"):
        build(results, board)
    assert not board.exists()


def test_record_of_a_variant_that_the_protocol_allows_is_taken(results: Path, board: Path):
    changes = {"method": "ic-mixup", "label": "ic-mixup[axes=class]"}
    put(results, "a", **changes, settings={"axes": "class", "alpha": 1.0})
    assert build(results, board).boards[0].rows == 1
    put(results, "b", **changes, seed=1, settings={"axes": "class", "alpha": 0.5})
    with pytest.raises(RunError, match=r"alpha=0\.5 instead of 1\.0"):
        build(results, board)


def test_rules_that_the_rows_obey_are_kept_beside_them(results: Path, board: Path):
    put(results, "a")
    put(results, "b", method="ic-mixup", label="ic-mixup", seed=1)
    build(results, board)
    frozen = yaml.safe_load((board / "v1/protocol.yaml").read_text())
    assert list(frozen["recipes"]) == ["digits"]
    assert "extends" not in frozen
    assert frozen["recipes"]["digits"]["training"]["epochs"] == 60
    assert frozen["recipes"]["digits"]["methods"] == {"erm": {}, "ic-mixup": {"alpha": 1.0}}
    assert frozen["recipes"]["digits"]["asked"]["seeds"] == list(range(10))


def test_rows_of_other_rules_do_not_mix(results: Path, board: Path, tmp_path: Path):
    put(results, "a")
    build(results, board)
    path = board / "v1/protocol.yaml"
    path.write_text(path.read_text().replace("learning_rate: 0.05", "learning_rate: 0.1"))
    before = contents(board)
    put(tmp_path / "more", "a", seed=1)
    with pytest.raises(RunError, match=r"learning_rate=0\.1 was frozen.*new protocol version"):
        build(tmp_path / "more", board)
    assert contents(board) == before


def test_source_that_is_told_better_is_no_change_of_rules(results: Path, board: Path):
    put(results, "a")
    build(results, board)
    before = contents(board)
    path = board / "v1/protocol.yaml"
    path.write_text(path.read_text().replace("epochs: 'choice:", "epochs: 'hearsay:"))
    assert contents(board) != before
    build(results, board)
    assert contents(board) == before


def test_footnote_stays_with_its_row(results: Path, board: Path, tmp_path: Path):
    put(results, "a")
    code, _, _ = command("build", "--results", results, "-o", board, "--footnote", "a slow disk")
    assert code == 0
    put(results, "b", seed=1)
    build(results, board)
    notes = [row["footnote"] for row in table(board / "v1/runs/digits.csv")]
    assert notes == ["a slow disk", ""]


def test_results_folder_without_a_record_is_wrong_use(tmp_path: Path, board: Path):
    with pytest.raises(UsageError, match="holds no record"):
        build(tmp_path / "nowhere", board)
    assert not board.exists()


def test_damaged_record_is_refused_by_name_and_nothing_is_written(results: Path, board: Path):
    put(results, "a")
    (results / "b").mkdir()
    (results / "b" / "record.json").write_text("{")
    with pytest.raises(DataError, match=r"b/record\.json"):
        build(results, board)
    assert not board.exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"split": "nowhere"}, "nowhere"),
        ({"protocol": "v0"}, "v0"),
    ],
)
def test_record_of_no_known_split_or_protocol_writes_nothing(
    results: Path, board: Path, tmp_path: Path, changes, message
):
    put(results, "a", **changes)
    code, _, said = command("build", "--results", results, "-o", board)
    assert code in (2, 3)
    assert message in said
    assert list(tmp_path.rglob("*.csv")) == []


KEYS = "subset,method,seed,predictions_sha256"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff\xfe\x00",
        b"<html>\n",
        b"a,b\n1,2\n",
        b"subset,method,seed\n0,erm,0\n",
        f"{KEYS}\nzero,erm,0,{'f' * 64}\n".encode(),
        f"{KEYS}\n0,erm,,{'f' * 64}\n".encode(),
        f"{KEYS}\n0,erm,3,{'f' * 64},1,2,3\n".encode(),
        f"{KEYS}\n0,erm,3\n".encode(),
        f"{KEYS},accuracy\n0,erm,3,{'f' * 64},high\n".encode(),
    ],
    ids=[
        *("empty", "not text", "html", "other columns", "no hash", "subset", "seed"),
        *("long row", "short row", "a word for a number"),
    ],
)
def test_leaderboard_that_is_not_one_ends_with_3_by_name_and_is_left_as_it_is(
    results: Path, board: Path, content
):
    put(results, "a")
    path = board / "v1/runs/digits.csv"
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    code, _, said = command("build", "--results", results, "-o", board)
    assert code == 3
    assert str(path) in "".join(said.split("\n"))
    assert path.read_bytes() == content


def test_leaderboard_with_no_rows_yet_takes_them(results: Path, board: Path):
    put(results, "a")
    build(results, board)
    path = board / "v1/runs/digits.csv"
    whole = path.read_bytes()
    path.write_bytes(whole.splitlines(keepends=True)[0])
    build(results, board)
    assert path.read_bytes() == whole


def test_folder_that_cannot_be_written_ends_with_1(results: Path, tmp_path: Path):
    put(results, "a")
    (tmp_path / "file").write_text("in the way")
    code, _, said = command("build", "--results", results, "-o", tmp_path / "file")
    assert code == 1
    assert f"cannot write {tmp_path / 'file'}" in said


def test_old_leaderboard_stays_when_the_disk_fills(results: Path, board: Path, tmp_path: Path):
    put(results, "a")
    build(results, board)
    before = (board / "v1/runs/digits.csv").read_bytes()
    put(tmp_path / "more", "b", seed=5)
    with disk_that_fills_at(200), pytest.raises(RunError):
        build(tmp_path / "more", board)
    assert (board / "v1/runs/digits.csv").read_bytes() == before


ODD_NAMES = ["ic-mixup[alpha=0.2,axes=class]", "NA", "007", "1e3", "a[b=[c,d]]"]


def test_names_with_commas_and_brackets_come_back_and_give_the_same_bytes(
    results: Path, board: Path, tmp_path: Path
):
    for number, name in enumerate(ODD_NAMES):
        put(results, str(number), label=name)
    build(results, board)
    path = board / "v1/runs/digits.csv"
    before = path.read_bytes(), (board / "v1/digits.csv").read_bytes()
    assert sorted(row["method"] for row in table(path)) == sorted(ODD_NAMES)
    assert sorted(row["method"] for row in read_rows(path)) == sorted(ODD_NAMES)
    build(results, board)
    assert (path.read_bytes(), (board / "v1/digits.csv").read_bytes()) == before
    for number in range(1, len(ODD_NAMES)):
        (results / str(number) / "record.json").unlink()
    build(results, board)
    assert path.read_bytes() == before[0]
    methods = [row["method"] for row in table(board / "v1/digits.csv")]
    assert sorted(methods) == sorted(ODD_NAMES)


def test_order_of_the_records_does_not_change_a_byte(results: Path, tmp_path: Path):
    names = ["a", "b", "c"]
    for seed, name in enumerate(names):
        put(results, name, seed=seed)
        put(tmp_path / "turned", names[-1 - seed], seed=seed)
    build(results, tmp_path / "one")
    build(tmp_path / "turned", tmp_path / "other")
    assert contents(tmp_path / "one") == contents(tmp_path / "other")


def test_summary_has_mean_deviation_and_interval_of_the_rows(results: Path, board: Path):
    accuracies = [put(results, str(n), seed=n).metrics.accuracy for n in range(3)]
    build(results, board)
    [row] = table(board / "v1/digits.csv")
    mean = sum(accuracies) / 3
    deviation = math.sqrt(sum((value - mean) ** 2 for value in accuracies) / 2)
    low, high = stats.t.interval(0.95, df=2, loc=mean, scale=deviation / math.sqrt(3))
    assert (row["subsets"], row["method"], row["n"], row["asked"]) == ("0", "erm", "3", "10")
    assert float(row["accuracy_mean"]) == pytest.approx(mean, abs=2e-6)
    assert float(row["accuracy_sd"]) == pytest.approx(deviation, abs=2e-6)
    assert float(row["accuracy_ci95"]) == pytest.approx((high - low) / 2, abs=2e-5)
    assert row["accuracy_few_mean"] == ""


def test_summary_of_one_run_has_no_spread(results: Path, board: Path):
    put(results, "a")
    put(results, "b", subset=1)
    build(results, board)
    zero, every = table(board / "v1/digits.csv")
    assert (zero["subsets"], zero["n"], zero["asked"]) == ("0", "1", "10")
    assert (zero["accuracy_sd"], zero["accuracy_ci95"]) == ("", "")
    assert (every["subsets"], every["n"], every["asked"]) == ("all", "2", "30")
    assert every["accuracy_sd"] == "0.000000"


def test_summary_is_shown_in_percent_with_its_interval(results: Path, board: Path):
    accuracies = [
        put(results, str(n), seed=n, label="ic-mixup[axes=class]").metrics.accuracy
        for n in range(2)
    ]
    build(results, board)
    code, shown, _ = command("show", "digits", "--from", board)
    words = " ".join(shown.split())
    assert code == 0
    assert "digits, protocol v1" in words
    assert "2/10" in words
    assert f"{100 * sum(accuracies) / 2:.2f}" in words
    # t(0.975, 1) = 12.7062; the standard error of two values is half of their distance.
    half = 12.7062 * abs(accuracies[0] - accuracies[1]) / 2 * 100
    assert f"{half:.2f}" in words
    assert "few %" not in words
    code, out, _ = command("show", "digits", "--from", board, "--json")
    [row] = json.loads(out)
    assert code == 0
    assert row["method"] == "ic-mixup[axes=class]"
    assert row["subsets"] == "0"
    assert row["accuracy_mean"] == pytest.approx(sum(accuracies) / 2, abs=1e-6)
    assert row["accuracy_few_mean"] is None


def test_method_in_brackets_is_shown_whole(results: Path, board: Path, monkeypatch):
    monkeypatch.setattr(display.stdout, "width", 200)
    put(results, "a", label="erm[fit=train]")
    code, shown, _ = command("build", "--results", results, "-o", board)
    assert code == 0
    assert "erm[fit=train]" in shown


def test_leaderboard_that_is_not_there_yet_ends_with_2(board: Path):
    code, _, said = command("show", "digits", "--from", board)
    assert code == 2
    assert "no leaderboard of digits under protocol v1 yet" in said


@pytest.mark.parametrize(
    "content", [b"", b"\xff\xfe\x00", b"a,b\n1,2\n", b"subsets,method,n,asked,accuracy_mean\n0"]
)
@pytest.mark.parametrize("as_json", [(), ("--json",)])
def test_summary_that_cannot_be_read_ends_with_3_by_name(
    results: Path, board: Path, content, as_json
):
    put(results, "a")
    build(results, board)
    path = board / "v1/digits.csv"
    path.write_bytes(content)
    code, out, said = command("show", "digits", "--from", board, *as_json)
    assert code == 3
    assert str(path) in "".join(said.split("\n"))
    assert out == ""


def test_summary_is_read_as_it_was_written(results: Path, board: Path):
    put(results, "a")
    [built] = build(results, board).boards
    found = load_board("digits", "v1", board).summary
    assert found.columns.tolist() == built.summary.columns.tolist()
    assert found["accuracy_mean"].tolist() == pytest.approx(
        built.summary["accuracy_mean"], abs=1e-6
    )


def rewrite(record: Path, **changes: object) -> None:
    record.write_text(json.dumps({**json.loads(record.read_text()), **changes}))


@pytest.mark.parametrize(
    "changes",
    [
        {"split": "../../elsewhere"},
        {"protocol": "../v1"},
        {"protocol": "/v1"},
        {"label": ".."},
        {"label": "a/b"},
        {"label": "a\x1b[31m"},
        {"label": "a" * 300},
        {"label": ""},
        {"seed": -1},
    ],
)
def test_record_whose_names_lead_elsewhere_is_refused_by_name(results, board, tmp_path, changes):
    put(results, "a")
    rewrite(results / "a/record.json", **changes)
    code, _, said = command("build", "--results", results, "-o", board)
    assert code == 3
    assert f"{results / 'a/record.json'}: {next(iter(changes))}=" in said
    assert list(tmp_path.rglob("*.csv")) == []


def test_backup_copy_below_the_results_is_left_out_and_named(results: Path, board: Path):
    home = results / "v1/digits/subset-0/erm"
    put(home, "seed-0")
    shutil.copytree(results / "v1", results / "backup/v1")
    before = json.loads((home / "seed-0/record.json").read_text())["predictions"]
    rewrite(
        results / "backup/v1/digits/subset-0/erm/seed-0/record.json",
        predictions={**before, "sha256": "e" * 64},
    )
    code, _, said = command("build", "--results", results, "-o", board)
    assert code == 0
    assert f"left out, {results / 'backup/v1/digits/subset-0/erm/seed-0/record.json'}" in said
    (row,) = table(board / "v1/runs/digits.csv")
    assert row["predictions_sha256"] == before["sha256"]


def test_two_different_records_of_a_run_that_lie_elsewhere_are_refused(results: Path, board: Path):
    put(results, "a")
    put(results, "b", finished="2025-01-01T00:00:00+00:00")
    code, _, said = command("build", "--results", results, "-o", board)
    assert code == 1
    assert "are different records of v1/digits/subset-0/erm/seed-0" in said


def test_hidden_files_among_tables_are_none_of_ours(results: Path, board: Path):
    put(results, "a")
    build(results, board)
    for path in (board / "v1/runs/._digits.csv", board / "v1/._digits.csv"):
        path.write_bytes(b"\0\5\x16\7")
    (board / ".git").mkdir()
    assert command("show", "digits", "--from", board)[0] == 0
    checked = command("check", board, "--base", board)[1]
    assert "._digits" not in checked
    assert ".git" not in checked
    assert command("migrate", board)[0] == 0
    assert command("build", "--results", results, "-o", board)[0] == 0


@pytest.fixture
def closed(monkeypatch) -> Callable[[Path], None]:
    """Closes a folder to this user: its name is seen, and nothing that is in it."""

    def close(folder: Path) -> None:
        def closing(name, real):
            def refusing(path, *arguments, **options):
                inside = isinstance(path, (str, os.PathLike)) and (
                    Path(path).is_relative_to(folder)
                    if name == "scandir"
                    else folder in Path(path).parents
                )
                if inside:
                    raise PermissionError(errno.EACCES, "Permission denied", str(path))
                return real(path, *arguments, **options)

            return refusing

        for name in ("scandir", "stat", "lstat", "open", "mkdir"):
            monkeypatch.setattr(os, name, closing(name, getattr(os, name)))

    return close


def test_folder_that_is_closed_to_the_user_is_named_and_the_others_are_built(
    results: Path, board: Path, closed
):
    put(results, "a")
    put(results, "b", seed=1)
    closed(results / "b")
    code, _, said = command("build", "--results", results, "-o", board)
    assert code == 0, said
    assert f"left out, {results / 'b'}: cannot be read: Permission denied" in said
    assert [row["seed"] for row in table(board / "v1/runs/digits.csv")] == ["0"]


def test_link_below_the_results_is_named_and_not_followed(results: Path, board: Path, tmp_path):
    put(results, "a")
    put(tmp_path / "elsewhere", "b", seed=1)
    (results / "linked").symlink_to(tmp_path / "elsewhere")
    code, _, said = command("build", "--results", results, "-o", board)
    assert code == 0
    assert f"left out, {results / 'linked'}: is a link" in said
    assert [row["seed"] for row in table(board / "v1/runs/digits.csv")] == ["0"]


def test_two_builds_at_once_lose_no_row(tmp_path: Path, board: Path):
    for name, seeds in (("one", range(5)), ("other", range(5, 10))):
        for seed in seeds:
            put(tmp_path / name, str(seed), seed=seed)
    code = "from dcbench.cli import main; main()"
    builds = [
        subprocess.Popen(
            [
                *(sys.executable, "-c", code, "leaderboard", "build", "--quiet"),
                *("--results", tmp_path / name, "-o", board),
            ],
            stdout=subprocess.DEVNULL,
        )
        for name in ("one", "other")
    ]
    assert [each.wait() for each in builds] == [0, 0]
    assert [row["seed"] for row in table(board / "v1/runs/digits.csv")] == list("0123456789")


def test_build_waits_for_the_one_that_is_at_work(results: Path, board: Path, caplog):
    put(results, "a")
    held = threading.Event()

    def hold() -> None:
        with locked(board):
            held.set()
            time.sleep(0.5)

    with caplog.at_level("INFO", "dcbench"):
        other = threading.Thread(target=hold)
        other.start()
        held.wait()
        build(results, board)
        other.join()
    assert "another process is at work" in caplog.text
