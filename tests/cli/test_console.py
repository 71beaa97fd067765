from functools import partial
from pathlib import Path

import pytest

from dcbench.cli import console as display
from dcbench.cli.console import RunProgress
from dcbench.records.schema import EpochSummary
from dcbench.runs.plan import plan_run
from dcbench.sweep.engines import serial
from dcbench.sweep.grid import Block, requests_of
from dcbench.sweep.scheduler import sweep
from dcbench.training.trainer import Progress
from tests.sweep.test_scheduler import a_site

SHORT = {"epochs": 4}


@pytest.fixture(autouse=True)
def every_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(display, "_LINE_EVERY", 0.0)


def epochs_shown(capsys: pytest.CaptureFixture[str]) -> list[str]:
    lines = capsys.readouterr().err.splitlines()
    return [line.split()[1] for line in lines if line.startswith("epoch ")]


@pytest.mark.parametrize("pack", [1, 2])
def test_run_that_failed_no_longer_counts_in_the_progress_of_the_next(tmp_path: Path, capsys, pack):
    blocks = [
        Block(methods=("erm",), splits=("digits",), settings=settings)
        for settings in ({**SHORT, "learning_rate": 1e6}, SHORT)
    ]
    with RunProgress() as reporter:
        engine = partial(serial, reporter=reporter)
        outcomes = sweep(requests_of(blocks), a_site(tmp_path), engine, pack=pack)
    assert [outcome.state for outcome in outcomes] == ["failed", "done"]
    assert epochs_shown(capsys) == ["1/4", "2/4", "3/4", "4/4"]


def test_progress_begins_anew_after_a_run_that_was_trained_and_could_not_be_recorded(capsys):
    one, other = (plan_run("erm", "digits", seed=seed, settings=SHORT) for seed in (0, 1))
    history = [EpochSummary(0, 2.0, 0.1, 1.0)]
    with RunProgress() as reporter:
        reporter.epoch(one, Progress())
        reporter.epoch(one, Progress(epoch=4, history=history))
        reporter.ended(one)
        reporter.epoch(other, Progress())
        reporter.epoch(other, Progress(epoch=1, history=history))
    assert epochs_shown(capsys) == ["4/4", "1/4"]


def test_progress_of_runs_that_train_at_once_is_that_of_all(capsys):
    one, other = (plan_run("erm", "digits", seed=seed, settings=SHORT) for seed in (0, 1))
    history = [EpochSummary(0, 2.0, 0.1, 1.0)]
    with RunProgress() as reporter:
        for plan in (one, other):
            reporter.epoch(plan, Progress(epoch=1, history=history))
        reporter.epoch(one, Progress(epoch=2, history=history))
        reporter.ended(one)
        reporter.epoch(other, Progress(epoch=2, history=history))
    assert epochs_shown(capsys) == ["3/8", "2/4"]
