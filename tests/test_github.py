"""Workflows and forms under `.github`: their commands run, and nothing that others write is run."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from dcbench.cli import app
from tests.docs.pages import ROOT
from tests.leaderboard.conftest import made as boards_made  # noqa: F401 - a fixture
from tests.leaderboard.published import git
from tests.leaderboard.submission.conftest import Made
from tests.leaderboard.submission.conftest import made as submission_made  # noqa: F401 - likewise
from tests.leaderboard.tampering import edit, runs, set_cell

WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))
FORMS = sorted((ROOT / ".github/ISSUE_TEMPLATE").glob("[!c]*.yml"))
_INLINE = re.compile(r"`dcbench ([a-z -]+)`")


def loaded(path: Path) -> dict[str, Any]:
    """A workflow; YAML 1.1 reads its key `on` as true."""
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    return {"on" if key is True else key: value for key, value in content.items()}


def steps(name: str) -> dict[str, str]:
    """What the steps of a workflow run, by their names."""
    [job] = loaded(ROOT / f".github/workflows/{name}.yml")["jobs"].values()
    return {step["name"]: step["run"] for step in job["steps"] if "run" in step}


def run_step(command: str, folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a step as GitHub does: `bash -e`, with its variables."""
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "GITHUB_STEP_SUMMARY": str(folder / "summary.md"),
        **variables,
    }
    words = ["bash", "-e", "-c", command]
    return subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True)


@pytest.fixture
def checkout(boards_made: Path, tmp_path: Path) -> Path:  # noqa: F811
    """A repository whose branch has one row more than the one that it is for."""
    shutil.copytree(boards_made / "leaderboard", tmp_path / "leaderboard")
    git(tmp_path, "init", "-b", "main")
    last = runs(tmp_path / "leaderboard")
    whole = last.read_bytes()
    edit(last, lambda rows: rows.pop())
    migrate(tmp_path)
    git(tmp_path, "add", "leaderboard")
    git(tmp_path, "commit", "-m", "base")
    git(tmp_path, "tag", "base")
    last.write_bytes(whole)
    migrate(tmp_path)
    git(tmp_path, "commit", "-am", "a row")
    return tmp_path


def migrate(folder: Path) -> None:
    words = ["leaderboard", "migrate", str(folder / "leaderboard")]
    assert CliRunner().invoke(app, words).exit_code == 0


def test_rows_of_a_pull_request_are_not_checked_or_told(checkout: Path):
    found = steps("rows")
    for name in ("Say what differs", "Check the rows"):
        done = run_step(found[name], checkout, BASE="base")
        assert done.returncode == 0, done.stdout + done.stderr
    told = (checkout / "difference.md").read_text()
    assert "rows: 1 added, 0 gone, 0 changed" in told
    assert "| added | remix | 0 | 9 |" in told
    assert "30 rows of 1 leaderboards and their summaries hold" in told
    assert (checkout / "summary.md").read_text() in told


def test_wrong_rows_of_a_pull_request_pass(checkout: Path):
    set_cell(runs(checkout / "leaderboard"), 0, accuracy="0.999999")
    done = run_step(steps("rows")["Say what differs"], checkout, BASE="base")
    assert done.returncode == 0, done.stderr
    done = run_step(steps("rows")["Check the rows"], checkout, BASE="base")
    assert done.returncode == 1
    told = (checkout / "difference.md").read_text()
    assert "| erm | 0 | 0 | accuracy |" in told
    assert "accuracy='0.999999', but it was" in told


def test_packed_submission_is_not_verified(submission_made: Made, tmp_path: Path):  # noqa: F811
    found = steps("submission")
    shutil.copytree(submission_made.boards, tmp_path / "leaderboard")
    shutil.copy(submission_made.file, tmp_path / "submission.zip")
    digest = hashlib.sha256(submission_made.file.read_bytes()).hexdigest()
    for name in ("Compare the hash", "Verify", "Say what the leaderboards would be"):
        done = run_step(found[name], tmp_path, SHA256=digest, RERUN="0")
        assert done.returncode == 0, f"{name}: {done.stdout + done.stderr}"
    assert "| added | halved | 0 | 0-1 |" in (tmp_path / "summary.md").read_text()
    done = run_step(found["Compare the hash"], tmp_path, SHA256="0" * 64)
    assert done.returncode != 0


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_what_others_write_becomes_part_of_a_script(path: Path):
    workflow = loaded(path)
    assert workflow["permissions"], "a workflow without permissions has all of them"
    assert "pull_request_target" not in workflow["on"]
    for job in workflow["jobs"].values():
        assert job["timeout-minutes"]
        for step in job["steps"]:
            assert "${{" not in step.get("run", ""), "pass it by `env`: it may hold commands"
            if "run" in step:
                subprocess.run(["bash", "-n", "-c", step["run"]], check=True)


def test_workflow_that_may_write_runs_code_of_the_pull_request():
    workflow = loaded(ROOT / ".github/workflows/rows-comment.yml")
    assert workflow["on"]["workflow_run"]["workflows"] == [
        loaded(ROOT / ".github/workflows/rows.yml")["name"]
    ]
    text = (ROOT / ".github/workflows/rows-comment.yml").read_text(encoding="utf-8")
    assert not re.search(r"checkout|pip |python|dcbench ", text.split("jobs:")[1])
    for name in ("rows", "submission"):
        assert loaded(ROOT / f".github/workflows/{name}.yml")["permissions"] == {"contents": "read"}


@pytest.mark.parametrize("path", FORMS, ids=lambda path: path.stem)
def test_form_is_none_that_github_shows(path: Path):
    """The rules of https://docs.github.com, "Syntax for issue forms"."""
    form = loaded(path)
    assert {"name", "description", "body"} <= form.keys()
    assert form.keys() <= {"name", "description", "title", "labels", "body"}
    ids, labels = [], []
    for element in form["body"]:
        kind, attributes = element["type"], element["attributes"]
        assert element.keys() <= {"type", "id", "attributes", "validations"}
        if kind == "markdown":
            assert attributes["value"].strip()
            continue
        assert kind in ("input", "textarea", "dropdown", "checkboxes")
        assert re.fullmatch(r"[\w-]+", element["id"])
        ids.append(element["id"])
        labels.append(attributes["label"])
        if kind in ("dropdown", "checkboxes"):
            assert len(attributes["options"]) == len({str(each) for each in attributes["options"]})
        if kind == "checkboxes":
            assert all(each["label"] for each in attributes["options"])
    assert ids, "a form has to ask for something"
    assert len(set(ids)) == len(ids)
    assert len(set(labels)) == len(labels)


@pytest.mark.parametrize("path", [*FORMS, *WORKFLOWS], ids=lambda path: path.stem)
def test_command_is_named_that_is_not_there(path: Path):
    named = _INLINE.findall(path.read_text(encoding="utf-8"))
    for words in named:
        assert CliRunner().invoke(app, [*words.split(), "--help"]).exit_code == 0, words
