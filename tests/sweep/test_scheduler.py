import json
import logging
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import filelock
import pytest

import dcbench
from dcbench.data.source import Folder
from dcbench.errors import OutOfTimeError
from dcbench.records import files, store
from dcbench.records.checkpoint import Checkpoint
from dcbench.records.store import Store
from dcbench.runs import execute as execute_module
from dcbench.runs.execute import execute, execute_together
from dcbench.runs.plan import plan_run
from dcbench.runs.session import Session
from dcbench.sweep.engines.base import Site
from dcbench.sweep.engines.serial import Serial
from dcbench.sweep.forecast import forecast
from dcbench.sweep.grid import Block, Request, plan_of, requests_of
from dcbench.sweep.scheduler import sweep
from tests.runs.test_execute import CPU

SOURCE = Path(dcbench.__file__).parents[1]


def a_site(results: Path, **changes) -> Site:
    site = Site(Store(results), Folder(results / "no-data"), "cpu", threads=1, deadline=None)
    return replace(site, **changes)


def asked(**changes) -> list[Request]:
    given = {"methods": ["erm", "ic-mixup"], "splits": ["digits"], "seeds": "0-1"}
    given["settings"] = {"epochs": 2}
    return requests_of([Block.model_validate({**given, **changes})])


def hashes(results: Path) -> dict[str, tuple[str, str]]:
    found = {}
    for path in sorted(results.rglob("record.json")):
        record = files.read_record(path)
        address = str(path.parent.relative_to(results))
        found[address] = (record.predictions.sha256, record.model.sha256)
    return found


def test_packs_and_single_runs_leave_the_same_predictions_and_weights(tmp_path: Path):
    requests = asked()
    for request in requests:
        execute(plan_of(request), Store(tmp_path / "alone"), Session(Folder(tmp_path), CPU))
    sweep(requests, a_site(tmp_path / "serial"), Serial())
    sweep(requests, a_site(tmp_path / "packed"), Serial(), pack=3)
    alone = hashes(tmp_path / "alone")
    assert len(alone) == 4
    for name in ("serial", "packed"):
        assert hashes(tmp_path / name) == alone, name


def test_nothing_is_done_twice(tmp_path: Path):
    first = sweep(asked(seeds="0"), a_site(tmp_path), Serial())
    assert [outcome.state for outcome in first] == ["done", "done"]
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("record.json")}
    second = sweep(asked(seeds="0-1", methods=["erm"]), a_site(tmp_path), Serial())
    assert [outcome.state for outcome in second] == ["found", "done"]
    assert all(path.stat().st_mtime_ns == stamp for path, stamp in before.items())


def test_missing_run_is_looked_up_by_the_sweep_and_again_under_its_lock(tmp_path, monkeypatch):
    find, looked_up = Store.find, []
    monkeypatch.setattr(Store, "find", lambda self, run: looked_up.append(run) or find(self, run))
    sweep(asked(seeds="0", methods=["erm"]), a_site(tmp_path), Serial())
    assert len(looked_up) == 2


BROKEN = """
from dcbench.methods import Method, register

@register("broken")
class Broken(Method):
    \"\"\"Fails in its first step.\"\"\"

    def loss(self, network, batch):
        raise ValueError("of no use")
"""


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("methods") / "broken.py"
    path.write_text(BROKEN)
    return f"{path}:Broken"


@pytest.mark.parametrize("pack", [1, 4])
def test_run_that_fails_stops_no_other(tmp_path: Path, broken, pack):
    requests = asked(methods=["erm", broken, "mixup"], seeds="0")
    outcomes = sweep(requests, a_site(tmp_path / "r"), Serial(), pack=pack)
    assert [outcome.state for outcome in outcomes] == ["done", "failed", "done"]
    assert outcomes[1].message.startswith("method broken: ")
    assert outcomes[1].message.endswith("line 9, in loss: ValueError: of no use")
    assert 0 <= outcomes[0].accuracy <= 1


def test_data_that_is_missing_fails_its_runs_alone(tmp_path: Path):
    blocks = [
        Block(methods=("erm",), splits=(split,), settings={"epochs": 1}, expected="")
        for split in ("cifar10-lt-100", "digits")
    ]
    outcomes = sweep(requests_of(blocks), a_site(tmp_path), Serial())
    assert [outcome.state for outcome in outcomes] == ["failed", "done"]
    assert "no-data" in outcomes[0].message


