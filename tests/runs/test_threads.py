"""How many threads a run has: one rule for every way to ask for it, and it is recorded."""

import json
import os
from pathlib import Path

import joblib
import pytest
import torch
from typer.testing import CliRunner

import dcbench
from dcbench.cli import app
from dcbench.config.protocol import load_protocol, protocol_names
from dcbench.data.source import Folder
from dcbench.leaderboard.rules_lock import changed_rules, freeze, frozen_text
from dcbench.records.files import read_record
from dcbench.runs import prepare
from dcbench.runs.execute import estimate
from dcbench.runs.machine import allowed_cores, threads_set
from dcbench.runs.plan import plan_run
from dcbench.runs.session import Session

CPU = torch.device("cpu")
QUICK = ("--protocol", "v1-lite", "--set", "epochs=1", "--device", "cpu")


@pytest.fixture(autouse=True)
def two_threads():
    """A process that has been using two threads, as PyTorch by itself uses all cores."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    assert torch.get_num_threads() == 2, "a command left another number of threads behind"
    torch.set_num_threads(before)


def threads_of(results: Path) -> list[int]:
    return [read_record(path).environment["threads"] for path in results.rglob("record.json")]


def command(*words: object) -> None:
    found = CliRunner().invoke(app, [str(word) for word in words])
    assert found.exit_code == 0, found.output


@pytest.mark.parametrize(("asked", "threads"), [([], 1), (["--threads", 2], 2)])
def test_run_sweep_and_notebook_have_the_threads_of_the_protocol_or_those_asked_for(
    tmp_path: Path, asked, threads
):
    erm = ("--results", tmp_path / "run", "--method", "erm", "--split", "digits")
    command("run", *erm, *QUICK, *asked)
    many = ("--results", tmp_path / "sweep", "--methods", "erm", "--splits", "digits")
    command("sweep", *many, *QUICK, *asked)
    dcbench.run(
        "erm",
        "digits",
        protocol="v1-lite",
        settings={"epochs": 1},
        device="cpu",
        threads=threads if asked else None,
        results=tmp_path / "notebook",
    )
    for name in ("run", "sweep", "notebook"):
        assert threads_of(tmp_path / name) == [threads], name
    hashes = {read_record(path).predictions.sha256 for path in tmp_path.rglob("record.json")}
    assert len(hashes) == 1


def test_one_thread_is_the_rule_of_digits_and_v1_lite_and_the_cores_are_that_of_v1():
    rules = {
        (name, recipe): entry.threads
        for name in protocol_names()
        for recipe, entry in load_protocol(name).recipes.items()
    }
    assert all(threads == 1 for (name, _), threads in rules.items() if name == "v1-lite")
    assert {
        recipe for (name, recipe), threads in rules.items() if threads == 1 and name == "v1"
    } == {"digits"}
    assert plan_run("erm", "cifair10").threads == "cores"
    assert plan_run("erm", "cifair10", protocol="v1-lite").threads == 1


def test_cores_are_those_that_the_process_may_use(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(joblib, "cpu_count", lambda: 6)
    assert allowed_cores() == 6
    for limit, cores in (("4", 4), ("64", 6), ("0", 6), ("many", 6)):
        monkeypatch.setenv("OMP_NUM_THREADS", limit)
        assert allowed_cores() == cores
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    with threads_set(CPU, "cores"):
        assert torch.get_num_threads() == 1


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="needs Linux")
def test_cores_are_bound_by_the_affinity_of_the_process(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    try:
        assert allowed_cores() == 1
    finally:
        os.sched_setaffinity(0, before)


def test_threads_are_no_rule_that_is_frozen_beside_rows():
    rules = freeze(load_protocol("v1"), {"cifair10": {"erm"}})
    entry = rules.recipes["cifair10"].model_copy(update={"threads": 1})
    before = rules.model_copy(update={"recipes": {"cifair10": entry}, "for_cpu": None})
    assert changed_rules(before, rules) == []
    assert frozen_text(before) == frozen_text(rules)
    assert "threads" not in frozen_text(rules)


def test_protocol_for_a_gpu_says_what_a_long_run_takes_on_a_cpu_and_offers_another(
    tmp_path: Path, monkeypatch, caplog
):
    plan, session = plan_run("erm", "digits"), Session(Folder(tmp_path), CPU)
    estimate(plan, session)
    assert "made for a CPU" not in caplog.text
    monkeypatch.setattr(prepare, "_LONG", 0.0)
    estimate(plan, session)
    [said] = [text for text in caplog.messages if "made for a CPU" in text]
    assert said.startswith("protocol v1 is made for a GPU: on this CPU the run takes about ")
    assert "--protocol v1-lite" in said
    caplog.clear()
    estimate(plan_run("erm", "digits", protocol="v1-lite"), session)
    assert "made for a CPU" not in caplog.text


def test_listing_of_protocols_has_the_threads():
    found = CliRunner().invoke(app, ["protocols", "v1", "--json"])
    threads = {row["recipe"]: row["threads"] for row in json.loads(found.stdout)}
    assert (threads["digits"], threads["cifair10"]) == (1, "cores")
