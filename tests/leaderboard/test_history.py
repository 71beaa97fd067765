import shutil
import subprocess
from pathlib import Path

import pytest

from dcbench.errors import UsageError
from dcbench.leaderboard.build import build
from dcbench.leaderboard.checks import check
from dcbench.leaderboard.marks import mark
from tests.leaderboard.tampering import edit, put, rows_of, runs, set_cell


def git(folder: Path, *arguments: str) -> None:
    author = ("-c", "user.name=A", "-c", "user.email=a@example.org")
    command = ["git", *author, "-C", str(folder), *arguments]
    subprocess.run(command, check=True, capture_output=True)


@pytest.fixture
def kept(whole: Path) -> Path:
    """A leaderboard that is committed, two commits deep."""
    git(whole.parent, "init", "-b", "main")
    for message in ("one", "two"):
        (whole / "CHANGELOG.md").write_text(f"# Changes\n\n{message}\n")
        git(whole.parent, "add", ".")
        git(whole.parent, "commit", "-m", message)
    return whole


def changed(board: Path) -> None:
    """Another number in one row, with a summary that follows from it."""
    set_cell(runs(board), 3, train_seconds="99.9")
    rebuilt(board)


def rebuilt(board: Path) -> None:
    """Summaries that follow from the rows, as `build` writes them."""
    put(board.parent / "more", "ic-mixup", 0, 500)
    build(board.parent / "more", board)


def old_rows(board: Path, **options: str) -> list[str]:
    return check(board, **options).problems


ENTRY = "- 2026-11-28, v1/digits, subset 0, method erm, seed 3, corrected: timed again\n"


def test_changed_row_is_named_with_both_values_and_the_line_that_allows_it(kept: Path):
    changed(kept)
    [found] = old_rows(kept)
    assert found.startswith(f"{runs(kept)} (subset 0, method erm, seed 3): ")
    assert "train_seconds='99.9', but it was '12.3'" in found
    assert f"{kept / 'CHANGELOG.md'}: - " in found
    assert ", v1/digits, subset 0, method erm, seed 3, corrected: why" in found


def test_change_that_is_committed_on_a_branch_is_seen(kept: Path):
    git(kept.parent, "switch", "-c", "branch")
    changed(kept)
    for message in ("changed", "more"):
        git(kept.parent, "add", ".")
        git(kept.parent, "commit", "--allow-empty", "-m", message)
    assert len(old_rows(kept)) == 1


def test_change_in_the_last_commit_of_the_main_branch_is_seen(kept: Path):
    changed(kept)
    git(kept.parent, "add", ".")
    git(kept.parent, "commit", "-m", "changed")
    assert len(old_rows(kept)) == 1


def test_changelog_lets_a_row_change_once(kept: Path):
    changed(kept)
    with (kept / "CHANGELOG.md").open("a") as file:
        file.write(ENTRY)
    assert old_rows(kept) == []
    for message in ("changed", "later"):
        git(kept.parent, "add", ".")
        git(kept.parent, "commit", "--allow-empty", "-m", message)
    set_cell(runs(kept), 3, train_seconds="1.0")
    assert any("but it was '99.9'" in line for line in old_rows(kept))


@pytest.mark.parametrize(
    "line",
    [
        "v1/digits, subset 0, method erm, seed 4",
        "v1/cifair10, subset 0, method erm, seed 3",
        "v1/digits, subset 1, method erm, seed 3",
        "v1/digits, subset 0, method mixup, seed 3",
    ],
)
def test_changelog_that_names_another_row_allows_nothing(kept: Path, line):
    changed(kept)
    with (kept / "CHANGELOG.md").open("a") as file:
        file.write(f"- 2026-11-28, {line}, corrected: timed again\n")
    assert len([found for found in old_rows(kept) if "but it was '12.3'" in found]) == 1


def test_line_of_the_changelog_that_cannot_be_read_is_named(kept: Path):
    with (kept / "CHANGELOG.md").open("a") as file:
        file.write("- v1/digits, subset 0, method erm, seed 3\n")
    [found] = old_rows(kept)
    assert "should read '- <date>, <protocol>/<split>, subset 0, method erm, seeds 0-2" in found


def test_rows_that_are_gone_are_named_and_no_line_makes_up_for_them(kept: Path):
    gone = [row for row in rows_of(runs(kept)) if row["method"] == "erm"][:3]
    edit(runs(kept), lambda rows: [rows.remove(row) for row in gone])
    rebuilt(kept)
    found = [line for line in old_rows(kept) if "the row is gone" in line]
    assert len(found) == 3
    assert all("dcbench leaderboard mark --state withdrawn" in line for line in found)
    with (kept / "CHANGELOG.md").open("a") as file:
        file.write("- 2026-11-28, v1/digits, subset 0, method erm, seeds 0-2, withdrawn: why\n")
    assert [line for line in old_rows(kept) if "the row is gone" in line] == found


def test_rows_that_are_withdrawn_are_kept_apart_and_may_not_leave_it(kept: Path):
    before = [row for row in rows_of(runs(kept)) if row["method"] == "erm"][:3]
    mark(kept, "v1/digits", "erm", range(3), "withdrawn", "trained on the wrong images")
    assert old_rows(kept) == []
    apart = rows_of(kept / "v1/retired/digits.csv")
    assert apart == [{**row, "state": "withdrawn"} for row in before]
    assert not [row for row in rows_of(runs(kept)) if row["method"] == "erm"][7:]
    assert rows_of(kept / "v1/digits.csv")[0]["n"] == "7"
    git(kept.parent, "add", ".")
    git(kept.parent, "commit", "-m", "withdrawn")
    (kept / "v1/retired/digits.csv").unlink()
    gone = [line for line in old_rows(kept) if "the row is gone" in line]
    assert len(gone) == 3


def test_run_that_takes_the_place_of_a_row_leaves_it_kept_apart(kept: Path):
    old = rows_of(runs(kept))[0]
    put(kept.parent / "again", "erm", 0, 900)
    built = build(kept.parent / "again", kept, replace=True)
    assert any("predictions_sha256=" in line or "but it was" in line for line in old_rows(kept))
    with (kept / "CHANGELOG.md").open("a") as file:
        file.write("\n".join(built.unexplained) + "\n")
    assert old_rows(kept) == []
    [apart] = rows_of(kept / "v1/retired/digits.csv")
    assert apart == {**old, "state": "superseded"}
    put(kept.parent / "third", "erm", 0, 901)
    build(kept.parent / "third", kept, replace=True, reason="a cable was loose")
    assert old_rows(kept) == []
    assert len(rows_of(kept / "v1/retired/digits.csv")) == 2


def test_lines_of_earlier_versions_go_on_allowing_what_they_allowed(kept: Path):
    edit(runs(kept), lambda rows: rows.pop(3))
    rebuilt(kept)
    with (kept / "CHANGELOG.md").open("a") as file:
        file.write("- v1/digits, subset 0, method erm, seed 3: measured again\n")
    git(kept.parent, "add", ".")
    git(kept.parent, "commit", "-m", "as it was done then")
    git(kept.parent, "commit", "--allow-empty", "-m", "later")
    assert [line for line in old_rows(kept) if "method erm" in line] == []


def test_whole_leaderboard_that_is_gone_is_named_row_by_row(kept: Path):
    shutil.rmtree(kept / "v1")
    assert len(old_rows(kept)) == 30


def test_new_rows_and_cells_that_are_filled_need_no_line(kept: Path, tmp_path: Path):
    rebuilt(kept)
    set_cell(runs(kept), 0, footnote="on a quiet machine")
    assert old_rows(kept) == []


def test_earlier_state_may_be_a_folder_or_a_revision(kept: Path, tmp_path: Path):
    shutil.copytree(kept, tmp_path / "before")
    changed(kept)
    git(kept.parent, "add", ".")
    git(kept.parent, "commit", "-m", "changed")
    assert len(old_rows(kept, base=str(tmp_path / "before"))) == 1
    assert len(old_rows(kept, base="HEAD~2")) == 1
    assert old_rows(kept, base="HEAD") == []
    with pytest.raises(UsageError, match="neither a folder nor a revision"):
        old_rows(kept, base="--help")


def test_rows_from_before_the_folder_of_runs_are_compared_too(whole: Path, tmp_path: Path):
    before = tmp_path / "before/v1/digits.csv"
    before.parent.mkdir(parents=True)
    shutil.copy(runs(whole), before)
    edit(before, lambda rows: [row.pop("footnote") for row in rows])
    assert old_rows(whole, base=str(tmp_path / "before")) == []
    edit(before, lambda rows: rows[0].update(seed="9", method="gone"))
    [found] = old_rows(whole, base=str(tmp_path / "before"))
    assert "method gone, seed 9): the row is gone" in found


def test_hook_of_another_repository_does_not_lead_git_astray(kept: Path, tmp_path, monkeypatch):
    git(tmp_path, "init", str(tmp_path / "other"))
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "other/.git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(tmp_path / "other"))
    changed(kept)
    assert any("train_seconds='99.9'" in line for line in check(kept).problems)