def test_every_run_that_ends_is_told_with_the_time_that_is_left(tmp_path: Path, caplog):
    with caplog.at_level(logging.INFO, logger="dcbench.sweep"):
        sweep(asked(seeds="0"), a_site(tmp_path), Serial())
    told = [r.getMessage() for r in caplog.records if r.name == "dcbench.sweep.scheduler"]
    assert told[0] == "2 runs: 0 recorded, 2 to do"
    assert told[1].startswith("[1/2] erm[epochs=2] on digits, subset 0, seed 0: accuracy ")
    assert told[1].endswith(" left")
    assert told[2].endswith("; none left")


def test_run_that_does_not_fit_is_left_and_goes_on_when_there_is_time(tmp_path: Path):
    requests = asked(methods=["erm"], seeds="0")
    late = sweep(requests, a_site(tmp_path, deadline=time.time()), Serial())
    assert [outcome.state for outcome in late] == ["left"]
    assert hashes(tmp_path) == {}
    assert [outcome.state for outcome in sweep(requests, a_site(tmp_path), Serial())] == ["done"]


def test_run_that_is_cut_off_by_its_budget_keeps_its_epochs(tmp_path: Path, monkeypatch):
    monkeypatch.setattr("dcbench.runs.execute.SHORTEST_SLICE", 0.0)
    plan = plan_run("erm", "digits", settings={"epochs": 5000})
    session, deadline = Session(Folder(tmp_path), CPU), time.monotonic() + 3
    outcome = execute_together([plan], Store(tmp_path), session, deadline=deadline)[0].ended
    assert isinstance(outcome, OutOfTimeError)
    state = Checkpoint(tmp_path / plan.folder, plan.identity).read()
    assert state is not None
    assert state["progress"]["epoch"] > 0


def test_forecast_counts_what_is_there_and_writes_nothing(tmp_path: Path):
    sweep(asked(seeds="0"), a_site(tmp_path), Serial())
    half = tmp_path / plan_of(asked(seeds="1", methods=["erm"])[0]).folder
    half.mkdir(parents=True)
    (half / files.CHECKPOINT).touch()
    before = sorted(tmp_path.rglob("*"))
    erm, mixup = forecast(asked(seeds="0-3"), Store(tmp_path), Session(Folder(tmp_path), CPU))
    assert sorted(tmp_path.rglob("*")) == before
    assert (erm.recorded, erm.half_done, erm.missing) == (1, 1, 2)
    assert (mixup.recorded, mixup.half_done, mixup.missing) == (1, 0, 3)
    assert erm.seconds == pytest.approx(3 * erm.seconds_each)
    assert erm.seconds_each > 0


def test_forecast_counts_runs_in_whose_place_something_else_stands(tmp_path: Path):
    sweep(asked(seeds="0", methods=["erm"]), a_site(tmp_path), Serial())
    (path,) = tmp_path.rglob("record.json")
    path.write_text(path.read_text().replace('"weight_decay": 0.0005', '"weight_decay": 0.25'))
    requests = asked(methods=["erm"])
    (erm,) = forecast(requests, Store(tmp_path), Session(Folder(tmp_path), CPU))
    assert (erm.recorded, erm.half_done, erm.missing, erm.refused) == (0, 0, 1, 1)
    (failed, done) = sweep(requests, a_site(tmp_path), Serial())
    assert (failed.state, done.state) == ("failed", "done")
    assert [*map(str, erm.problems)] == [failed.message]


def test_dry_run_tells_of_all_splits_though_one_lacks_its_images(tmp_path: Path):
    words = ["--methods", "erm", "--splits", "cifar10-lt-100,digits", "--seeds", "0-1", "--dry-run"]
    words += ["--set", "epochs=1", "--engine", "loky", "--jobs", "64", "--json"]
    done = run_cli("sweep", *words, "--data", str(tmp_path / "no-data"), results=tmp_path / "r")
    assert done.returncode == 3, done.stderr
    report = json.loads(done.stdout)
    cifar, digits = report["runs"]
    assert (cifar["missing"], cifar["seconds"]) == (2, None)
    assert "no-data" in cifar["problems"][0]
    assert (digits["missing"], digits["problems"]) == (2, [])
    assert digits["seconds"] > 0
    assert report["workers"] == 4  # that have a run


