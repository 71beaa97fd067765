"""Searches whose trials are carried out by the workers of an engine."""

from __future__ import annotations

import json
import logging
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from dcbench.cli import app
from dcbench.errors import RunError
from dcbench.records.store import Store
from dcbench.sweep.engines.base import Ended, Engine, Options, Outcome, WorkerOptions
from dcbench.sweep.engines.dispatch import Dispatch
from dcbench.sweep.engines.loky import Loky
from dcbench.sweep.engines.serial import Serial
from dcbench.sweep.engines.work import carry_out
from dcbench.sweep.grid import Request
from dcbench.tuning.study import Study
from dcbench.tuning.tune import tune
from dcbench.tuning.work import OneMoreTrial
from tests.sweep.engines.runs import shown_in, until_trained
from tests.sweep.engines.test_parcel import sent
from tests.sweep.test_clock import Told
from tests.tuning.test_tune import KILLED_ONCE, a_site, search, tuned

TALKATIVE = """
from torch.nn.functional import cross_entropy
from dcbench.methods import Method

class Talkative(Method):
    '''Prints in every step.'''

    def loss(self, network, batch):
        print("talk")
        return cross_entropy(network(batch.images), batch.labels)
"""

DEADLY = """
import os, signal
from torch.nn.functional import cross_entropy
from dcbench.methods import Method

class Deadly(Method):
    '''Kills its process with one of its settings.'''
    beta: float = 0

    def loss(self, network, batch):
        if self.beta == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        return cross_entropy(network(batch.images), batch.labels)
"""

FLAGS = ["tune", "--split", "digits", "--protocol", "v1-lite", "--device", "cpu"]


def loky(workers: int) -> Loky:
    return Loky(WorkerOptions(workers=workers))


def command(results: Path, *words: str) -> list[str]:
    return [sys.executable, "-m", "dcbench", *FLAGS, "--results", str(results), *words]


def test_two_workers_try_and_find_what_one_process_does(tmp_path: Path):
    file = tmp_path / "method.py"
    file.write_text(TALKATIVE)
    method = f"{file}:Talkative"
    words = ["--method", method, "--trials", "4", "--epochs", "2", "--first-rung", "2", "--json"]
    line = command(tmp_path / "two", *words, "--engine", "loky", "--jobs", "2")
    done = subprocess.run(line, capture_output=True, text=True, timeout=250, check=False)
    assert done.returncode == 0, done.stderr
    asked = search(method=method, trials=4, epochs=2, first_rung=2, reduction=3)
    alone = tuned(tmp_path / "one", asked)
    assert json.loads(done.stdout)["trials"] == [each._asdict() for each in alone.trials]
    assert alone.path is not None
    [path] = (tmp_path / "two").rglob("recipe.yaml")
    assert path.read_text() == alone.path.read_text()
    told = re.findall(r"\[\d/\d\]", done.stderr)  # anywhere: what is printed may stand before it
    assert sorted(told) == ["[1/4]", "[2/4]", "[3/4]", "[4/4]"]
    assert "s; none left" in done.stderr


def test_trial_of_a_killed_worker_goes_on_from_its_checkpoint_in_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    file = tmp_path / "method.py"
    file.write_text(KILLED_ONCE)
    asked = search(method=f"{file}:KilledOnce", trials=3, first_rung=2, reduction=3)
    recipes, steps = {}, {}
    for name, killed_at in (("whole", 0), ("killed", 5)):
        monkeypatch.setenv("MARK", str(tmp_path / name))
        monkeypatch.setenv("KILLED_AT", str(killed_at))
        # One worker: which trials are stopped depends on which came first.
        recipes[name] = tune(asked, a_site(tmp_path / f"{name}-results"), loky(1)).recipe
        steps[name] = len((tmp_path / name).read_text())
    lost = [each.getMessage() for each in caplog.records if each.levelno == logging.WARNING]
    assert lost == [
        "its worker was killed by SIGKILL, as where memory runs out; its trial goes on from its "
        "checkpoint"
    ]
    assert recipes["killed"] == recipes["whole"] is not None
    # The step that it was killed in was taken again, and no other of that epoch.
    assert steps["killed"] == steps["whole"] + 1


def test_trial_at_which_two_workers_die_has_failed_and_the_search_goes_on(tmp_path: Path):
    file = tmp_path / "method.py"
    file.write_text(DEADLY)
    ranges = ["beta=[0, 1]", "learning_rate=0.05"]
    asked = search(method=f"{file}:Deadly", seed=1, trials=2, epochs=1, ranges=ranges)
    found = tune(asked, a_site(tmp_path), loky(1))
    assert [(each.values["beta"], each.state, each.problem) for each in found.trials] == [
        (1, "failed", "2 workers died at it"),
        (0, "complete", ""),
    ]
    assert found.recipe is not None
    assert found.recipe.settings["beta"] == 0


