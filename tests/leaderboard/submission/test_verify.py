"""A submission is believed in nothing: its runs are held to rules, code and predictions."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from dcbench.cli import app
from dcbench.leaderboard.build import build
from dcbench.leaderboard.marks import mark
from dcbench.leaderboard.submission import pack, unpacked, verify
from dcbench.leaderboard.submission.manifest import Submission
from dcbench.leaderboard.tables import read_rows
from dcbench.methods.registry import forget_files
from dcbench.records.files import RECORD, read_predictions, read_record, write_predictions
from tests.leaderboard.submission.conftest import Made, command

RUN = "results/v1-lite/digits/subset-0/halved/seed-1"


@pytest.fixture
def opened(made: Made, tmp_path: Path) -> tuple[Submission, Path]:
    return unpacked(made.file, tmp_path / "opened"), tmp_path / "opened"


def problems(
    made: Made, opened: tuple[Submission, Path], tmp_path: Path, change: Callable[[Path], object]
) -> list[str]:
    """What is said of a submission after a change of its unpacked files."""
    submission, folder = opened
    change(folder)
    return verify(submission, folder, tmp_path / "boards", made.boards).problems


def edit_record(folder: Path, **changes: Any) -> None:
    path = folder / RUN / RECORD
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_honest_submission_is_refused_or_its_rows_are_not_told(made: Made):
    code, shown, said = command("verify", made.file, "--from", made.boards)
    assert code == 0, said
    assert "0-1" in shown
    assert "0 → 2" in shown
    assert "2 runs: metrics, rules, images and code hold" in said


def test_two_commands_do_not_lead_to_a_row(made: Made, tmp_path: Path):
    words = ("--from", made.boards, "--unpack", tmp_path / "halved", "--json")
    code, shown, _ = command("verify", made.file, *words)
    assert code == 0
    first = json.loads(shown.splitlines()[0])
    assert first["problems"] == []
    added = first["change"]["boards"][0]["added"]
    shutil.copytree(made.boards, tmp_path / "boards")
    build = ["leaderboard", "build", "--results", str(tmp_path / "halved")]
    done = CliRunner().invoke(app, [*build, "-o", str(tmp_path / "boards")])
    assert done.exit_code == 0, done.output
    rows = read_rows(tmp_path / "boards/v1-lite/runs/digits.csv")
    assert [row for row in rows if row["method"] == "halved"] == added
    assert {row["footnote"] for row in added} == {"https://example.org/halved 1.0"}


def test_run_that_was_withdrawn_is_taken_again(made: Made, opened, tmp_path: Path):
    boards = shutil.copytree(made.boards, tmp_path / "published")
    build(made.results, boards)
    [method] = {row["method"] for row in read_rows(boards / "v1-lite/runs/digits.csv")} - {"erm"}
    mark(boards, "v1-lite/digits", method, [1], "withdrawn", "why")
    found = verify(*opened, tmp_path / "scratch", boards).problems
    assert "leaderboard/v1-lite/runs/digits.csv (subset 0, method halved, seed 1): was" in found[0]


def test_raised_accuracy_is_believed(made: Made, opened, tmp_path: Path):
    def change(folder: Path) -> None:
        metrics = json.loads((folder / RUN / RECORD).read_text())["metrics"]
        edit_record(folder, metrics=metrics | {"accuracy": 0.99})

    assert any(
        "seed 1" in each and "accuracy='0.990000', the predictions give" in each
        for each in problems(made, opened, tmp_path, change)
    )


def test_other_predictions_are_believed(made: Made, opened, tmp_path: Path):
    def change(folder: Path) -> None:
        record = read_record(folder / RUN)
        found = read_predictions(folder / RUN, record)
        write_predictions(folder / RUN, replace(found, logits=found.logits * 2))

    assert any("SHA-256" in each for each in problems(made, opened, tmp_path, change))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"status": "custom", "departures": ["epochs"]}, "is custom: no leaderboard takes it"),
        ({"index_sha256": "0" * 64}, "trained on other images"),
        ({"method_sha256": "0" * 64}, "which is not in source/"),
        ({"method_sha256": None}, "is no method of dcbench's"),
        ({"method": "erm"}, "erm is dcbench's own method"),
        ({"seed": 2}, "a run's folder follows from its record"),
        ({"seed": 77, "label": "x"}, "seed=77: the protocol asks for"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)
def test_record_that_says_otherwise_is_believed(made, opened, tmp_path, changes, said):
    found = problems(made, opened, tmp_path, lambda folder: edit_record(folder, **changes))
    assert any(said in each for each in found), found
    assert not any(str(tmp_path) in each for each in found)


def test_other_recipe_under_the_protocols_name_is_believed(made: Made, opened, tmp_path: Path):
    def change(folder: Path) -> None:
        recipe = json.loads((folder / RUN / RECORD).read_text())["recipe"]
        edit_record(folder, recipe=recipe | {"epochs": 99})

    found = problems(made, opened, tmp_path, change)
    assert any("epochs=99 instead of" in each for each in found)


def test_code_that_no_run_used_is_taken(made: Made, opened, tmp_path: Path):
    submission, folder = opened
    [source] = submission.sources
    other = submission.model_copy(
        update={"sources": (source, source.model_copy(update={"sha256": "0" * 64}))}
    )
    found = verify(other, folder, tmp_path / "boards", made.boards).problems
    assert any("but sources say" in each for each in found)
    assert any("no run names its hash" in each for each in found)


def test_better_run_takes_the_place_of_a_published_row(made: Made, tmp_path: Path):
    published = made.boards.parent / "published"
    shutil.copytree(published, tmp_path / "better")
    run = tmp_path / "better/v1-lite/digits/subset-0/erm/seed-0"
    record = read_record(run)
    found = read_predictions(run, record)
    stored = write_predictions(run, replace(found, logits=found.logits * 2))
    text = json.loads((run / RECORD).read_text()) | {"predictions": stored.model_dump()}
    (run / RECORD).write_text(json.dumps(text))
    pack(tmp_path / "better", tmp_path / "better.zip")
    code, shown, _ = command("verify", tmp_path / "better.zip", "--from", made.boards)
    assert code == 1
    assert "has other predictions than the run that is submitted" in shown


def test_rerun_is_of_other_code_or_does_not_give_the_bits(made: Made, tmp_path: Path):
    words = ("verify", made.file, "--from", made.boards, "--rerun", "1", "--device", "cpu")
    forget_files()
    code, _, said = command(*words)
    assert code == 2, "the code of a submission is not run by itself"
    assert "--method FILE.py:Class" in said
    changed = tmp_path / "halved.py"
    changed.write_text(made.code.read_text().replace("/ 2", "/ 3"))
    code, _, said = command(*words, "--method", f"{changed}:Halved")
    assert code == 1
    assert "method_sha256" in said
    kept = ("--rerun-results", tmp_path / "again")
    forget_files()
    code, shown, said = command(*words, "--method", f"{made.code}:Halved", *kept)
    assert code == 0, said
    assert "the same to the bit" in shown
    assert len(list((tmp_path / "again").rglob("record.json"))) == 1


def test_run_itself_passes_for_its_rerun(made: Made):
    words = ("verify", made.file, "--from", made.boards, "--rerun", "1", "--device", "cpu")
    forget_files()
    words = (*words, "--method", f"{made.code}:Halved", "--rerun-results", made.results)
    code, shown, said = command(*words)
    assert code == 1
    assert "is the run itself, or a copy of it; name another folder with --rerun-results" in said
    assert "trained again" not in shown


@pytest.mark.parametrize("option", ["--method", "--rerun-results", "--device", "--data"])
def test_option_of_reruns_is_ignored_without_one(made: Made, option: str):
    code, _, said = command("verify", made.file, option, "x")
    assert code == 2
    assert f"{option} x: is for --rerun" in said


def test_rerun_that_is_off_passes(made: Made, tmp_path: Path, monkeypatch):
    from dcbench.runs import again

    honest = again.read_predictions

    def read(folder, record):
        found = honest(folder, record)
        return replace(found, logits=found.logits + ("again" in str(folder)))

    def execute(plan, store, session, progress=None):
        shutil.copytree(made.results / plan.folder, store.root / plan.folder)
        record = read_record(made.results / plan.folder)
        metrics = record.metrics.model_copy(update={"accuracy": record.metrics.accuracy - 0.03})
        return record.model_copy(update={"metrics": metrics})

    forget_files()
    monkeypatch.setattr(again, "read_predictions", read)
    monkeypatch.setattr(again, "execute", execute)
    words = ("verify", made.file, "--from", made.boards, "--rerun", "2", "--device", "cpu")
    words = (*words, "--method", f"{made.code}:Halved")
    code, shown, said = command(*words)
    assert code == 1
    assert "more than 2 points off" in shown
    assert "2 problems" in said
    code, shown, _ = command(*words, "--json")
    found = json.loads(shown)
    assert (found["runs"], found["problems"]) == (2, [])
    assert [each["within"] for each in found["reruns"]] == [False, False]
    code, shown, _ = command(*words, "--tolerance", "0.04")
    assert code == 0
    assert shown.count("within 4 points") == 2


def test_folder_that_is_there_is_overwritten(made: Made, tmp_path: Path):
    (tmp_path / "there").mkdir()
    (tmp_path / "there/mine").write_text("mine")
    words = ("--from", made.boards, "--unpack", tmp_path / "there")
    code, _, said = command("verify", made.file, *words)
    assert code == 2
    assert "is there already" in said
    assert command("verify", made.file, "--from", tmp_path / "none")[0] == 2