def run_cli(*words: str, results: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "dcbench", *words, "--results", str(results)]
    environment = {**os.environ, "PYTHONPATH": str(SOURCE)}
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)


def test_command_reports_as_json_and_ends_with_1_if_a_run_failed(tmp_path: Path, broken):
    words = ["sweep", "--splits", "digits", "--set", "epochs=1", "--json"]
    done = run_cli(*words, "--methods", f"erm,{broken}", results=tmp_path / "r")
    assert done.returncode == 1, done.stderr
    report = json.loads(done.stdout)
    assert report["counts"] == {"done": 1, "found": 0, "failed": 1, "left": 0}
    assert report["runs"][0]["method"] == "erm"
    assert "Traceback" not in done.stderr


def test_runs_that_fail_for_one_reason_stand_in_one_line(tmp_path: Path, broken):
    words = ["sweep", "--splits", "digits", "--set", "epochs=1", "--seeds", "0-1", "--quiet"]
    done = run_cli(*words, "--methods", f"erm,{broken}", results=tmp_path / "r")
    assert done.returncode == 1, done.stderr
    failed = [line for line in done.stdout.splitlines() if "  failed  " in line]
    assert len(failed) == 1
    assert "subset 0, seed 0, and 1 more" in failed[0]
    assert "2 done, 0 found, 2 failed, 0 left" in done.stderr


KILLED = """
import sys, dcbench.training.loop
dcbench.training.loop.save_interval = lambda saving: 0.0
from dcbench.cli import main
sys.argv = ["dcbench", "sweep", "--methods", "erm,mixup", "--splits", "digits", "--results",
            sys.argv[1], "--device", "cpu"]
main()
"""


def test_run_is_not_failed_by_the_error_that_a_library_makes_of_an_interrupt(tmp_path, monkeypatch):
    def interrupted(*arguments, **options):
        try:
            signal.raise_signal(signal.SIGTERM)
        except KeyboardInterrupt as problem:
            begun.append(problem)
            raise TypeError("of a library") from None

    begun: list[KeyboardInterrupt] = []
    monkeypatch.setattr(execute_module, "finish", interrupted)
    with pytest.raises(KeyboardInterrupt):
        sweep(asked(seeds="0-1"), a_site(tmp_path), Serial())
    assert len(begun) == 1  # the next run is not begun


def test_interrupted_sweep_goes_on_where_it_was(tmp_path: Path):
    environment = {**os.environ, "PYTHONPATH": str(SOURCE)}
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(tmp_path)], stderr=subprocess.PIPE, env=environment
    )
    second = tmp_path / "v1" / "digits" / "subset-0" / "mixup" / "seed-0"
    deadline = time.monotonic() + 120
    while not (second / "checkpoint.pt").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    done = run_cli("sweep", "--methods", "erm,mixup", "--splits", "digits", results=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "1 done, 1 found" in done.stderr
    assert len(hashes(tmp_path)) == 2


@pytest.mark.skipif(os.name != "posix", reason="processes are killed with signals")
def test_workers_of_a_sweep_that_was_killed_do_not_train_on(tmp_path: Path):
    flags = "--methods erm --splits digits --seeds 0-1 --set epochs=5000 --engine loky --jobs 2"
    process = subprocess.Popen(
        [sys.executable, "-m", "dcbench", "sweep", *flags.split(), "--results", str(tmp_path)],
        stderr=subprocess.DEVNULL,
        cwd=SOURCE,
    )
    deadline = time.monotonic() + 240
    try:
        while len(locks := list(tmp_path.rglob(store.LOCK))) < 2:
            assert time.monotonic() < deadline, "no run has begun"
            time.sleep(0.1)
    finally:
        process.kill()
        process.wait()
    for lock in locks:
        with filelock.FileLock(lock, timeout=60):
            assert not lock.with_name(files.RECORD).exists()
