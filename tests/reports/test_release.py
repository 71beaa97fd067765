"""A release stands for itself: whole, hashed, the same each time, in a form that others read."""

from __future__ import annotations

import hashlib
import json
import math
import shutil
import subprocess
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from typer.testing import CliRunner

from dcbench.cli import app
from dcbench.config.paths import shipped_root
from dcbench.data.parts import MissingData
from dcbench.leaderboard.boards import load_board
from dcbench.leaderboard.checks import check
from dcbench.leaderboard.diff import diff
from dcbench.leaderboard.states import state_of_folder
from dcbench.methods import Method, register, registry
from dcbench.metrics.table import METRICS
from dcbench.reports.page import split_pages, write_page
from dcbench.reports.release import write_release
from dcbench.reports.release.every_eval_ever import eval_files
from tests.leaderboard.conftest import made, whole  # noqa: F401 - fixtures
from tests.leaderboard.tampering import edit, runs, set_cell
from tests.reports.page.made import board

SAMPLES = Path(__file__).parent / "samples"


class Mine(Method):
    """A method of another package, and what is mine."""


def command(*words: object) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, ["leaderboard", "release", *map(str, words)])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.stdout, result.stderr


def files(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.fixture
def release(whole: Path, tmp_path: Path) -> Path:  # noqa: F811
    write_release("1.0", whole, tmp_path / "release")
    return tmp_path / "release"


def test_file_has_no_hash_or_another(release: Path):
    found = files(release)
    sums = dict(line.split("  ")[::-1] for line in found.pop("SHA256SUMS").decode().splitlines())
    assert sums == {name: hashlib.sha256(text).hexdigest() for name, text in found.items()}
    words = ["sha256sum", "--check", "--strict", "--quiet", "SHA256SUMS"]
    subprocess.run(words, cwd=release, check=True)


def test_same_leaderboards_make_other_bytes(release: Path, whole: Path, tmp_path: Path):  # noqa: F811
    shutil.copytree(whole, tmp_path / "copy")
    write_release("1.0", tmp_path / "copy", tmp_path / "again")
    assert files(tmp_path / "again") == files(release)
    assert not any(str(tmp_path).encode() in text for text in files(release).values())


def images_that_lack(*_: object) -> None:
    raise MissingData("they are not here")


def test_images_at_hand_make_other_bytes(release: Path, whole: Path, tmp_path: Path, monkeypatch):  # noqa: F811
    monkeypatch.setattr(split_pages, "load_listed", images_that_lack)
    write_release("1.0", whole, tmp_path / "again")
    assert files(tmp_path / "again") == files(release)
    assert not list(release.rglob("*.png"))
    said = (release / "page/splits/digits.html").read_text()
    assert "A page with images is made by dcbench leaderboard page" in said
    assert "no images of datasets" in (release / "README.md").read_text()


@pytest.mark.data
def test_data_folder_makes_another_hash(real_data: Path, tmp_path: Path, monkeypatch):
    def made_with(data: Path) -> str:
        monkeypatch.setenv("DCBENCH_DATA", str(data))
        shipped = shipped_root() / "leaderboard"
        return write_release("1.0", shipped, tmp_path / "release", dry_run=True).sha256

    assert made_with(real_data) == made_with(tmp_path)


def test_method_of_an_installed_package_makes_other_bytes(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(registry, "_methods", dict(registry._methods))
    boards = [board({"erm": (0.5,), "mine": (0.6,)}, {}, split="digits")]
    write_page(boards, (), tmp_path / "without", installed=False)
    described = write_page(boards, (), tmp_path / "described").parent / "methods/mine.html"
    register("mine")(Mine)
    write_page(boards, (), tmp_path / "with", installed=False)
    assert files(tmp_path / "with") == files(tmp_path / "without")
    assert "what is mine" not in described.read_text()
    write_page(boards, (), tmp_path / "described")
    assert "what is mine" in described.read_text()


def test_release_does_not_hold_the_leaderboards(release: Path, whole: Path):  # noqa: F811
    assert not diff(state_of_folder(whole), state_of_folder(release / "leaderboard"))
    assert check(release / "leaderboard", base=str(whole)).problems == []
    assert (release / "leaderboard/README.md").read_bytes() == (whole / "README.md").read_bytes()
    page = (release / "page/index.html").read_text()
    assert "remix" in page
    assert "http-equiv" in page


def test_changed_row_leaves_the_hash_as_it_was(whole: Path, tmp_path: Path):  # noqa: F811
    one = write_release("1.0", whole, tmp_path / "one", dry_run=True)
    edit(runs(whole), lambda rows: [row.update(torch="9.9") for row in rows[:1]])
    other = write_release("1.0", whole, tmp_path / "one", dry_run=True)
    assert one.sha256 != other.sha256
    assert not (tmp_path / "one").exists()


def test_records_of_the_rows_are_not_there(made: Path, tmp_path: Path):  # noqa: F811
    words = ("1.0", "--from", made / "leaderboard", "--results", made / "results")
    code, shown, _ = command(*words, "-o", tmp_path / "release", "--json")
    assert code == 0
    assert json.loads(shown)["records"] == 30
    name = "v1/digits/subset-0/mixup/seed-3/record.json"
    text = (tmp_path / "release/records" / name).read_bytes()
    assert text == (made / "results/mixup/3/record.json").read_bytes()
    shutil.copytree(made / "results/erm", tmp_path / "some/erm")
    words = ("1.0", "--from", made / "leaderboard", "--results", tmp_path / "some", "--dry-run")
    _, _, said = command(*words)
    assert "holds the records of 10 of 30 rows" in said
    (tmp_path / "none").mkdir()
    assert command(*words[:-2], tmp_path / "none", "--dry-run")[0] == 3


def test_wrong_leaderboard_is_released(whole: Path, tmp_path: Path):  # noqa: F811
    set_cell(runs(whole), 0, accuracy="0.999999")
    code, _, said = command("1.0", "--from", whole, "-o", tmp_path / "release")
    assert code == 1
    assert "accuracy_mean" in said
    assert not (tmp_path / "release").exists()


@pytest.mark.parametrize("version", ["", "v1", "../1", "1/2", "1.0 final", "-1"])
def test_version_that_is_none_is_taken(whole: Path, tmp_path: Path, version: str):  # noqa: F811
    code, _, said = command("--from", whole, "-o", tmp_path / "release", "--", version)
    assert code == 2
    assert "should be numbers with points" in said


def test_release_is_overwritten(release: Path, whole: Path):  # noqa: F811
    code, _, said = command("1.1", "--from", whole, "-o", release)
    assert code == 2
    assert "a release never changes" in said


def test_zenodo_is_not_told_what_it_asks_for(whole: Path, tmp_path: Path):  # noqa: F811
    words = ("--creator", "Noether, Emmy", "--creator", "Hopper, Grace")
    assert command("1.0", "--from", whole, "-o", tmp_path / "release", *words)[0] == 0
    told = json.loads((tmp_path / "release/.zenodo.json").read_text())
    assert {"title", "upload_type", "description", "creators", "license"} <= told.keys()
    assert [each["name"] for each in told["creators"]] == ["Noether, Emmy", "Hopper, Grace"]
    assert told["version"] == "1.0"
    finished = load_board("digits", "v1", whole).runs["finished"]
    assert told["publication_date"] == max(finished)[:10]


def evaluations(folder: Path) -> dict[str, dict[str, Any]]:
    return {
        content["model_info"]["name"]: content
        for path in (folder / "every-eval-ever/data").rglob("*.json")
        for content in [json.loads(path.read_text())]
    }


def test_export_is_not_what_every_eval_ever_reads(release: Path):
    """The schema is that of version 0.3.0, whose licence (MIT) stands beside it."""
    schema = json.loads((SAMPLES / "every-eval-ever-0.3.0.schema.json").read_text())
    jsonschema.Draft7Validator.check_schema(schema)
    found = evaluations(release)
    assert set(found) == {"erm", "mixup", "remix"}
    for content in found.values():
        jsonschema.validate(content, schema, jsonschema.Draft7Validator)
        assert content["schema_version"] == schema["version"]
    for path in (release / "every-eval-ever").rglob("*.json"):
        collection, developer, method = path.parent.relative_to(
            release / "every-eval-ever/data"
        ).parts
        assert (collection, developer) == ("dcbench-v1", "dcbench")
        assert path.stem[14] == "4"
        assert method in found


def test_exported_number_is_another_than_the_leaderboards(release: Path, whole: Path):  # noqa: F811
    summary = load_board("digits", "v1", whole).summary.set_index("method")
    for method, content in evaluations(release).items():
        results = {
            each["evaluation_result_id"].rpartition("/")[2]: each
            for each in content["evaluation_results"]
        }
        row = summary.loc[method]
        directed = [
            metric
            for metric in METRICS
            if metric.best != "none" and not math.isnan(float(row[f"{metric.key}_mean"]))
        ]
        assert {metric.key for metric in directed} <= results.keys()
        for metric in directed:
            found = results[metric.key]
            mean, sd, half = (float(row[f"{metric.key}_{kind}"]) for kind in ("mean", "sd", "ci95"))
            score = found["score_details"]
            assert score["score"] == mean
            assert score["uncertainty"]["standard_error"]["value"] == pytest.approx(sd / 10**0.5)
            assert score["uncertainty"]["confidence_interval"]["lower"] == round(mean - half, 6)
            assert found["metric_config"]["lower_is_better"] == (metric.best == "lowest")
        assert results["accuracy"]["score_details"]["details"]["rank"] == str(row["rank"])
        assert results["nll"]["metric_config"]["max_score"] == "Infinity"


def test_name_of_an_exported_file_is_drawn_anew(whole: Path):  # noqa: F811
    boards = [load_board("digits", "v1", whole)]
    names = list(eval_files(boards, "1.0", "2026-11-28"))
    assert names == list(eval_files(boards, "1.0", "2026-11-28"))
    assert set(names).isdisjoint(eval_files(boards, "1.1", "2026-11-28"))
