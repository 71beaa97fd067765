"""Worker processes of this machine: equal to the bit, and one that dies takes nothing with it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from dcbench.sweep.engines.base import Outcome, WorkerOptions
from dcbench.sweep.engines.loky import Loky
from dcbench.sweep.scheduler import sweep
from tests.sweep.engines.conftest import Deadly
from tests.sweep.engines.runs import (
    a_site,
    asked,
    everything,
    shown_in,
    states,
    until_trained,
)
from tests.sweep.test_scheduler import SOURCE, hashes


@pytest.fixture(scope="module")
def swept(deadly: Deadly, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Outcome]]:
    """What two workers leave of a sweep in which some of them are killed."""
    results = tmp_path_factory.mktemp("loky")
    deadly.marker.unlink()
    return results, sweep(deadly.requests(), a_site(results), Loky(WorkerOptions(workers=2)))


def test_all_runs_but_the_one_that_kills_are_done(swept, deadly: Deadly):
    assert states(swept[1]) == {
        (deadly.always, 0): "failed",
        (deadly.once, 0): "done",
        ("ic-mixup", 0): "done",
        ("erm", 0): "done",
        ("erm", 1): "done",
    }


def test_what_is_left_equals_what_the_serial_engine_leaves(swept, deadly: Deadly):
    assert everything(swept[0]) == deadly.expected


def test_run_that_kills_its_worker_twice_fails_with_the_signal(swept):
    messages = [each.message for each in swept[1] if each.state == "failed"]
    assert messages == ["lost twice: its worker was killed by SIGKILL, as where memory runs out"]


@pytest.mark.skipif(os.name != "posix", reason="processes are interrupted with signals")
def test_sweep_that_is_interrupted_stores_what_its_workers_are_at(tmp_path: Path):
    results, method = tmp_path / "results", shown_in(tmp_path / "shown")
    settings = "--splits digits --seeds 0-1 --engine loky --jobs 2 --device cpu"
    words = [*settings.split(), "--methods", method, "--results", str(results)]
    process = subprocess.Popen(
        [sys.executable, "-m", "dcbench", "sweep", *words],
        cwd=SOURCE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    until_trained(tmp_path / "shown", 2)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: the workers hear it too
    said = process.communicate(timeout=60)[1].decode()
    assert process.returncode == 130, said
    assert "Traceback" not in said
    assert len(list(results.rglob("checkpoint.pt"))) == 2
    requests = asked(methods=[method], seeds="0-1", settings={})
    sweep(requests, a_site(results), Loky(WorkerOptions(workers=2)))
    assert len(hashes(results)) == 2
