"""Runs by a tuned recipe: what they are called, what they use, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from dcbench.cli import app
from dcbench.config.tuned import TunedRecipe, recipe_text
from dcbench.data.splits import load_split
from dcbench.errors import UsageError
from dcbench.runs.plan import Plan, plan_run
from dcbench.sweep.grid import Block, plan_of, requests_of
from tests.data.test_own_datasets import IMAGES, LABELS, npz, split_of
from tests.leaderboard.test_tracks import a_recipe

LITE = {"protocol": "v1-lite", "index_sha256": load_split("digits").index_sha256("train")}


@pytest.fixture
def recipe() -> TunedRecipe:
    space = {
        "learning_rate": {"low": 0.01, "high": 1.0, "log": True},
        "alpha": {"low": 0.1, "high": 10.0, "log": True},
    }
    found = {"method": "ic-mixup", "settings": {"axes": "class", "alpha": 2.5}, "space": space}
    return a_recipe(5, **found, **LITE)


def test_run_has_the_tuned_values_and_the_rest_of_the_protocol(recipe: TunedRecipe, tmp_path: Path):
    path = tmp_path / "recipe.yaml"
    path.write_text(recipe_text(recipe))
    plan = plan_run("ic-mixup", "digits", protocol="v1-lite", settings={"tuned": str(path)})
    plain = plan_run("ic-mixup", "digits", protocol="v1-lite")
    assert (plan.choice.method.alpha, plan.choice.method.axes) == (2.5, "class")
    assert plan.choice.recipe == plain.choice.recipe.model_copy(update={"learning_rate": 0.1})
    assert plan.choice.label == f"ic-mixup[axes=class,tuned={recipe.name}]"
    assert plan.departures == ()
    assert plan.choice.tuned == recipe
    assert plan.folder != plain.folder


def test_what_is_asked_beside_a_recipe_is_a_departure_or_refused(recipe: TunedRecipe):
    settings = {"tuned": recipe, "epochs": 2}
    plan = plan_run("ic-mixup", "digits", protocol="v1-lite", settings=settings)
    assert plan.departures == ("epochs=2 instead of 60",)
    assert plan.choice.label == f"ic-mixup[axes=class,epochs=2,tuned={recipe.name}]"
    with pytest.raises(UsageError, match=r"alpha=1 beside tuned recipe 5-\w+, which has 2.5"):
        plan_run("ic-mixup[alpha=1]", "digits", protocol="v1-lite", settings={"tuned": recipe})


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"method": "mixup"}, "is of method ic-mixup, not of mixup"),
        ({"split": "cifair10"}, "is of split digits, not of cifair10"),
        ({"protocol": "v1"}, "is of protocol v1-lite, not of v1"),
    ],
)
def test_recipe_of_something_else_is_refused(recipe: TunedRecipe, asked, message):
    known = {"method": "ic-mixup", "split": "digits", "protocol": "v1-lite"}
    with pytest.raises(UsageError, match=message):
        plan_run(**{**known, **asked}, settings={"tuned": recipe})


def test_tuned_recipe_is_named_once(tmp_path: Path):
    asked = ["--method", "erm", "--split", "digits", "--results", str(tmp_path)]
    result = CliRunner().invoke(app, ["run", *asked, "--set", "tuned=b.yaml", "--recipe", "a.yaml"])
    assert result.exit_code == 2
    assert "--set tuned=b.yaml beside --recipe a.yaml: leave one of them out" in result.stderr


def test_recipe_that_was_tuned_on_other_images_is_refused():
    other = a_recipe(5, protocol="v1-lite", index_sha256="0" * 64)
    with pytest.raises(UsageError, match="is of other images of split digits"):
        plan_run("erm", "digits", protocol="v1-lite", settings={"tuned": other})


def test_recipe_of_other_images_or_code_under_the_same_names_is_refused(tmp_path: Path):
    paths = []
    for name, images in (("one", IMAGES), ("other", IMAGES + 1)):
        (tmp_path / name).mkdir()
        data = npz(tmp_path / name, images=images, labels=LABELS)
        paths.append(str(split_of(f"{data}[test=0.25,size=8]", tmp_path / name)))
    one, other = map(load_split, paths)
    rows = one.index_sha256("train")
    assert (other.name, other.index_sha256("train")) == (one.name, rows)

    def plan(path: str, **said: str) -> Plan:
        recipe = a_recipe(5, split="mine", index_sha256=rows, **said)
        return plan_run("erm", path, settings={"tuned": recipe, "batch_size": 3})

    assert one.data_sha256 is not None
    assert plan(paths[0], data_sha256=one.data_sha256).choice.tuned is not None
    assert plan(paths[1]).choice.tuned is not None, "an older recipe does not say"
    with pytest.raises(UsageError, match="is of other images of split mine; tune again"):
        plan(paths[1], data_sha256=one.data_sha256)
    with pytest.raises(UsageError, match="is of other code of method erm; tune again"):
        plan(paths[0], method_sha256="0" * 64)


def test_recipe_of_an_earlier_version_keeps_its_hash():
    recipe = a_recipe(5)
    written = recipe.model_dump(mode="json", exclude={"sha256"})
    assert not {"data_sha256", "method_sha256"} & written.keys()
    assert "data_sha256" not in recipe_text(recipe)
    # As version 0.1.0 wrote it before recipes had these keys.
    assert recipe.sha256 == "c96996e644e365f54f65fd3dc2dd0e30488752291d3cd50c96de7c70082cd600"
    assert a_recipe(5, method_sha256="0" * 64).sha256 != recipe.sha256


def test_request_of_a_sweep_needs_no_file_where_it_is_sent(recipe: TunedRecipe, tmp_path: Path):
    path = tmp_path / "recipe.yaml"
    path.write_text(recipe_text(recipe))
    block = {"protocol": "v1-lite", "splits": ("digits",), "methods": ("erm",)}
    block["methods"] = ("erm", f"ic-mixup[tuned={path}]")
    erm, tuned = requests_of([Block.model_validate(block)])
    path.unlink()
    assert plan_of(erm).choice.tuned is None
    assert plan_of(tuned).choice.label == f"ic-mixup[axes=class,tuned={recipe.name}]"


def test_record_has_the_whole_recipe_and_is_found_again(tmp_path: Path):
    recipe = a_recipe(5, **LITE)
    path = tmp_path / "recipe.yaml"
    path.write_text(recipe_text(recipe))
    asked = ["run", "--method", "erm", "--split", "digits", "--protocol", "v1-lite", "--json"]
    asked += ["--set", "epochs=1", "--recipe", str(path), "--results", str(tmp_path / "results")]
    first, again = (CliRunner().invoke(app, asked) for _ in range(2))
    record = json.loads(first.stdout)
    assert TunedRecipe.model_validate(record["tuned"]) == recipe
    assert record["recipe"]["learning_rate"] == 0.1
    assert record["data"]["fit"]["images"] == 150  # of which 50 were held out while tuning
    assert json.loads(again.stdout) == record
    assert yaml.safe_load(path.read_text())["sha256"] == record["tuned"]["sha256"]
