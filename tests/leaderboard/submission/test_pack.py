"""A results folder becomes one file that holds all that a leaderboard asks for."""

from __future__ import annotations

import hashlib
import json
import shutil
import zipfile
from pathlib import Path

import dcbench
from dcbench.leaderboard.submission import pack
from dcbench.records.files import read_record
from tests.leaderboard.submission.conftest import Made, command

RUN = "v1-lite/digits/subset-0/halved/seed-1"


def test_file_lacks_what_a_run_is_checked_by(made: Made):
    with zipfile.ZipFile(made.file) as archive:
        names = set(archive.namelist())
        code = next(name for name in names if name.startswith("source/"))
        assert archive.read(code) == made.code.read_bytes()
        manifest = json.loads(archive.read("submission.json"))
        for each in manifest["files"]:
            content = archive.read(each["name"])
            assert hashlib.sha256(content).hexdigest() == each["sha256"]
            assert len(content) == each["bytes"]
    files = {"record.json", "predictions.npz", "history.csv"}
    assert {name for name in names if f"/{RUN}/" in name} == {
        f"results/{RUN}/{name}" for name in files
    }
    [source] = manifest["sources"]
    assert source["sha256"] == hashlib.sha256(made.code.read_bytes()).hexdigest()
    assert source["names"] == ["halved"]
    assert manifest["footnote"] == "https://example.org/halved 1.0"


def test_equal_runs_make_another_file(made: Made, tmp_path: Path):
    shutil.copytree(made.results, tmp_path / "copy")
    packed = pack(
        tmp_path / "copy",
        tmp_path / "again.zip",
        footnote="https://example.org/halved 1.0",
        sources=[made.code],
    )
    assert (tmp_path / "again.zip").read_bytes() == made.file.read_bytes()
    assert packed.sha256 == hashlib.sha256(made.file.read_bytes()).hexdigest()


def test_dry_run_writes(made: Made, tmp_path: Path):
    words = ("--source", made.code, "--dry-run", "--json")
    code, shown, _ = command("pack", made.results, "-o", tmp_path / "x.zip", *words)
    assert code == 0
    assert json.loads(shown)["runs"][1] == RUN
    assert not (tmp_path / "x.zip").exists()


def test_seeds_that_are_lacking_are_not_told(made: Made, tmp_path: Path):
    words = ("--source", made.code, "-o", tmp_path / "x.zip")
    _, shown, _ = command("pack", made.results, *words)
    assert "lacks seeds 2-9: provisional" in shown


def test_code_is_packed_that_is_not_that_of_the_runs(made: Made, tmp_path: Path):
    output = ("-o", tmp_path / "x.zip")
    code, _, said = command("pack", made.results, *output)
    assert code == 2
    assert "method 'halved' is from a file" in said
    assert "--source" in said
    changed = tmp_path / "halved.py"
    changed.write_text(made.code.read_text() + "\n")
    code, _, said = command("pack", made.results, *output, "--source", changed)
    assert code == 2
    assert f"--source {changed}: no run names its SHA-256" in said
    assert not (tmp_path / "x.zip").exists()


def test_custom_run_is_packed_or_goes_unnamed(made: Made, tmp_path: Path):
    shutil.copytree(made.results, tmp_path / "mixed")
    run = {"protocol": "v1-lite", "device": "cpu", "settings": {"epochs": 1}}
    dcbench.run("erm", "digits", results=tmp_path / "mixed", **run)
    words = ("--source", made.code, "-o", tmp_path / "x.zip")
    code, _, said = command("pack", tmp_path / "mixed", *words)
    assert code == 0
    assert "left out, custom:" in said
    with zipfile.ZipFile(tmp_path / "x.zip") as archive:
        assert not any("/erm" in name for name in archive.namelist())
    code, _, said = command("pack", tmp_path / "mixed/v1-lite/digits/subset-0/erm,epochs=1", *words)
    assert code == 2
    assert "1 custom runs" in said


def test_damaged_predictions_are_packed(made: Made, tmp_path: Path):
    shutil.copytree(made.results, tmp_path / "damaged")
    path = tmp_path / "damaged" / RUN / "predictions.npz"
    path.write_bytes(path.read_bytes()[:-100])
    words = ("--source", made.code, "-o", tmp_path / "x.zip")
    code, _, said = command("pack", tmp_path / "damaged", *words)
    assert code == 3
    assert str(path) in said
    assert not (tmp_path / "x.zip").exists()


def test_folder_without_runs_and_bad_words_make_a_file(made: Made, tmp_path: Path):
    assert command("pack", tmp_path, "-o", tmp_path / "x.zip")[0] == 2
    assert command("pack", tmp_path / "none", "-o", tmp_path / "x.zip")[0] == 2
    words = ("--source", made.code, "--footnote", "=cmd()", "-o", tmp_path / "x.zip")
    code, _, said = command("pack", made.results, *words)
    assert code == 2
    assert "footnote='=cmd()'" in said


def test_weights_are_sent(made: Made):
    assert (made.results / RUN / "model.safetensors").exists()
    assert read_record(made.results / RUN).model.kept
    with zipfile.ZipFile(made.file) as archive:
        assert not any("safetensors" in name for name in archive.namelist())
