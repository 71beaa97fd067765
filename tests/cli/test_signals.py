"""Signals at every stage: exit code 130, one line, and nothing half-written left behind."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import dcbench
from dcbench.records import atomic
from dcbench.records import files as run_files
from dcbench.records.atomic import undisturbed, write_bytes
from dcbench.runs import finish as last_part
from dcbench.runs import prepare as first_part
from dcbench.training.trainer import Trainer
from tests.cli.test_cli import QUICK, Outcome, folders, run  # noqa: F401 - a fixture of every test
from tests.records.test_store import a_record

SOURCE = Path(dcbench.__file__).parents[1]
NUMBERS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@pytest.fixture(autouse=True)
def handlers():
    """Signals as the command line has them, which a test runner has not."""

    def interrupt(number, frame):
        raise KeyboardInterrupt(number)

    before = {number: signal.signal(number, interrupt) for number in NUMBERS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", NUMBERS)
def test_signal_in_the_first_moment_ends_with_130_and_one_line(number):
    code = (
        "import signal, dcbench_vision; "
        f"dcbench_vision.other_package = lambda: signal.raise_signal({int(number)}); "
        "dcbench_vision.main()"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=SOURCE, capture_output=True, text=True)
    assert done.returncode == 130
    assert done.stderr == "interrupted before anything was begun\n"
    assert done.stdout == ""


def test_signal_that_is_ignored_stays_ignored():
    code = (
        "import signal, dcbench_vision; signal.signal(signal.SIGHUP, signal.SIG_IGN); "
        "dcbench_vision.other_package = lambda: signal.raise_signal(signal.SIGHUP); "
        "import sys; sys.argv = ['dcbench', '--version']; dcbench_vision.main()"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=SOURCE, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, f"dcbench {dcbench.__version__}\n")


@pytest.mark.parametrize("number", NUMBERS)
@pytest.mark.parametrize(
    ("place", "name"),
    [(first_part, "_measured"), (last_part, "predict_split"), (last_part, "_weights")],
)
def test_signal_outside_the_training_ends_with_130_and_the_same_command_goes_on(
    monkeypatch, tmp_path, number, place, name
):
    whole = run(*QUICK, "--results", tmp_path / "whole")
    assert whole.code == 0
    called = getattr(place, name)

    def interrupted(*arguments, **options):
        signal.raise_signal(number)
        return called(*arguments, **options)

    monkeypatch.setattr(place, name, interrupted)
    found = run(*QUICK, "--quiet")
    assert found.code == 130
    assert found.err == "interrupted; the same command goes on from the last checkpoint\n"
    assert not list((tmp_path / "results").rglob("*.unfinished"))
    monkeypatch.setattr(place, name, called)
    assert run(*QUICK).code == 0
    one, other = (
        next((tmp_path / folder).rglob("predictions.npz")) for folder in ("whole", "results")
    )
    assert one.read_bytes() == other.read_bytes()


def test_hangup_while_training_leaves_a_checkpoint(monkeypatch, tmp_path):
    events = Trainer.events

    def interrupted(trainer, *arguments):
        for event in events(trainer, *arguments):
            if trainer.progress.step == 3:
                signal.raise_signal(signal.SIGHUP)
            yield event

    monkeypatch.setattr(Trainer, "events", interrupted)
    assert run(*QUICK).code == 130
    assert len(list(tmp_path.rglob("checkpoint.pt"))) == 1


@pytest.mark.parametrize("number", NUMBERS)
@pytest.mark.parametrize("at", ["write", "fsync", "replace"])
def test_signal_in_the_middle_of_a_file_comes_after_it_is_whole(tmp_path, monkeypatch, number, at):
    def write(file):
        if at == "write":
            signal.raise_signal(number)
        file.write(b"whole")

    fsync, replace = os.fsync, Path.replace
    if at == "fsync":
        monkeypatch.setattr(os, "fsync", lambda each: (signal.raise_signal(number), fsync(each)))
    if at == "replace":
        monkeypatch.setattr(
            Path, "replace", lambda *each: (signal.raise_signal(number), replace(*each))
        )
    with pytest.raises(KeyboardInterrupt) as interrupt:
        atomic.write_whole(tmp_path / "file", write)
    assert interrupt.value.args == (number,)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").read_bytes() == b"whole"


def test_second_signal_does_not_wait():
    reached = []

    def two() -> None:
        with undisturbed():
            signal.raise_signal(signal.SIGINT)
            reached.append("behind the first")
            signal.raise_signal(signal.SIGTERM)
            reached.append("behind the second")

    with pytest.raises(KeyboardInterrupt):
        two()
    assert reached == ["behind the first"]


def test_no_checkpoint_lies_beside_a_record_whenever_a_signal_comes(tmp_path, monkeypatch):
    (tmp_path / "checkpoint.pt").write_bytes(b"state")

    def written(path, content):
        digest = write_bytes(path, content)
        signal.raise_signal(signal.SIGTERM)
        return digest

    monkeypatch.setattr(run_files, "write_bytes", written)
    with pytest.raises(KeyboardInterrupt):
        run_files.write_record(tmp_path, a_record())
    assert [path.name for path in tmp_path.iterdir()] == ["record.json"]


def test_backend_of_a_notebook_is_not_that_of_its_commands(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "dcbench", "leaderboard", "figures", "digits", "-o", tmp_path],
        cwd=SOURCE,
        env={**os.environ, "MPLBACKEND": "module://nowhere"},
        capture_output=True,
        text=True,
    )
    assert "Traceback" not in done.stderr
    assert "nowhere" not in done.stderr
    assert done.returncode in (0, 2)


def test_signs_that_control_a_terminal_are_spelled_out(tmp_path):
    name = "nothing-\x1b[2J\x07\x9b31m\u202e"
    found = Outcome("methods", name)
    assert found.code == 2
    assert "nothing-\\x1b[2J\\x07\\x9b31m\\u202e" in found.err
    assert "\x1b" not in found.err
