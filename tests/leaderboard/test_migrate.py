"""Tables of earlier versions are read, checked and brought to the newest columns."""

import csv
import json
import re
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from dcbench.cli import app
from dcbench.leaderboard.boards import load_board
from dcbench.leaderboard.build import build
from dcbench.leaderboard.checks import check
from dcbench.leaderboard.migrate import migrate
from tests.leaderboard.tampering import edit, put, rows_of, runs, set_cell, summary

SAMPLES = Path(__file__).parent / "samples"
NEWER = ("temperature", "nll_ts", "brier_ts", "ece15_ts")


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A leaderboard as the version before temperatures left it."""
    folder = tmp_path / "leaderboard/v1-lite"
    (folder / "runs").mkdir(parents=True)
    shutil.copy(SAMPLES / "rows-before-temperature.csv", folder / "runs/digits.csv")
    shutil.copy(SAMPLES / "summary-before-temperature.csv", folder / "digits.csv")
    shutil.copy(SAMPLES / "rules-with-normalisation.yaml", folder / "protocol.yaml")
    return folder.parent


def contents(folder: Path) -> dict[Path, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != ".lock")
    return {path: path.read_bytes() for path in files}


def command(*arguments: object) -> tuple[int, str, str]:
    words = ["leaderboard", *(str(each) for each in arguments)]
    result = CliRunner().invoke(app, words)
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result.exit_code, result.stdout, result.stderr


def without(path: Path, *names: str) -> None:
    """A table without some of its columns."""
    edit(path, lambda rows: [row.pop(name) for row in rows for name in names])


def test_leaderboard_of_the_version_before_is_shown_and_holds_as_it_is(old: Path):
    assert check(old, base=str(old)).problems == []
    board = load_board("digits", "v1-lite", old)
    assert len(board.runs) == 70
    assert board.runs[list(NEWER)].isna().all().all()
    assert board.summary[[f"{name}_mean" for name in NEWER]].isna().all().all()
    code, shown, _ = command("show", "digits", "--protocol", "v1-lite", "--from", old)
    assert code == 0
    assert "ic-regmixup" in shown


def test_migrated_tables_have_the_newer_columns_and_every_old_cell(old: Path):
    paths = (old / "v1-lite/runs/digits.csv", old / "v1-lite/digits.csv")
    before = [rows_of(path) for path in paths]
    migrate(old)
    for path, rows in zip(paths, before, strict=True):
        now = rows_of(path)
        assert [{key: new[key] for key in row} for new, row in zip(now, rows, strict=True)] == rows
        added = {(key, cell) for row in now for key, cell in row.items() if key not in rows[0]}
        standing = {("tier", "claimed"), ("state", "current")}
        assert {cell for _, cell in added - standing} == {""}
    assert set(NEWER) <= rows_of(paths[0])[0].keys()
    assert {f"{name}_ci95" for name in NEWER} <= rows_of(paths[1])[0].keys()
    rules = (old / "v1-lite/protocol.yaml").read_text()
    assert "normalization: split" in rules
    assert "normalisation" not in rules
    assert "`temperature`" in (old / "README.md").read_text()
    assert check(old, base=str(old)).problems == []


def test_migrating_twice_changes_nothing_more(old: Path):
    assert migrate(old)
    before = contents(old)
    assert migrate(old) == []
    assert contents(old) == before


def test_dry_run_says_what_would_change_and_writes_nothing(old: Path):
    before = contents(old)
    code, said, aside = command("migrate", old, "--dry-run")
    assert code == 0
    table = old / "v1-lite/runs/digits.csv"
    [added] = [
        line.partition("columns added: ")[2].split(", ")
        for line in said.splitlines()
        if line.startswith(f"{table}: ")
    ]
    lacking = rows_of(table)[0].keys()
    assert set(NEWER) <= set(added)
    assert "nothing is written" in aside
    assert contents(old) == before
    code, said, _ = command("migrate", old, "--json")
    assert [name for name in rows_of(table)[0] if name not in lacking] == added
    assert {Path(each["file"]).name for each in json.loads(said)} == {
        *("digits.csv", "protocol.yaml", "README.md")
    }
    assert command("migrate", old)[1:] == ("", f"{old}: nothing to change\n")


def test_what_build_makes_needs_no_migration(whole: Path):
    assert migrate(whole) == []


def test_rows_from_before_the_folder_of_runs_move(tmp_path: Path):
    folder = tmp_path / "leaderboard/v1-lite"
    folder.mkdir(parents=True)
    split = "cifar10-lt-100"
    shutil.copy(SAMPLES / "rows-before-runs-folder.csv", folder / f"{split}.csv")
    (folder / f"{split}-summary.csv").write_text("an old summary\n")
    before = rows_of(folder / f"{split}.csv")
    migrate(folder.parent)
    now = rows_of(folder / f"runs/{split}.csv")
    assert [{key: new[key] for key in row} for new, row in zip(now, before, strict=True)] == before
    assert rows_of(folder / f"{split}.csv")[0]["subsets"] == "0"
    assert not (folder / f"{split}-summary.csv").exists()
    assert check(folder.parent, base=str(folder.parent)).problems == []
    assert migrate(folder.parent) == []


def test_damaged_table_stops_the_migration_before_anything_is_written(old: Path):
    path = old / "v1-lite/runs/cifar10-lt-10.csv"
    path.write_text("subset,method\n0,erm\n")
    before = contents(old)
    code, _, said = command("migrate", old)
    assert code == 3
    assert "cifar10-lt-10.csv" in said
    assert contents(old) == before


def test_folder_without_leaderboards_is_wrong_use(tmp_path: Path):
    for folder in (tmp_path, tmp_path / "nowhere"):
        code, _, said = command("migrate", folder)
        assert code == 2
        assert str(folder) in said.replace("\n", "")


def of_the_rows(board: Path, **options) -> list[str]:
    found = check(board, **options).problems
    return [line for line in found if line.startswith(str(runs(board)))]


@pytest.mark.parametrize("name", ["unverified_data", "nll_ts", "commit", "tier", "footnote"])
def test_column_after_the_first_version_may_be_absent(whole: Path, name):
    without(runs(whole), name)
    load_board("digits", "v1", whole)
    assert of_the_rows(whole) == []


@pytest.mark.parametrize("name", ["status", "accuracy", "ood.gaussian.msp.auroc", "index_sha256"])
def test_column_of_the_first_version_is_full_though_no_row_fills_it(made, whole: Path, name):
    edit(runs(whole), lambda rows: [row.update({name: ""}) for row in rows])
    said = [line for line in of_the_rows(whole) if "should" in line and name in line]
    assert len({line.partition(")")[0] for line in said}) == 30
    given = of_the_rows(whole, predictions=made / "results")
    assert len([line for line in given if re.search(f"{name}=''.* gives? ", line)]) == 30
    without(runs(whole), name)
    load_board("digits", "v1", whole)
    assert len(of_the_rows(whole)) >= 30


def test_rows_with_nothing_but_keys_and_hash_are_read_built_on_and_shown(tmp_path: Path):
    path = tmp_path / "board/v1/runs/digits.csv"
    path.parent.mkdir(parents=True)
    path.write_text(f"subset,method,seed,predictions_sha256\n0,erm,3,{'f' * 64}\n")
    put(tmp_path / "results", "erm", 0, 0)
    build(tmp_path / "results", tmp_path / "board")
    first, second = rows_of(path)
    assert (first["seed"], second["seed"]) == ("0", "3")
    assert (second["predictions_sha256"], second["accuracy"]) == ("f" * 64, "")
    board = load_board("digits", "v1", tmp_path / "board")
    assert board.summary["accuracy_mean"].isna().all()
    code, _, _ = command("show", "digits", "--from", tmp_path / "board")
    assert code == 0


def test_column_of_the_newer_metrics_may_be_absent_empty_or_partly_filled(whole: Path):
    without(runs(whole), *NEWER)
    without(
        summary(whole), *(f"{name}_{kind}" for name in NEWER for kind in ("mean", "sd", "ci95"))
    )
    assert check(whole).problems == []
    migrate(whole)
    assert check(whole).problems == []
    put(whole.parent / "more", "mixup", 0, 100)
    build(whole.parent / "more", whole, replace=True)
    filled = [row["method"] for row in rows_of(runs(whole)) if row["nll_ts"]]
    assert filled == ["mixup"]
    assert check(whole).problems == []


def test_cell_that_others_of_the_column_fill_must_not_be_empty(whole: Path):
    set_cell(runs(whole), 2, accuracy="", ece15="")
    found = "\n".join(check(whole).problems)
    assert "accuracy='': should be a fraction from 0 to 1" in found
    assert "ece15='': should be a fraction from 0 to 1" in found


def test_empty_cells_of_metrics_that_are_newer_agree_with_the_predictions(made, whole: Path):
    results = made / "results"
    assert check(whole, predictions=results).problems == []
    without(runs(whole), *NEWER)
    migrate(whole)
    assert check(whole, predictions=results).problems == []
    set_cell(runs(whole), 0, nll_ts="0.123456")
    found = "\n".join(check(whole, predictions=results).problems)
    assert "seed 0): nll_ts='0.123456', the predictions give" in found


def test_row_of_a_record_without_the_newer_metrics_agrees_beside_rows_that_have_them(
    made, whole: Path, tmp_path: Path
):
    shutil.copytree(made / "results", tmp_path / "results")
    path = tmp_path / "results/erm/0/record.json"
    content = json.loads(path.read_text())
    for name in NEWER:
        del content["metrics"][name]
    path.write_text(json.dumps(content))
    blank = dict.fromkeys(NEWER, "")
    set_cell(runs(whole), 0, **blank)
    migrate(whole)
    assert check(whole, predictions=tmp_path / "results").problems == []
    set_cell(runs(whole), 1, **blank)
    migrate(whole)
    [found] = check(whole, predictions=tmp_path / "results").problems
    assert "seed 1" in found
    assert "temperature=''" in found


def test_summary_without_newer_columns_is_out_of_date_only_where_rows_fill_them(whole: Path):
    without(summary(whole), "nll_ts_mean")
    assert any("nll_ts_mean=''" in line for line in check(whole).problems)


def test_summary_of_the_version_before_reads_with_its_numbers(old: Path):
    with (SAMPLES / "summary-before-temperature.csv").open(newline="") as file:
        given = list(csv.DictReader(file))
    found = load_board("digits", "v1-lite", old).summary
    assert found["accuracy_mean"].tolist() == [float(row["accuracy_mean"]) for row in given]


def test_record_of_the_version_before_leaves_the_newer_numbers_of_its_row(
    made, whole: Path, tmp_path: Path
):
    shutil.copytree(made / "results/erm/0", tmp_path / "results")
    path = tmp_path / "results/record.json"
    content = json.loads(path.read_text())
    for name in NEWER:
        del content["metrics"][name]
    path.write_text(json.dumps(content))
    edit(runs(whole), lambda rows: [row.update(of_a_later_version="1") for row in rows])
    before = rows_of(runs(whole))
    build(tmp_path / "results", whole)
    assert rows_of(runs(whole)) == before


def test_columns_of_a_later_version_are_read_kept_and_named(whole: Path):
    edit(runs(whole), lambda rows: [row.update(of_later="3.14.1") for row in rows])
    board = load_board("digits", "v1", whole)
    assert set(board.runs["of_later"]) == {"3.14.1"}
    migrate(whole)
    assert {row["of_later"] for row in rows_of(runs(whole))} == {"3.14.1"}
    [found] = [line for line in check(whole).problems if "of_later" in line]
    assert "unknown column of_later" in found
