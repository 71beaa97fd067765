"""A method's contract as a program: honest methods keep it, and cheats are named by it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

import dcbench
from dcbench.methods import build_method, method_names, registry
from dcbench.runs.contract import check_method
from tests.methods import outside

SOURCE = Path(dcbench.__file__).parents[1]


@pytest.fixture(autouse=True)
def registry_as_it_was(monkeypatch):
    monkeypatch.setattr(registry, "_methods", dict(registry._methods))


def broken(method) -> dict[str, str]:
    return {each.promise: each.detail for each in check_method(method) if not each.kept}


@pytest.mark.parametrize("name", method_names())
def test_every_method_in_the_registry_keeps_its_contract(name):
    assert broken(build_method(name, {})) == {}


@pytest.mark.parametrize(
    "method",
    [
        *(outside.CosineHead, outside.Deferred, outside.CutMixed),
        *(outside.MovingAverage, outside.TwoStages, outside.Sharpness),
    ],
)
def test_method_from_outside_keeps_its_contract(method):
    method.capturable = method is not outside.Sharpness
    assert broken(method()) == {}


@pytest.mark.parametrize(
    ("method", "said"),
    [
        (outside.Noisy, "draws from the generator of torch"),
        (outside.NoisyStart, "draws from the generator of numpy"),
        (outside.NoisyStart, "trained again from the same seed, conv.weight differs"),
        (outside.NoisyFinish, "draws from the generator of torch"),
        (outside.NoisyFinish, "trained again from the same seed, fc.weight differs"),
        (outside.NoisyLogits, "draws from the generator of random"),
        (outside.NoisyLogits, "trained again from the same seed, logits differs"),
        (outside.Unfinished, "in finish: TypeError"),
        (outside.Counting, "keeps state in steps of class Counting"),
        (outside.Overwriting, "changes batch.images in place"),
        (outside.Timed, "reads the clock: time.monotonic"),
        (outside.Detached, "no gradient reaches fc.weight, fc.bias"),
        (outside.Reading, "reads values back to the host"),
        (outside.Misspelled, "method : ranges: unknown setting 'betta'; did you mean beta?"),
    ],
)
def test_method_that_cheats_is_named_by_what_it_does(method, said: str):
    found = broken(method())
    assert any(said in detail for detail in found.values()), found


def test_command_prints_a_table_and_ends_with_1_on_a_broken_promise():
    location = f"{Path(outside.__file__)}:Overwriting"
    command = [sys.executable, "-m", "dcbench", "test-method", location, "--json"]
    done = subprocess.run(command, cwd=SOURCE, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr
    report = json.loads(done.stdout)
    kept = {each["promise"]: each["kept"] for each in report["promises"]}
    assert not kept["leaves the batch as it is"]
    assert kept["reads no clock"]
