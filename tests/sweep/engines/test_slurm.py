"""Slurm itself and submitit's own executor: equal to the bit, whatever befalls a job."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from dcbench.errors import RunError, UsageError
from dcbench.records.files import CHECKPOINT
from dcbench.sweep.engines.base import Outcome
from dcbench.sweep.engines.registry import load_engine
from dcbench.sweep.engines.serial import Serial
from dcbench.sweep.grid import Request, packs, plan_of
from dcbench.sweep.scheduler import sweep
from tests.sweep.engines.conftest import Deadly
from tests.sweep.engines.runs import a_site, asked, everything, states, until
from tests.sweep.engines.slurm_node import missing, slurm_node

submitit = pytest.importorskip("submitit")

from dcbench.sweep.engines import slurm_jobs  # noqa: E402
from dcbench.sweep.engines.slurm import Slurm, SlurmOptions  # noqa: E402

TOLD = """
import itertools, os, pathlib, signal
from torch.nn.functional import cross_entropy
from dcbench.methods import Method

steps = itertools.count()

class Told(Method):
    \"\"\"ERM whose job is told to leave in the midst of training, the first time anywhere.\"\"\"

    def loss(self, network, batch):
        marker = pathlib.Path({marker!r})
        if next(steps) == 5 and not marker.exists():
            marker.touch()
            os.kill(os.getpid(), signal.{signal})
        return cross_entropy(network(batch.images), batch.labels)
"""


@dataclasses.dataclass(frozen=True)
class Told:
    """A run whose job is requeued once, if the marker is not there."""

    requests: list[Request]
    marker: Path
    expected: dict[str, object]


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Told:
    folder = tmp_path_factory.mktemp("told")
    marker = folder / "marker"
    (folder / "told.py").write_text(TOLD.format(marker=str(marker), signal="SIGUSR2"))
    requests = asked(methods=[f"{folder}/told.py:Told"])
    marker.touch()
    sweep(requests, a_site(folder / "serial"), Serial())
    return Told(requests, marker, everything(folder / "serial"))


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A node of Slurm that commands of this process find."""
    if missing():
        pytest.skip(f"Slurm is not here: no {missing()} (Debian's slurm-wlm)")
    folder = tmp_path_factory.mktemp("slurm")
    with slurm_node(folder) as configuration, pytest.MonkeyPatch.context() as patch:
        patch.setenv("SLURM_CONF", str(configuration))
        yield


@pytest.fixture(scope="module", params=["local", "slurm"])
def executor(request: pytest.FixtureRequest) -> str:
    if request.param == "slurm":
        request.getfixturevalue("node")
    return request.param


def engine(executor: str, folder: Path, **options: object) -> Slurm:
    given = {"executor": executor, "array_parallelism": 2, "poll_s": 0.5, "folder": folder}
    return Slurm(SlurmOptions.model_validate({**given, **options}))


@dataclasses.dataclass(frozen=True)
class Swept:
    """What was left of a sweep in which workers are killed and a job requeued."""

    requests: list[Request]
    results: Path
    logs: Path
    outcomes: list[Outcome]
    warnings: list[str]


@pytest.fixture(scope="module")
def swept(executor, deadly: Deadly, told: Told, tmp_path_factory: pytest.TempPathFactory) -> Swept:
    folder = tmp_path_factory.mktemp(executor)
    deadly.marker.unlink()
    told.marker.unlink()
    requests = [*deadly.requests(), *told.requests]
    if executor == "local":  # each death costs the start of a process
        requests = [*asked(methods=[deadly.once]), *told.requests, *asked()]
    chosen = engine(executor, folder / "logs", runs_per_job=3)
    with _warnings() as told_of:
        outcomes = sweep(requests, a_site(folder / "results"), chosen)
    return Swept(requests, folder / "results", folder / "logs", outcomes, told_of)


def test_all_runs_but_the_one_that_kills_are_done(swept: Swept, deadly: Deadly):
    assert states(swept.outcomes) == {
        (each.method, each.seed): "failed" if each.method == deadly.always else "done"
        for each in swept.requests
    }


def test_killed_requeued_and_other_runs_equal_what_the_serial_engine_leaves(
    swept: Swept, deadly: Deadly, told: Told
):
    found, expected = everything(swept.results), {**deadly.expected, **told.expected}
    alive = [each for each in swept.requests if each.method != deadly.always]
    assert len(found) == 4 * len(alive)
    assert found.items() <= expected.items()