class Lost(Engine):
    """Loses all its workers."""

    def __init__(self) -> None:
        super().__init__(Options())

    def workers(self, device):
        return 1

    def carry_out(self, jobs, site):
        for job in jobs:
            yield Ended(job, lost="its worker died")


def test_search_whose_workers_all_die_before_they_begin_ends(tmp_path: Path):
    with pytest.raises(RunError, match="no worker comes to the end of a trial: its worker died"):
        tune(search(), a_site(tmp_path), Lost())


def test_time_left_is_shared_by_the_workers_that_have_a_trial(tmp_path: Path, caplog):
    request = Request("mixup", "digits", 0, 0, "v1-lite", "{}")
    endings = [Outcome(request, "done", seconds) for seconds in (10.0, 20.0)]
    with caplog.at_level(logging.INFO, logger="dcbench.tuning"):
        left = [Outcome(request, "left", 0.0)]
        tune(search(trials=3), a_site(tmp_path), Told([*endings, *left], workers=8))
    told = [each.getMessage().rpartition("; ")[2] for each in caplog.records]
    assert told[1:] == ["about 10 s left", "about 15 s left"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_search_stores_what_its_workers_are_at_and_goes_on(
    tmp_path: Path, number: signal.Signals
):
    results, method = tmp_path / "results", shown_in(tmp_path / "shown")
    words = ["--method", method, "--trials", "2", "--epochs", "3000", "--first-rung", "3000"]
    process = subprocess.Popen(
        command(results, *words, "--engine", "loky", "--jobs", "2"),
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    until_trained(tmp_path / "shown", 2)
    if number == signal.SIGINT:
        os.killpg(process.pid, number)  # as a terminal does: the workers hear it too
    else:
        process.send_signal(number)
    said = process.communicate(timeout=60)[1].decode()
    assert process.returncode == 130, said
    assert "Traceback" not in said
    assert len(list(results.rglob("checkpoint.pt"))) == 2
    asked = search(method=method, trials=2, epochs=3000, first_rung=3000, reduction=3)
    left = tune(asked, a_site(results, deadline=time.time() + 1), Serial())
    assert [each.state for each in left.trials] == ["running", "running"]
    assert len(list(results.rglob("checkpoint.pt"))) == 2


def test_budget_stops_workers_in_time_and_stores_their_trials(tmp_path: Path):
    asked = search(method="erm", trials=3, epochs=3000, first_rung=3000, reduction=3)
    began = time.time()
    found = tune(asked, a_site(tmp_path, deadline=began + 20), loky(2))
    assert time.time() < began + 60  # on a machine that is busy, a worker may only just have begun
    assert found.recipe is None
    assert all(each.state == "running" for each in found.trials)
    assert len(list(tmp_path.rglob("checkpoint.pt"))) == len(found.trials) <= 2


def test_worker_that_does_not_share_the_folder_says_so(tmp_path: Path):
    site = a_site(tmp_path, work=OneMoreTrial(search(), "asked"))
    job = (Request("mixup", "digits", 0, 0, "v1-lite", "{}"),)
    with pytest.raises(RunError, match=r"study.db: the worker sees no such study; .* share with"):
        next(Serial().carry_out([job], site))
    parcel = replace(sent(Dispatch(site), job), store=Store(tmp_path / "elsewhere"))
    (outcome,) = carry_out(parcel).outcomes
    assert outcome.message.endswith("share with the command"), "a search cannot send results"


def test_trial_that_was_left_in_order_counts_no_death(tmp_path: Path):
    folder = tmp_path / search().folder
    for name in ("a", "a", "b"):
        with Study(folder, search(), name).held() as held:
            assert held is not None
            assert (held.number, held.lost) == (0, 0)


def test_engine_whose_workers_send_their_files_back_is_refused(tmp_path: Path):
    pytest.importorskip("distributed")
    options = tmp_path / "dask.yaml"
    options.write_text("results: sent\n")
    words = [*FLAGS, "--method", "erm", "--engine", "dask", "--engine-options", str(options)]
    result = CliRunner().invoke(app, [*words, "--results", str(tmp_path / "none")])
    assert result.exit_code == 2
    assert "engine dask: results=sent: the trials of a search share a study" in result.stderr
    assert not (tmp_path / "none").exists()


def test_dry_run_says_how_long_several_workers_take(tmp_path: Path):
    words = [*FLAGS, "--method", "erm", "--trials", "3", "--dry-run", "--json"]
    results = ["--results", str(tmp_path / "none")]
    asked = [*words, "--engine", "loky", "--jobs", "8", *results]
    result = CliRunner().invoke(app, asked)
    assert json.loads(result.stdout)["workers"] == 3  # no more than there are trials
    result = CliRunner().invoke(app, [each for each in asked if each != "--json"])
    assert "if 3 workers are as fast together" in " ".join(result.stderr.split())
    assert not (tmp_path / "none").exists()
