"""What a stranger's code may do at every place where it is called: it is named, and ends alone."""

import os
from pathlib import Path

import pytest
import torch
from torch.nn.functional import cross_entropy

import dcbench
from dcbench.errors import DcbenchError, UsageError
from dcbench.methods import Method, registry
from dcbench.methods.failures import named
from tests.cli.test_cli import Outcome, folders, run  # noqa: F401 - a fixture of every test

FILE = """
import sys
import torch
from torch.nn.functional import cross_entropy
from dcbench.methods import Method

{at_import}

class Mine(Method):
    def network(self, build, task):
        {network}
        return build()

    @property
    def mixing(self):
        {mixing}
        return None

    def loss(self, network, batch):
        {loss}
        return cross_entropy(network(batch.images), batch.labels)

    def after_step(self, network, batch):
        {after_step}

    def finish(self, network, images):
        {finish}

    def logits(self, network, images):
        {logits}
        return network(images)
"""
PLACES = ("network", "mixing", "loss", "after_step", "finish", "logits")


def method(folder: Path, **code: str) -> str:
    path = folder / "mine.py"
    path.write_text(FILE.format(**{"at_import": "", **dict.fromkeys(PLACES, "pass"), **code}))
    return f"{path}:Mine"


def settings() -> tuple[object, ...]:
    return torch.get_default_dtype(), torch.is_grad_enabled(), torch.get_num_threads()


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("raise SystemExit('enough')", "SystemExit: enough"),
        ("sys.exit()", "SystemExit"),
        ("raise KeyboardInterrupt", "KeyboardInterrupt"),
        ("torch.set_default_dtype(torch.float64)", "changes the default dtype of the process"),
        ("torch.set_num_threads(3)", "changes the number of threads of the process"),
    ],
)
def test_whatever_a_hook_does_ends_its_own_run_alone(tmp_path, place, code, message, monkeypatch):
    monkeypatch.setattr("signal.getsignal", lambda number: None)  # as under the command line
    before = settings()
    found = run("--method", method(tmp_path, **{place: code}), "--set", "epochs=1", "--quiet")
    assert found.code == 1
    assert "method mine: " in found.words
    assert message in found.words
    assert settings() == before
    assert not list(tmp_path.rglob("record.json"))


def test_gradient_mode_that_a_loss_changes_is_named(tmp_path):
    changing = method(tmp_path, after_step="torch.set_grad_enabled(False)")
    found = run("--method", changing, "--set", "epochs=1", "--quiet")
    assert found.code == 1
    assert "method mine: changes the gradient mode of the process" in found.words
    assert torch.is_grad_enabled()


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("batch.class_counts.zero_()", "changes batch.class_counts in place"),
        ("batch.class_counts.clamp_(min=1)", "changes batch.class_counts in place"),
        ("batch.epoch.fill_(7)", "changes batch.epoch in place"),
    ],
)
def test_batch_that_is_changed_in_place_where_steps_share_it(tmp_path, code, message):
    found = run("--method", method(tmp_path, loss=code), "--set", "epochs=1", "--quiet")
    assert found.code == 1
    assert f"method mine: {message}" in found.words


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("raise SystemExit(3)", "SystemExit: 3"),
        ("raise KeyboardInterrupt", "KeyboardInterrupt"),
        ("1 / 0", "ZeroDivisionError"),
        ("torch.set_default_dtype(torch.float64)", "changes the default dtype"),
        ("torch.set_grad_enabled(False)", "changes the gradient mode"),
        ("class Odd(BaseException): pass\nraise Odd('so')", "Odd: so"),
        ("x = (", "SyntaxError"),
        ("\0", "source code"),
    ],
)
def test_whatever_a_file_does_at_import_is_wrong_use(tmp_path, code, message, monkeypatch):
    monkeypatch.setattr("signal.getsignal", lambda number: None)
    before = settings()
    found = run("--method", method(tmp_path, at_import=code))
    assert found.code == 2
    assert f"method file {tmp_path / 'mine.py'}" in found.words
    assert message in found.words
    assert settings() == before


@pytest.mark.parametrize("problem", [SystemExit(4), KeyboardInterrupt(), ImportError("gone")])
def test_plugin_that_ends_the_process_is_named_and_the_others_are_listed(
    monkeypatch, caplog, problem
):
    class Broken:
        name, value, dist = "broken", "broken:Method", None

        def load(self):
            raise problem

    monkeypatch.setattr("signal.getsignal", lambda number: None)
    monkeypatch.setattr(registry, "entry_points", lambda group: [Broken()])
    assert "erm" in registry.method_names()
    assert f"method 'broken' cannot be loaded: {type(problem).__name__}" in caplog.text


def test_setting_whose_check_raises_anything(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(
        "from pydantic import field_validator\nfrom dcbench.methods import Method\n"
        "class Mine(Method):\n    beta: float = 1\n\n"
        "    @field_validator('beta')\n    def check(cls, value):\n        raise SystemExit(5)\n"
    )
    found = run("--method", f"{path}:Mine", "--set", "beta=2")
    assert found.code == 1
    assert "method mine: " in found.words
    assert "SystemExit: 5" in found.words


def test_interrupt_of_the_user_is_the_users_wherever_it_comes():
    erm = registry.method_class("erm")
    with pytest.raises(KeyboardInterrupt), named(erm):
        raise KeyboardInterrupt(2)


def test_run_that_breaks_leaves_the_next_of_the_process_as_it_would_be(tmp_path):
    alone = dcbench.run("erm", "digits", settings={"epochs": 1}, results=tmp_path / "alone")
    broken = method(tmp_path, after_step="torch.set_default_dtype(torch.float64)")
    with pytest.raises(DcbenchError):
        dcbench.run(broken, "digits", settings={"epochs": 1}, results=tmp_path / "other")
    again = dcbench.run("erm", "digits", settings={"epochs": 1}, results=tmp_path / "other")
    assert again.predictions.sha256 == alone.predictions.sha256


class Turned(Method):
    """Colors weigh by what a seed draws, which is in no state_dict."""

    def network(self, build, task):
        network = build()
        network.weights = torch.rand(3, 1, 1)
        return network

    def loss(self, network, batch):
        return cross_entropy(network(batch.images * network.weights), batch.labels)


def test_second_seed_of_a_process_is_the_run_that_it_gives_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(registry, "_methods", dict(registry._methods))
    registry.register("turned")(Turned)
    given = {"split": "digits", "settings": {"epochs": 1}, "device": "cpu"}
    alone = dcbench.run("turned", seed=1, results=tmp_path / "alone", **given)
    _, second = dcbench.run("turned", seeds=[0, 1], results=tmp_path / "both", **given)
    assert second.predictions.sha256 == alone.predictions.sha256


def test_method_file_that_is_a_pipe_or_endless(tmp_path):
    os.mkfifo(tmp_path / "pipe.py")
    (tmp_path / "endless.py").symlink_to("/dev/zero")
    for name in ("pipe", "endless"):
        with pytest.raises(UsageError, match=rf"method file .*{name}\.py: is a (pipe|device)"):
            registry.method_class(f"{tmp_path / name}.py:Mine")


def test_file_whose_path_has_blanks_is_found(tmp_path):
    folder = tmp_path / "my methods"
    folder.mkdir()
    found = Outcome("test-method", method(folder, loss="raise SystemExit"))
    assert found.code == 1
    assert "SystemExit" in found.out
