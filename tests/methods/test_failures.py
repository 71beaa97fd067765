"""Errors in a method's code: told by name, file, line and frame, and never by another's."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

import dcbench
from dcbench.cli import app
from dcbench.errors import RunError, UsageError
from dcbench.methods import Method, build_method, registry
from dcbench.methods.failures import named

SOURCE = Path(dcbench.__file__).parents[1]
LOSS = "return torch.nn.functional.cross_entropy(network(batch.images), batch.labels)"

HELPER = """
def share(batch):
    return 1 / 0
"""

MINE = """import sys
import torch
from pathlib import Path
from dcbench.methods import Method

{top}

class Mine(Method):
    {hook}

    def loss(self, network, batch):
        {loss}
"""


@pytest.fixture(autouse=True)
def folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setattr(registry, "_methods", dict(registry._methods))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(top: str = "", hook: str = "pass", loss: str = LOSS) -> None:
    Path("mine.py").write_text(MINE.format(top=top, hook=hook, loss=loss))


def run(*options: str) -> tuple[int, str, str]:
    words = ["run", "--method", "mine.py:Mine", "--split", "digits", "--set", "epochs=1"]
    found = CliRunner().invoke(app, [*words, "--device", "cpu", *options])
    assert found.exception is None or isinstance(found.exception, SystemExit)
    return found.exit_code, found.stdout, found.stderr


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ({"loss": "return [][3]"}, "mine.py, line 12, in loss: IndexError: list index out of"),
        (
            {"loss": "return torch.zeros(2) @ torch.zeros(3)"},
            "mine.py, line 12, in loss: RuntimeError: ",
        ),
        (
            {"hook": "mixing = property(lambda self: 1 / 0)"},
            "mine.py, line 9, in <lambda>: ZeroDivisionError",
        ),
        (
            {"hook": "def network(self, build, task): return build().fc.nothing"},
            "mine.py, line 9, in network: AttributeError",
        ),
        (
            {"hook": "def logits(self, network, images): raise KeyError('ah')"},
            "mine.py, line 9, in logits: KeyError: 'ah'",
        ),
        (
            {"hook": "def finish(self, network, images): assert False, 'no'"},
            "mine.py, line 9, in finish: AssertionError: no",
        ),
        (
            {"hook": "def network(self, build, task): pass"},
            "network(build, task) should give a torch.nn.Module, and gives a NoneType",
        ),
        (
            {"hook": "def backward(self, network, batch): return 1.0"},
            "backward(network, batch) should give the loss, a scalar tensor",
        ),
        (
            {"hook": "def logits(self, network, images): return network(images).argmax(1)"},
            "logits(network, images) should be [1, 10] of one image, and are [1]",
        ),
        (
            {"hook": "def logits(self, network, images): return network(images)[:, :5]"},
            "logits(network, images) should be [1, 10] of one image, and are [1, 5]",
        ),
    ],
)
def test_error_in_a_method_is_told_with_its_file_line_and_frame(parts, said):
    write(**parts)
    code, out, error = run()
    assert code == 1
    assert f"error: method mine: {said}" in error
    assert "Traceback" not in error
    assert out == ""


def test_error_in_a_file_beside_the_method_is_told_with_that_file(folder: Path):
    Path("helper.py").write_text(HELPER)
    write(top=f"sys.path.insert(0, {str(folder)!r})\nimport helper", loss="helper.share(batch)")
    code, _, error = run()
    assert code == 1
    assert f"method mine: {folder / 'helper.py'}, line 3, in share: ZeroDivisionError" in error
    sys.modules.pop("helper")
    sys.path.remove(str(folder))


def test_debug_shows_the_traceback_down_to_the_line_and_the_error_last():
    write(loss="return [][3]")
    code, _, error = run("--debug")
    assert code == 1
    assert "Traceback (most recent call last)" in error
    assert "return [][3]" in error
    assert error.rstrip().splitlines()[-1].startswith("error: method mine: mine.py, line 12")


def test_debug_shows_the_traceback_of_a_run_of_a_sweep():
    write(loss="return [][3]")
    words = ["sweep", "--methods", "mine.py:Mine", "--splits", "digits", "--device", "cpu"]
    found = CliRunner().invoke(app, [*words, "--debug"])
    assert found.exit_code == 1
    assert "in loss" in found.stderr
    assert "IndexError: list index out of range" in found.stderr


def test_error_in_a_class_that_was_typed_into_a_notebook_is_told_with_its_cell():
    class Typed(Method):
        name = "typed"

    Typed.__module__ = "a notebook"
    code = compile("\ndef loss():\n    return 1 / 0\n", "/tmp/ipykernel_1/7.py", "exec")
    cell: dict[str, object] = {}
    exec(code, cell)
    with (
        pytest.raises(RunError, match=r"method typed: .*7\.py, line 3, in loss: ZeroDivision"),
        named(Typed()),
    ):
        cell["loss"]()  # type: ignore[operator]


@pytest.mark.parametrize("error", [UsageError("as it is"), torch.OutOfMemoryError("full")])
def test_errors_that_are_told_elsewhere_are_left_as_they_are(error):
    with pytest.raises(type(error)) as caught, named(build_method("erm", {})):
        raise error
    assert caught.value is error


def test_what_a_method_prints_does_not_reach_the_json():
    write(top="print('imported')", loss=f"print('a step'); {LOSS}")
    code, out, error = run("--json")
    assert code == 0
    assert json.loads(out)["method"] == "mine"
    assert "imported" in error
    assert "a step" in error


def test_what_a_method_prints_in_a_worker_does_not_reach_the_json():
    write(top="print('imported')", loss=f"print('a step'); {LOSS}")
    words = ["sweep", "--methods", "mine.py:Mine", "--splits", "digits", "--set", "epochs=1"]
    done = subprocess.run(
        [sys.executable, "-m", "dcbench", *words, "--engine", "loky", "--jobs", "1", "--json"],
        capture_output=True,
        text=True,
        check=False,
        env={"PYTHONPATH": str(SOURCE), "PATH": ""},
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["counts"]["done"] == 1
