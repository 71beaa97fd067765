"""A real cluster of two workers: equal to the bit, and one that dies takes nothing with it."""

from __future__ import annotations

import logging
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import filelock
import pytest

from dcbench.errors import RunError
from dcbench.records.files import RECORD
from dcbench.records.store import LOCK
from dcbench.sweep.engines.base import Outcome
from dcbench.sweep.scheduler import sweep
from tests.sweep.engines.conftest import ONCE, Deadly
from tests.sweep.engines.runs import a_site, asked, everything, states
from tests.sweep.test_scheduler import SOURCE

distributed = pytest.importorskip("distributed")

from dcbench.sweep.engines.dask import Dask, DaskOptions  # noqa: E402


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """Of the scheduler of a cluster."""
    import dask.config

    with (
        dask.config.set({"distributed.scheduler.allowed-failures": 0}),
        distributed.LocalCluster(
            n_workers=2,
            threads_per_worker=1,
            dashboard_address="127.0.0.1:0",
            silence_logs=logging.CRITICAL,
        ) as cluster,
    ):
        yield cluster.scheduler_address


@pytest.fixture(scope="module")
def swept(
    deadly: Deadly, address: str, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, list[Outcome]]:
    """What the cluster leaves of a sweep in which some of its workers are killed."""
    results = tmp_path_factory.mktemp("dask")
    deadly.marker.unlink()
    engine = Dask(DaskOptions(address=address, results="sent"))
    return results, sweep(deadly.requests(), a_site(results), engine)


def test_all_runs_but_the_one_that_kills_are_done(swept, deadly: Deadly):
    assert states(swept[1]) == {
        (deadly.always, 0): "failed",
        (deadly.once, 0): "done",
        ("ic-mixup", 0): "done",
        ("erm", 0): "done",
        ("erm", 1): "done",
    }


def test_what_is_sent_back_equals_what_the_serial_engine_leaves(swept, deadly: Deadly):
    assert everything(swept[0]) == deadly.expected


def test_run_that_kills_its_process_twice_fails_with_the_signal(swept):
    messages = [each.message for each in swept[1] if each.state == "failed"]
    assert messages == ["lost twice: its worker was killed by SIGKILL, as where memory runs out"]


def test_run_whose_worker_of_the_cluster_is_killed_is_tried_again(
    address: str, deadly: Deadly, tmp_path: Path, caplog
):
    method = tmp_path / "orphan.py"
    source = ONCE.format(marker=str(tmp_path / "orphan"))
    method.write_text(source.replace("getpid", "getppid").replace("Once", "Orphan"))
    engine = Dask(DaskOptions(address=address))
    outcomes = sweep(asked(methods=[f"{method}:Orphan"]), a_site(tmp_path / "results"), engine)
    # The process of the killed worker may end the run before it notices that it is alone.
    assert [each.state in ("done", "found") for each in outcomes] == [True]
    assert re.search(r"its worker tcp://[\d.:]+ died; it is tried once more", caplog.text)


def test_folder_that_is_shared_is_written_by_the_workers(address: str, tmp_path: Path, deadly):
    outcomes = sweep(asked(seeds="1"), a_site(tmp_path), Dask(DaskOptions(address=address)))
    assert [each.state for each in outcomes] == ["done"]
    found = everything(tmp_path)
    assert len(found) == 4
    assert found.items() <= deadly.expected.items()


def test_job_of_a_sweep_that_was_killed_is_left(address: str, tmp_path: Path):
    options, results = tmp_path / "options.yaml", tmp_path / "results"
    options.write_text(f"address: {address}\n")
    words = "sweep --methods erm --splits digits --set epochs=5000 --device cpu --engine dask"
    command = [sys.executable, "-m", "dcbench", *words.split(), "--results", str(results)]
    process = subprocess.Popen([*command, "--engine-options", str(options)], cwd=SOURCE)
    deadline = time.monotonic() + 120
    try:
        while not (locks := list(results.rglob(LOCK))):
            assert time.monotonic() < deadline, "no run has begun"
            time.sleep(0.1)
    finally:
        process.kill()
        process.wait()
    with filelock.FileLock(locks[0], timeout=60):
        assert not locks[0].with_name(RECORD).exists()


def test_budget_ends_a_sweep_whose_cluster_has_no_workers(tmp_path: Path, monkeypatch):
    monkeypatch.setattr("dcbench.sweep.engines.dask._GRACE", 0.5)
    with distributed.LocalCluster(n_workers=0, dashboard_address="127.0.0.1:0") as empty:
        site = a_site(tmp_path, deadline=time.time() + 2.0)
        outcomes = sweep(
            asked(seeds="0-1"), site, Dask(DaskOptions(address=empty.scheduler_address))
        )
    assert {each.request.seed: each.state for each in outcomes} == {0: "left", 1: "left"}


def test_scheduler_that_does_not_answer_is_named(tmp_path: Path, monkeypatch):
    monkeypatch.setattr("dcbench.sweep.engines.dask._TO_CONNECT", 1.0)
    engine = Dask(DaskOptions(address="tcp://127.0.0.1:9"))
    with pytest.raises(RunError, match=r"no scheduler of Dask answers at tcp://127\.0\.0\.1:9"):
        sweep(asked(), a_site(tmp_path), engine)