def test_worker_that_died_is_told_with_the_reason_and_the_log(swept: Swept, executor):
    (line,) = (each for each in swept.warnings if each.startswith("once"))
    _, _, why = line.partition("seed 0: ")
    reason, log, then = why.split("; ")
    died = "FAILED, killed by SIGKILL" if executor == "slurm" else "its process died"
    assert reason.endswith(died)
    assert Path(log.removeprefix("see ")).is_file()
    assert then == "it is tried once more"


def test_run_that_kills_its_worker_twice_fails_and_says_so(swept: Swept, executor):
    failed = [each.message for each in swept.outcomes if each.state == "failed"]
    assert all(each.startswith("lost twice: Slurm ended its job ") for each in failed)
    assert len(failed) == (executor == "slurm")


def test_job_was_requeued_by_submitit_rather_than_lost(swept: Swept):
    logs = "".join(path.read_text() for path in swept.logs.rglob("*_log.out"))
    assert logs.count("Requeued job") == 1


def test_interrupted_sweep_cancels_its_jobs_which_store_their_states(executor, tmp_path: Path):
    requests = asked(settings={"epochs": 1}) + asked(settings={"epochs": 5000})
    site = a_site(tmp_path / "results")
    carried_out = engine(executor, tmp_path, runs_per_job=2).carry_out(packs(requests, 1), site)
    assert next(carried_out).outcomes[0].state == "done"
    checkpoint = site.store.folder(plan_of(requests[1]).identity) / CHECKPOINT
    until(checkpoint.parent.is_dir)
    carried_out.close()
    until(checkpoint.exists)
    if executor == "slurm":
        until(lambda: not _queued())


def test_jobs_that_are_cancelled_by_hand_are_left(node, tmp_path: Path):
    requests = asked(settings={"epochs": 5000}, seeds="0-1")
    site = a_site(tmp_path / "results")
    chosen = engine("slurm", tmp_path, array_parallelism=1)
    carried_out = chosen.carry_out(packs(requests, 1), site)
    with contextlib.closing(carried_out):
        cancelling = subprocess.Popen(
            [sys.executable, "-c", CANCEL, str(site.store.folder(plan_of(requests[0]).identity))]
        )
        ended = list(carried_out)
        cancelling.wait(timeout=30)
    assert [each.lost for each in ended] == ["", ""]
    assert {(o.state, o.message) for each in ended for o in each.outcomes} == {
        ("left", "its job was cancelled")
    }


CANCEL = """
import pathlib, subprocess, sys, time
while not pathlib.Path(sys.argv[1]).is_dir():
    time.sleep(0.1)
subprocess.run(["scancel", "--name=dcbench"], check=True)
"""


def test_budget_leaves_what_runs_and_what_waits(executor, tmp_path: Path):
    requests = asked(settings={"epochs": 5000}, seeds="0-1")
    site = a_site(tmp_path / "results", deadline=time.time() + 3)
    outcomes = sweep(requests, site, engine(executor, tmp_path, array_parallelism=1))
    assert [each.state for each in outcomes] == ["left", "left"]
    assert not list(tmp_path.glob("2*")), "there was nothing to explain"


def test_job_that_never_reaches_dcbench_says_what_was_wrong(node, tmp_path: Path):
    chosen = engine("slurm", tmp_path, setup=["exit 3"], runs_per_job=2)
    ended = list(chosen.carry_out(packs(asked(seeds="0-1"), 1), a_site(tmp_path / "results")))
    assert len(ended) == 2
    for each in ended:
        assert "FAILED, exit code 3; see " in each.lost


def test_partition_that_slurm_does_not_have_is_its_own_line(node, tmp_path: Path):
    chosen = engine("slurm", tmp_path, partition="nowhere")
    with pytest.raises(RunError, match=r"Slurm takes no job: .*nvalid partition name"):
        sweep(asked(), a_site(tmp_path / "results"), chosen)
    assert not list(tmp_path.glob("2*")), "nothing was submitted that could explain it"


def test_debug_executor_works_in_this_process(tmp_path: Path, deadly: Deadly):
    sweep(asked(), a_site(tmp_path / "results"), engine("debug", tmp_path / "logs"))
    found = everything(tmp_path / "results")
    assert len(found) == 4
    assert found.items() <= deadly.expected.items()


