"""Tracks: what was tuned and what was not stand apart in every table, rank and test."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from dcbench.cli import app
from dcbench.config.tuned import Range, TunedRecipe, space_sha256
from dcbench.data.splits import load_split
from dcbench.errors import RunError, UsageError
from dcbench.leaderboard.boards import load_board, load_boards
from dcbench.leaderboard.build import build
from dcbench.leaderboard.checks import check
from dcbench.leaderboard.migrate import migrate
from dcbench.metrics.measure import measure
from dcbench.records import files
from dcbench.reports.page import write_page
from tests.leaderboard.tampering import SEEDS, edit, predictions, put, rows_of, runs, summary
from tests.records.test_store import DIGITS, a_record

HASH = load_split("digits", 0).hashes.index_sha256


def a_recipe(trials: int, rate: float = 0.1, **changes: Any) -> TunedRecipe:
    content = {
        "method": "erm",
        "settings": {},
        "training": {"learning_rate": rate},
        "protocol": "v1",
        "split": "digits",
        "subset": 0,
        "index_sha256": HASH,
        "budget": {
            "trials": trials,
            "completed": trials,
            "stopped": 0,
            "failed": 0,
            "epochs": trials,
            "epochs_each": 1,
            "first_rung": 1,
            "reduction": 2,
            "seeds": [0],
            "sampler": "random",
        },
        "score": {"value": 0.5, "images": 50, "trial": 0},
        "space": {"learning_rate": {"low": 0.01, "high": 1.0, "log": True}},
        "dcbench": "0.1.0",
        **changes,
    }
    ranges = {key: Range.model_validate(each) for key, each in content["space"].items()}
    recipe = TunedRecipe.model_validate({**content, "space_sha256": space_sha256(ranges)})
    return recipe.model_copy(update={"sha256": recipe.content_sha256()})


def put_tuned(results: Path, recipe: TunedRecipe, seed: int, drawn: int, /, **changes: Any) -> None:
    label = f"erm[tuned={recipe.name}]"
    folder = results / label / str(seed)
    folder.mkdir(parents=True)
    made = predictions(drawn)
    content = {
        "label": label,
        "method": "erm",
        "seed": seed,
        "index_sha256": HASH,
        "recipe": {**DIGITS, **recipe.training},
        "tuned": recipe.model_dump(mode="json"),
        "metrics": measure(made, long_tailed=False, ood_sets=("gaussian", "uniform")),
        "predictions": files.write_predictions(folder, made).model_dump(),
    }
    files.write_record(folder, a_record(**{**content, **changes}))


@pytest.fixture
def tuned(made: Path, tmp_path: Path) -> Path:
    """The leaderboard of three methods, and erm tuned with 5 trials and with 9."""
    shutil.copytree(made / "leaderboard", tmp_path / "leaderboard")
    for seed in SEEDS:
        put_tuned(tmp_path / "results", a_recipe(5), seed, 1000 + seed)
        put_tuned(tmp_path / "results", a_recipe(9), seed, 2000 + seed)
    build(tmp_path / "results", tmp_path / "leaderboard")
    return tmp_path / "leaderboard"


def test_table_without_a_tuned_run_has_no_such_column(whole: Path):
    assert "track" not in rows_of(runs(whole))[0]
    assert "track" not in rows_of(summary(whole))[0]
    assert migrate(whole) == []


def test_tuned_runs_leave_every_number_of_the_others_as_it_was(tuned: Path, made: Path):
    before = rows_of(summary(made / "leaderboard"))
    after = [row for row in rows_of(summary(tuned)) if row["track"] == "default"]
    assert [{key: row[key] for key in before[0]} for row in after] == before
    of_runs = rows_of(runs(made / "leaderboard"))
    kept = [row for row in rows_of(runs(tuned)) if not row["track"]]
    assert [{key: row[key] for key in of_runs[0]} for row in kept] == of_runs
    assert check(tuned, base=str(made / "leaderboard")).problems == []


def test_each_budget_has_ranks_of_its_own(tuned: Path):
    rows = [row for row in rows_of(summary(tuned)) if row["track"] != "default"]
    assert [(row["track"], row["rank"], row["tied"], row["n"]) for row in rows] == [
        ("tuned(5)", "1", "", "10"),
        ("tuned(9)", "1", "", "10"),
    ]
    boards = load_boards(tuned)
    assert [board.track for board in boards] == ["default", "tuned(5)", "tuned(9)"]
    methods = [sorted(board.runs["method"].unique()) for board in boards]
    assert methods[0] == ["erm", "mixup", "remix"]
    assert methods[1] == [f"erm[tuned={a_recipe(5).name}]"]
    assert load_board("digits", "v1", tuned).track == "default"
    with pytest.raises(UsageError, match=r"unknown track of digits under v1 'tuned\(6\)'"):
        load_board("digits", "v1", tuned, "tuned(6)")


def test_show_and_latex_and_page_list_each_track_by_itself(tuned: Path, tmp_path: Path):
    shown = CliRunner().invoke(
        app, ["leaderboard", "show", "digits", "--protocol", "v1", "--from", str(tuned)]
    )
    first, *others = shown.stdout.split("digits, protocol v1, tuned(")
    assert "tuned" not in first
    assert [each.partition(")")[0] for each in others] == ["5", "9"]
    latex = CliRunner().invoke(
        app, ["leaderboard", "latex", "digits", "--track", "tuned(5)", "--from", str(tuned)]
    )
    assert "protocol v1, tuned(5)" in latex.stdout
    assert latex.stdout.count("erm") == 1
    page = write_page(load_boards(tuned), (), tmp_path / "page").read_text(encoding="utf-8")
    assert page.count('id="v1-digits-tuned-5"') == 1
    names = {path.name for path in (tmp_path / "page/csv/v1").glob("*.csv")}
    assert names == {"digits.csv", "digits-tuned-5.csv", "digits-tuned-9.csv"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"tuned": None}, r"has no tuned recipe, though its label says tuned\(5\)"),
        ({"recipe": DIGITS}, "learning_rate=0.05, but its recipe has 0.1"),
        ({"label": "erm"}, "its label should say tuned=5-"),
        ({"label": "erm[tuned=9-00000000]"}, "its label should say tuned=5-"),
        ({"recipe": {**DIGITS, "learning_rate": 0.1, "epochs": 61}}, "epochs=61 instead of 60"),
    ],
)
def test_tuned_run_without_the_recipe_it_names_is_not_built(tmp_path: Path, changes, message):
    put_tuned(tmp_path / "results", a_recipe(5), 0, 0, **changes)
    with pytest.raises(RunError, match=message):
        build(tmp_path / "results", tmp_path / "leaderboard")
    assert not (tmp_path / "leaderboard").exists()


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"method_sha256": "1" * 64}, "its recipe is of other code of erm"),
        ({"data_sha256": "1" * 64}, "its recipe is of other images of digits"),
    ],
)
def test_tuned_run_of_other_images_or_code_than_its_recipe_is_not_built(
    tmp_path: Path, said, message
):
    put_tuned(tmp_path / "results", a_recipe(5, **said), 0, 0, **said)
    build(tmp_path / "results", tmp_path / "same")
    put_tuned(tmp_path / "other", a_recipe(5, **said), 0, 0)
    with pytest.raises(RunError, match=message):
        build(tmp_path / "other", tmp_path / "leaderboard")
    assert not (tmp_path / "leaderboard").exists()


def test_record_whose_recipe_was_changed_cannot_be_read(tmp_path: Path):
    put_tuned(tmp_path / "results", a_recipe(5), 0, 0)
    [path] = (tmp_path / "results").rglob("record.json")
    content = json.loads(path.read_text())
    content["tuned"]["budget"]["trials"] = 6
    path.write_text(json.dumps(content))
    result = CliRunner().invoke(app, ["leaderboard", "build", "--results", str(path.parents[2])])
    assert result.exit_code == 3
    assert ": sha256 is not that of its content: the file was changed" in " ".join(
        result.stderr.split()
    )


def test_row_that_claims_another_track_than_its_name_is_found(tuned: Path):
    label = f"erm[tuned={a_recipe(5).name}]"

    def claim(rows: list[dict[str, str]]) -> None:
        for row in rows:
            row["track"] = "" if row["method"] == label else row["track"]

    edit(runs(tuned), claim)
    problems = check(tuned, base=str(tuned)).problems
    found = [each for each in problems if "track='default': should be tuned(5)" in each]
    assert len(found) == len(SEEDS)


def test_default_runs_can_be_added_to_a_table_with_tuned_ones(tuned: Path, tmp_path: Path):
    for seed in SEEDS:
        put(tmp_path / "more", "cutmix", seed, 3000 + seed)
    build(tmp_path / "more", tuned)
    assert check(tuned).problems == []
    assert {row["track"] for row in rows_of(runs(tuned))} == {"", "tuned(5)", "tuned(9)"}
