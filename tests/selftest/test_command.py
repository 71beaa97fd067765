"""`dcbench selftest`: what it says, and what it leaves."""

import json
from pathlib import Path

import pytest

from dcbench.selftest import trials
from dcbench.selftest.trial import NotHereError, Trial, Try
from tests.cli.test_cli import Outcome


def with_trials(monkeypatch, *attempts) -> None:
    made = [Trial(f"trial {number}", 1, each) for number, each in enumerate(attempts)]
    monkeypatch.setattr(trials, "trials_of_installation", lambda: made)


def holds(place, times, chance):
    place.new_folder("a")
    yield Try("so")


def loses(place, times, chance):
    yield Try("so", ["a run is gone"])


def elsewhere(place, times, chance):
    raise NotHereError("there is no mount")
    yield


def test_nothing_lost_ends_with_0_and_leaves_nothing(tmp_path: Path, monkeypatch):
    with_trials(monkeypatch, holds, elsewhere)
    found = Outcome("selftest", "--results", tmp_path / "scratch", "--quiet")
    assert found.code == 0
    assert "trial 1: not tried here: there is no mount" in found.words
    assert found.words.endswith("1 tried, nothing lost")
    assert list((tmp_path / "scratch").iterdir()) == []


def test_loss_is_told_ends_with_1_and_what_is_left_stays(tmp_path: Path, monkeypatch):
    with_trials(monkeypatch, holds, loses)
    found = Outcome("selftest", "--results", tmp_path)
    [kept] = tmp_path.iterdir()
    assert found.code == 1
    assert "trial 1: a run is gone" in found.out
    assert f"2 tried, 1 lost; what was left is in {kept}" in found.words


def test_json_tells_how_often_each_way_was_tried(tmp_path: Path, monkeypatch):
    with_trials(monkeypatch, holds, loses, elsewhere)
    found = json.loads(Outcome("selftest", "--results", tmp_path, "--json", "--quiet").out)
    assert found["lost"] == 1
    first, second, third = found["trials"]
    assert (first["what"], first["times"], first["how"]) == ("trial 0", 1, {"so": 1})
    assert second["lost"] == ["a run is gone"]
    assert (third["times"], third["not_here"]) == (0, "there is no mount")


def test_interrupt_ends_with_130_and_leaves_nothing(tmp_path: Path, monkeypatch):
    def interrupted(place, times, chance):
        raise KeyboardInterrupt
        yield

    with_trials(monkeypatch, interrupted)
    found = Outcome("selftest", "--results", tmp_path)
    assert (found.code, list(tmp_path.iterdir())) == (130, [])
    assert "interrupted; what was tried is not kept" in found.words


def test_dry_run_counts_what_would_be_tried_and_writes_nothing(tmp_path: Path):
    words = ("--faults", "--signals", 7, "--files", 12, "--dry-run", "--json")
    found = Outcome("selftest", *words, "--results", tmp_path / "none")
    rows = {each["what"]: each["times"] for each in json.loads(found.out)}
    assert sum(count for what, count in rows.items() if what.startswith("signals")) == 7
    assert sum(count for what, count in rows.items() if what.startswith("the reader")) == 12
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("option", ["--signals", "--files"])
def test_number_of_faults_without_faults_is_wrong_use(option: str):
    found = Outcome("selftest", option, 5)
    assert (found.code, found.err) == (2, f"error: {option} 5: is for --faults\n")


def test_folder_that_cannot_be_is_one_line(tmp_path: Path):
    (tmp_path / "file").touch()
    found = Outcome("selftest", "--results", tmp_path / "file")
    assert found.code == 1
    assert found.err.startswith(f"error: cannot write {tmp_path / 'file'}: File exists; something")
    assert len(found.err.splitlines()) == 1