def test_interrupt_of_the_debug_executor_stores_the_run_and_ends_the_sweep(tmp_path: Path):
    told = TOLD.format(marker=f"{tmp_path}/marker", signal="SIGINT")
    (tmp_path / "told.py").write_text(told)
    requests = asked(methods=[f"{tmp_path}/told.py:Told", "erm"])
    site = a_site(tmp_path / "results")
    with pytest.raises(KeyboardInterrupt):
        sweep(requests, site, engine("debug", tmp_path / "logs"))
    stored, missing = (site.store.folder(plan_of(each).identity) for each in requests)
    assert (stored / CHECKPOINT).exists()
    assert not missing.exists()


def test_machine_without_slurm_is_told_what_does_without(tmp_path: Path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UsageError, match="no srun on this machine; `executor: local`"):
        sweep(asked(), a_site(tmp_path / "results"), engine("slurm", tmp_path))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("timeout_min: 1", "signal_delay_s=90: leaves no time to work"),
        ("timeout: 5", "unknown key 'timeout'; did you mean 'timeout_min'?"),
        ("executor: pbs", "executor='pbs': input should be 'slurm', 'local' or 'debug'"),
    ],
)
def test_options_that_make_no_sense_are_one_line(tmp_path: Path, text, told):
    path = tmp_path / "options.yaml"
    path.write_text(text)
    with pytest.raises(UsageError) as caught:
        load_engine("slurm", path)
    assert str(caught.value) == f"{path}: engine slurm: {told}" or told in str(caught.value)


SQUEUE = """#!/bin/sh
cat {folder}/answer
cat {folder}/error >&2
test ! -s {folder}/error
"""


def answers(folder: Path, monkeypatch: pytest.MonkeyPatch, answer: str, error: str = "") -> None:
    """What a squeue of the test's own says next."""
    (folder / "answer").write_text(answer)
    (folder / "error").write_text(error)
    (folder / "squeue").write_text(SQUEUE.format(folder=folder))
    (folder / "squeue").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")


def test_job_is_gone_once_slurm_has_said_so_twice_and_not_while_it_says_nothing(
    tmp_path: Path, monkeypatch
):
    clock = iter(range(0, 1000, 20))
    monkeypatch.setattr(slurm_jobs.time, "monotonic", lambda: next(clock))
    old, new = (submitit.SlurmJob(tmp_path, f"7_{number}") for number in range(2))
    watch = slurm_jobs.WatchSlurm(every=1.0)
    answers(tmp_path, monkeypatch, "7_0  RUNNING  0\n")
    watch.look([old])
    assert watch.ending(old) is None
    assert watch.ending(new) is None, "it was submitted after the question"
    answers(tmp_path, monkeypatch, "", "slurm_load_jobs error: Unable to contact slurm controller")
    watch.look([old, new])
    assert watch.ending(old) is None
    answers(tmp_path, monkeypatch, "", "slurm_load_jobs error: Invalid job id specified")
    watch.look([old])
    assert watch.ending(old) is None, "its files may still come"
    watch.look([old])
    assert watch.ending(old).state == "lost"
    assert "Slurm ended its job 7_0: gone from the queue; see " in watch.ending(old).reason


@pytest.mark.parametrize(
    ("state", "code", "ending"),
    [
        ("PREEMPTED", "15", "again"),
        ("CANCELLED", "15", "left"),
        ("TIMEOUT", "0", "lost"),
        ("OUT_OF_MEMORY", "125", "lost"),
        ("PENDING", "0", None),
    ],
)
def test_state_in_slurm_decides_what_becomes_of_a_job(
    tmp_path: Path, monkeypatch, state, code, ending
):
    job = submitit.SlurmJob(tmp_path, "7")
    watch = slurm_jobs.WatchSlurm(every=1.0)
    answers(tmp_path, monkeypatch, f"7  {state}  {code}\n")
    watch.look([job])
    found = watch.ending(job)
    assert (found.state if found else None) == ending


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (0, ""),
        (256, ", exit code 1"),
        (35072, ", killed by SIGKILL"),
        (9, ", killed by SIGKILL"),
        (125, ""),
    ],
)
def test_wait_status_is_told_in_words(status, words):
    assert slurm_jobs.exit_words(status) == words


@contextlib.contextmanager
def _warnings() -> Iterator[list[str]]:
    """What is told of runs that are lost."""
    lines: list[str] = []
    handler = logging.Handler(logging.WARNING)
    handler.emit = lambda record: lines.append(record.getMessage())
    log = logging.getLogger("dcbench.sweep.attempts")
    log.addHandler(handler)
    try:
        yield lines
    finally:
        log.removeHandler(handler)


def _queued() -> str:
    command = ["squeue", "--noheader", "--states=running,pending,completing"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout
