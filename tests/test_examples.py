"""The examples run as they are shown."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import matplotlib.pyplot as plt
import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"
PACKAGE = EXAMPLES / "outside_package"


@pytest.fixture
def installed(tmp_path: Path) -> dict[str, str]:
    """The environment of a process in which the outside package is installed.

    What an installation writes of entry points is written here, with no index to ask.
    """
    project = tomllib.loads((PACKAGE / "pyproject.toml").read_text())["project"]
    metadata = tmp_path / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    metadata.mkdir()
    lines = [f"Name: {project['name']}", f"Version: {project['version']}"]
    (metadata / "METADATA").write_text("\n".join(["Metadata-Version: 2.1", *lines, ""]))
    groups = [
        "\n".join([f"[{group}]", *(f"{name} = {value}" for name, value in entries.items()), ""])
        for group, entries in project["entry-points"].items()
    ]
    (metadata / "entry_points.txt").write_text("\n".join(groups))
    path = os.pathsep.join(map(str, [PACKAGE / "src", tmp_path, EXAMPLES.parent]))
    return {**os.environ, "PYTHONPATH": path}


def succeed(command: list[str], folder: Path, environment: dict[str, str]) -> str:
    done = subprocess.run(
        [sys.executable, *command], cwd=folder, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_outside_package_passes_its_tests_and_runs_under_the_protocol(installed, tmp_path: Path):
    config = ["-c", os.devnull, "--rootdir", str(PACKAGE), "-p", "no:cacheprovider"]
    tests = succeed(["-m", "pytest", "-q", *config, str(PACKAGE / "tests")], PACKAGE, installed)
    assert "3 passed" in tests
    written = succeed(
        [
            *("-m", "dcbench", "run", "--method", "confidence-penalty", "--split", "digits"),
            *("--protocol", "v1-lite", "--device", "cpu", "--json"),
            *("--results", str(tmp_path / "results")),
        ],
        tmp_path,
        installed,
    )
    record = json.loads(written)
    assert (record["status"], record["method"]) == ("protocol", "confidence-penalty")
    assert record["metrics"]["accuracy"] > 0.7


def test_plain_script_is_as_good_as_a_run(capsys):
    spec = importlib.util.spec_from_file_location("plain_run", EXAMPLES / "plain_run.py")
    assert spec is not None
    assert spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    # Ten runs of erm under v1-lite: 0.80 on average, with a standard deviation of 0.01.
    assert script.main() == pytest.approx(0.80, abs=0.05)
    assert capsys.readouterr().out.startswith("accuracy 0.")


def cells() -> list[str]:
    """The code cells of the notebook, with two seeds in the place of five: it takes less time."""
    notebook = json.loads((EXAMPLES / "compare.ipynb").read_text())
    sources = ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert "range(5)" in sources[0]
    return [sources[0].replace("range(5)", "range(2)"), *sources[1:]]


def test_notebook_compares_methods_and_draws_their_reliability(monkeypatch, tmp_path: Path, capsys):
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    for source in cells():
        exec(compile(source, "compare.ipynb", "exec"), names)
    output = capsys.readouterr().out
    assert "ic-mixup minus erm: " in output
    assert "ic-mixup minus mixup: " in output
    assert len(list(tmp_path.rglob("record.json"))) == 3 * 2
    panels = names["figure"].axes
    assert [panel.get_title() for panel in panels] == ["erm", "mixup", "ic-mixup"]
    for panel in panels:
        confidence, accuracy = panel.lines[1].get_data()
        assert ((confidence >= 0) & (confidence <= 1)).all()
        assert ((accuracy >= 0) & (accuracy <= 1)).all()
    plt.close("all")


def test_notebook_is_kept_without_outputs():
    notebook = json.loads((EXAMPLES / "compare.ipynb").read_text())
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            assert (cell["outputs"], cell["execution_count"]) == ([], None)
