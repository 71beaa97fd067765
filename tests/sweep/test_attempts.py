"""Every run to its end: what is lost is tried again, what is busy elsewhere is waited for."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import filelock
import pytest

from dcbench.records.store import LOCK
from dcbench.sweep import attempts
from dcbench.sweep.engines.base import Ended, Engine, Job, Options, Outcome
from dcbench.sweep.engines.serial import Serial
from dcbench.sweep.grid import plan_of
from dcbench.sweep.scheduler import sweep
from tests.sweep.engines.runs import a_site, asked, everything
from tests.sweep.test_scheduler import SOURCE


class Deadly(Engine):
    """An engine that loses each job with a method of its list, so many times."""

    def __init__(self, **lives: int):
        super().__init__(Options())
        self.lives, self.seen = lives, []

    def workers(self, device):
        return 1

    def carry_out(self, jobs: list[Job], site):
        self.seen.append([[each.method for each in job] for job in jobs])
        for job in jobs:
            killers = [each.method for each in job if self.lives.get(each.method, 0) > 0]
            for method in killers:
                self.lives[method] -= 1
            if killers:
                yield Ended(job, lost="its worker was killed")
            else:
                yield Ended(job, [Outcome(each, "done", 1.0, 0.5) for each in job])


def outcomes(engine: Engine, results: Path, methods: list[str], pack: int = 1) -> dict[str, str]:
    found = sweep(asked(methods=methods), a_site(results), engine, pack=pack)
    return {each.request.method: f"{each.state} {each.message}".strip() for each in found}


def test_run_that_is_lost_is_tried_once_more(tmp_path: Path):
    engine = Deadly(mixup=1)
    assert outcomes(engine, tmp_path, ["erm", "mixup"]) == {"erm": "done", "mixup": "done"}
    assert engine.seen == [[["erm"], ["mixup"]], [["mixup"]]]


def test_run_that_is_lost_twice_has_failed_and_the_others_go_on(tmp_path: Path):
    assert outcomes(Deadly(erm=9), tmp_path, ["erm", "mixup"]) == {
        "erm": "failed lost twice: its worker was killed",
        "mixup": "done",
    }


def test_pack_that_is_lost_is_tried_run_by_run(tmp_path: Path):
    engine = Deadly(remix=9)
    found = outcomes(engine, tmp_path, ["erm", "remix", "mixup"], pack=3)
    assert found == {
        "erm": "done",
        "remix": "failed lost twice: its worker was killed",
        "mixup": "done",
    }
    assert engine.seen == [[["erm", "remix", "mixup"]], [["erm"], ["remix"], ["mixup"]]]


def held(results: Path, request) -> filelock.BaseFileLock:
    """The lock of a run's folder, as another process would hold it."""
    folder = results / plan_of(request).folder
    folder.mkdir(parents=True)
    lock = filelock.FileLock(folder / LOCK)
    lock.acquire()
    return lock


class Releasing:
    """A progress at whose first task a lock is released."""

    def __init__(self, lock: filelock.BaseFileLock):
        self.lock = lock

    def task(self, title: str, total: int, done: int = 0, unit: str = ""):
        self.lock.release()
        return self

    def advance(self, count: int = 1, detail: str = "") -> None:
        pass

    def close(self) -> None:
        pass


def test_run_that_another_process_holds_is_done_after_those_that_are_free(tmp_path: Path):
    requests = asked(seeds="0-1")
    site = a_site(tmp_path, progress=Releasing(held(tmp_path, requests[0])))
    found = sweep(requests, site, Serial())
    assert [(each.request.seed, each.state) for each in found] == [(1, "done"), (0, "done")]


def test_run_that_another_process_finishes_is_found(tmp_path: Path, monkeypatch):
    request = asked()[0]
    lock = held(tmp_path, request)

    def finished(seconds: float) -> None:
        """While this sweep sleeps, the other does the run."""
        lock.release()
        sweep([request], a_site(tmp_path), Serial())

    monkeypatch.setattr(attempts, "time", SimpleNamespace(sleep=finished))
    (outcome,) = sweep([request], a_site(tmp_path), Serial())
    assert outcome.state == "found"
    assert outcome.accuracy is not None


def test_sweep_with_a_budget_does_not_wait_beyond_it_for_another_process(tmp_path: Path):
    request = asked()[0]
    with held(tmp_path, request):
        (outcome,) = sweep([request], a_site(tmp_path, deadline=time.time() + 1.0), Serial())
    assert (outcome.state, outcome.message) == ("left", "another process is at it")


@pytest.mark.skipif(os.name != "posix", reason="locks are told apart by process")
def test_two_sweeps_at_once_share_the_runs(tmp_path: Path):
    words = "sweep --methods erm,mixup --splits digits --seeds 0-1 --set epochs=2 --device cpu"
    command = [sys.executable, "-m", "dcbench", *words.split(), "--results", str(tmp_path)]
    both = [
        subprocess.Popen([*command, "--json"], cwd=SOURCE, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    reports = [json.loads(each.communicate(timeout=200)[0]) for each in both]
    assert [each.returncode for each in both] == [0, 0]
    assert sum(each["counts"]["done"] for each in reports) == 4
    assert sum(each["counts"]["found"] for each in reports) == 4
    assert len(everything(tmp_path)) == 16
