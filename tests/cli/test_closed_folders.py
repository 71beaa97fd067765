"""Folders of others that this user may not read, or not write: no simulation."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import dcbench
from dcbench.selftest.disks import without_privileges
from dcbench.selftest.trial import NotHereError
from tests.records.test_collect import put

SOURCE = Path(dcbench.__file__).parents[1]
NOBODY = 65534


@pytest.fixture
def unprivileged() -> list[str]:
    """What goes before a command that is to be refused what other users are refused."""
    if os.geteuid() != 0:
        return []
    try:
        return without_privileges()
    except NotHereError as reason:
        pytest.skip(str(reason))


def close(folder: Path, mode: int) -> None:
    if os.geteuid() == 0:
        os.chown(folder, NOBODY, NOBODY)
    folder.chmod(mode)


@pytest.fixture(autouse=True)
def opened_again(tmp_path: Path):
    yield
    for folder in tmp_path.rglob("*"):
        if folder.is_dir():
            folder.chmod(0o755)


def command(prefix: list[str], *words: object) -> subprocess.CompletedProcess:
    asked = [*prefix, sys.executable, "-m", "dcbench", *map(str, words)]
    done = subprocess.run(asked, cwd=SOURCE, capture_output=True, text=True)
    assert "Traceback" not in done.stderr
    return done


def test_run_into_a_closed_folder_is_one_line_and_says_what_to_do(tmp_path: Path, unprivileged):
    folder = tmp_path / "of another"
    folder.mkdir()
    close(folder, 0o555)
    words = ("run", "--method", "erm", "--split", "digits", "--device", "cpu", "--quiet")
    done = command(unprivileged, *words, "--results", folder)
    assert done.returncode == 1
    assert "Permission denied; choose a folder that you may write to" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert list(folder.iterdir()) == []


def test_closed_folder_is_named_and_the_other_runs_are_collected(tmp_path: Path, unprivileged):
    closed, results = put(tmp_path / "lab", seed=0), tmp_path / "results"
    put(tmp_path / "lab", seed=1)
    close(closed, 0o000)
    done = command(unprivileged, "collect", tmp_path / "lab", "--results", results)
    assert done.returncode == 1
    assert f"{closed}: cannot be read: Permission denied" in " ".join(
        (done.stdout + done.stderr).split()
    )
    assert [path.parent.name for path in results.rglob("record.json")] == ["seed-1"]


def test_closed_folder_is_named_and_the_other_rows_are_built(tmp_path: Path, unprivileged):
    closed = put(tmp_path / "lab", seed=0)
    put(tmp_path / "lab", seed=1)
    close(closed, 0o000)
    board = tmp_path / "board"
    words = ("leaderboard", "build", "--results", tmp_path / "lab", "-o", board)
    done = command(unprivileged, *words)
    assert f"left out, {closed}: cannot be read: Permission denied" in done.stderr
    [table] = board.glob("v1/runs/digits.csv")
    assert len(table.read_text().splitlines()) == 2


def test_run_in_a_folder_that_may_only_be_read_is_found(tmp_path: Path, unprivileged):
    run = put(tmp_path / "lab", seed=0)
    for folder in (run, *run.parents[:5]):
        close(folder, 0o555)
    done = command(unprivileged, "measure", run)
    assert (done.returncode, "as recorded" in done.stderr) == (0, True), done.stderr
