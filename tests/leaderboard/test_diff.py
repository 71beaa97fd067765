"""What differs between two leaderboards is named, with its numbers, and nothing else is."""

import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from dcbench.cli import app
from dcbench.leaderboard.build import build
from dcbench.leaderboard.diff import BoardDiff, Cell, diff
from dcbench.leaderboard.states import find_state, state_of_folder
from tests.leaderboard.published import git
from tests.leaderboard.tampering import edit, put, rows_of, runs, set_cell, summary


def command(*arguments: object) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, ["leaderboard", "diff", *map(str, arguments)])
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result.exit_code, result.stdout, result.stderr


@pytest.fixture
def other(whole: Path, tmp_path: Path) -> Path:
    """A copy of the leaderboard, to be changed."""
    return Path(shutil.copytree(whole, tmp_path / "other"))


def only(whole: Path, other: Path) -> BoardDiff:
    [board] = diff(state_of_folder(whole), state_of_folder(other)).boards
    return board


def test_copy_differs(whole, other):
    found = diff(state_of_folder(whole), state_of_folder(other))
    assert not found
    code, shown, _ = command(whole, other, "--exit-code")
    assert code == 0
    assert shown == f"{whole} and {other}: no difference\n"


def test_row_that_came_or_went_is_not_named(whole, other):
    gone = rows_of(runs(whole))[3]
    edit(runs(other), lambda rows: rows.pop(3))
    assert list(only(whole, other).gone.values()) == [gone]
    assert list(only(other, whole).added.values()) == [gone]
    assert not only(whole, other).added


def test_changed_number_is_told_without_its_values(whole, other):
    before = float(rows_of(runs(whole))[0]["accuracy"])
    set_cell(runs(other), 0, accuracy=f"{before + 0.0125:.6f}", device="another")
    assert only(whole, other).changed == {
        (0, "erm", 0): {
            "accuracy": Cell(f"{before:.6f}", f"{before + 0.0125:.6f}"),
            "device": Cell(rows_of(runs(whole))[0]["device"], "another"),
        }
    }
    code, shown, _ = command(whole, other)
    assert code == 0
    assert "+0.012500" in shown
    assert "0 added, 0 gone, 1 changed; 0 ranks moved" in shown


def test_column_that_was_filled_later_is_a_change_of_every_row(whole, other):
    edit(runs(whole), lambda rows: [row.update(nll_ts="") for row in rows])
    found = only(whole, other)
    assert found.columns_added == ("nll_ts",)
    assert not found.changed
    assert only(other, whole).columns_gone == ("nll_ts",)


def test_cell_that_was_filled_beside_full_ones_is_no_change(whole, other):
    before = rows_of(runs(other))[0]["nll_ts"]
    set_cell(runs(whole), 0, nll_ts="")
    assert only(whole, other).changed == {(0, "erm", 0): {"nll_ts": Cell("", before)}}


def test_rank_that_moved_is_not_named(whole, other):
    set_cell(summary(other), 0, rank="3", accuracy_mean="0.123400")
    [move] = only(whole, other).moves
    assert (move.method, move.before.rank, move.after.rank) == ("erm", "1", "3")
    _, shown, _ = command(whole, other)
    assert "1 → 3" in shown
    assert "→ 12.34" in shown


def test_method_that_lost_a_run_and_its_rank_is_not_named(made, whole, tmp_path):
    shutil.copytree(made / "results", tmp_path / "results")
    shutil.rmtree(tmp_path / "results/erm/9")
    build(tmp_path / "results", tmp_path / "fewer")
    moves = {each.method: each for each in only(whole, tmp_path / "fewer").moves}
    assert moves["erm"].before.state == "ranked"
    assert moves["erm"].after.state == "provisional"
    _, shown, _ = command(whole, tmp_path / "fewer")
    assert "10 → 9" in shown
    assert "1 → provisional" in shown


def test_board_that_is_new_has_no_rows(whole, other):
    shutil.rmtree(whole / "v1")
    (whole / "v1-lite").mkdir()
    shutil.copy(other / "v1/digits.csv", whole / "v1-lite/digits.csv")
    found = {
        each.board: each for each in diff(state_of_folder(whole), state_of_folder(other)).boards
    }
    assert len(found["v1/digits"].added) == 30


def test_rule_that_differs_is_not_named(whole, other):
    path = other / "v1/protocol.yaml"
    path.write_text(path.read_text().replace("epochs: 60", "epochs: 61"))
    found = diff(state_of_folder(whole), state_of_folder(other))
    assert found.rules == {"v1": ["recipes.digits.training.epochs=60 before, now 61"]}
    assert command(whole, other, "--exit-code")[0] == 1


def test_revisions_of_git_are_not_compared(whole, tmp_path, monkeypatch):
    monkeypatch.chdir(whole.parent)
    git(whole.parent, "init", "-b", "main")
    git(whole.parent, "add", "leaderboard")
    git(whole.parent, "commit", "-m", "one")
    set_cell(runs(whole), 0, accuracy="0.500000")
    code, shown, _ = command("HEAD", "--exit-code")
    assert code == 1
    assert "leaderboard at HEAD → leaderboard: rows: 0 added, 0 gone, 1 changed" in shown
    git(whole.parent, "commit", "-am", "two")
    assert command("HEAD", "--exit-code")[0] == 0
    assert command("HEAD~1", "HEAD", "--exit-code")[0] == 1


def test_leaderboard_that_a_revision_lacks_is_an_error(whole, monkeypatch):
    monkeypatch.chdir(whole.parent)
    git(whole.parent, "init", "-b", "main")
    git(whole.parent, "commit", "--allow-empty", "-m", "nothing")
    assert find_state("HEAD", whole).rows == {}
    assert "30 added" in command("HEAD")[1]


def test_json_has_not_every_row_and_cell(whole, other):
    set_cell(runs(other), 0, accuracy="0.500000")
    edit(runs(other), lambda rows: rows.pop(3))
    code, shown, _ = command(whole, other, "--json")
    assert code == 0
    data = json.loads(shown)
    assert data["differs"] is True
    [board] = data["boards"]
    assert board["board"] == "v1/digits"
    assert board["gone"][0]["seed"] == "3"
    assert board["changed"][0]["cells"]["accuracy"]["after"] == "0.500000"


def test_markdown_is_no_table_or_lets_markup_through(whole, other):
    set_cell(runs(other), 0, device="<img src=x> | @everyone", accuracy="0.500000")
    _, shown, _ = command(whole, other, "--markdown")
    table = [line for line in shown.splitlines() if line.startswith("|")]
    assert table[0] == "| method | subset | seed | column | before | after | difference |"
    assert all(len(line.replace("\\|", "").split("|")) == 9 for line in table)
    assert "<img" not in shown
    assert "&lt;img" in shown


@pytest.mark.parametrize("name", ["nowhere", "HEAD~9999", "--output=x", ""])
def test_state_that_is_not_there_is_a_traceback(whole, name):
    code, _, said = command(whole, "--from", whole, "--", name)
    assert code == 2
    assert "neither a folder nor a revision" in said


def test_empty_folder_is_taken_for_a_leaderboard(whole, tmp_path):
    (tmp_path / "empty").mkdir()
    code, _, said = command(tmp_path / "empty", whole)
    assert code == 2
    assert "there are no leaderboards" in said


def test_damaged_table_is_not_named(whole, other):
    runs(other).write_bytes(b"\xff\xfe")
    code, _, said = command(whole, other)
    assert code == 3
    assert "v1/runs/digits.csv" in said


def test_changes_without_end_are_all_listed(whole, tmp_path):
    for seed in range(60):
        put(tmp_path / "many", "erm", seed, seed)
    build(tmp_path / "many", tmp_path / "old")
    shutil.copytree(tmp_path / "old", tmp_path / "new")
    edit(runs(tmp_path / "new"), lambda rows: [row.update(torch="9") for row in rows])
    _, shown, _ = command(tmp_path / "old", tmp_path / "new", "--markdown")
    assert "10 more rows have changed" in shown
    assert shown.count("| torch |") == 50
