"""A selftest that finds nothing says something only if it would find what is wrong."""

import json
import random
import signal
from pathlib import Path

import pytest

from dcbench.errors import DataError, RunError
from dcbench.records.files import read_record
from dcbench.records.store import locked
from dcbench.selftest import damage, processes, signals
from dcbench.selftest.damage import Kind, answers, mutated
from dcbench.selftest.processes import Commands, Ended, Handicap
from dcbench.selftest.remains import differences, left_behind, records
from dcbench.selftest.trial import Place, Trial, outcomes
from tests.progress import ToldProgress
from tests.records.test_collect import put
from tests.selftest import programs

linux = pytest.mark.skipif(not processes.PROC.is_dir(), reason="needs Linux's /proc")


@pytest.fixture
def results(tmp_path: Path) -> Path:
    put(tmp_path / "results", seed=0)
    put(tmp_path / "results", seed=1)
    return tmp_path / "results"


def test_results_do_not_differ_from_themselves(results: Path):
    assert differences(results, records(results)) == []
    assert left_behind(results) == []


def edit(results: Path, **changes: object) -> None:
    path = results / "v1/digits/subset-0/erm/seed-1/record.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (lambda run: (run / "record.json").unlink(), "has no record"),
        (lambda run: (run / "predictions.npz").write_bytes(b"PK"), "predictions.npz"),
        (lambda run: (run / "model.safetensors").unlink(), "model.safetensors"),
        (
            lambda run: (run / "history.csv").write_text("epoch,loss\n0,9.5\n"),
            "left: losses is ['9.5'] instead of ['",
        ),
        (lambda run: edit(run.parents[4], threads=7, status="custom"), "record.json"),
        (
            lambda run: edit(run.parents[4], status="custom", departures=["a"]),
            "left: status is custom instead of protocol",
        ),
        (lambda run: put(run.parents[4], seed=7), "was not asked for"),
    ],
)
def test_loss_is_named(results: Path, harm, said: str):
    expected = records(results)
    harm(results / "v1/digits/subset-0/erm/seed-1")
    assert said in "; ".join(differences(results, expected))


def test_time_cost_and_commit_of_a_run_are_no_loss_but_its_versions_are(results: Path):
    expected = records(results)
    record = read_record(results / "v1/digits/subset-0/erm/seed-1")
    cost = record.cost.model_copy(update={"train_seconds": 99.0})
    edit(results, cost=cost.model_dump(mode="json"), started="2030-01-01T00:00:00+00:00")
    edit(results, environment={**record.environment, "commit": "0" * 40})
    assert differences(results, expected) == []
    edit(results, environment={**record.environment, "torch": "0.1"})
    assert "left: environment.torch is 0.1 instead of" in "; ".join(differences(results, expected))


def test_lock_that_is_still_held_is_named(results: Path):
    expected = records(results)
    with locked(results / "v1/digits/subset-0/erm/seed-1"):
        assert "lock is still held" in "; ".join(differences(results, expected))


@pytest.mark.parametrize("name", [".record.json.12ab.unfinished", "checkpoint.pt"])
def test_file_that_nobody_needs_is_named(results: Path, name: str):
    (results / "v1/digits/subset-0/erm/seed-1" / name).touch()
    assert name in "; ".join(left_behind(results))


def test_command_ends_with_what_it_said(tmp_path: Path):
    ended = Commands(programs.says, tmp_path).run("run", "--seed", 3)
    assert ended == Ended(3, "run --seed 3", "error: of one line\n")
    assert ended.refused(3) == []
    assert "exit code 3 and not 0 or 1; it said: error: of one line" in ended.unlike(0, 1)[0]


def test_second_line_of_an_error_is_too_many():
    said = Ended(1, "", "error: one\nerror: two\n")
    assert said.refused(1) == ["2 lines of errors and not one"]


def test_traceback_of_a_command_is_named(tmp_path: Path):
    wrong = Commands(programs.raises, tmp_path).run().unlike(0, 1, 2, 3, 99)
    assert wrong == ["a traceback: ValueError: not foreseen"]


def test_command_that_hangs_is_ended_and_named(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(processes, "PATIENCE", 0.3)
    command = Commands(programs.hangs, tmp_path).begin()
    with pytest.raises(RunError, match="hangs"):
        command.ended()
    assert command.process.exitcode == -signal.SIGKILL


@linux
def test_process_that_is_left_behind_is_named(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(processes, "TO_LEAVE", 0.3)
    commands = Commands(programs.leaves_a_process, tmp_path)
    assert commands.run().code == 0
    assert "time.sleep(60)" in commands.orphans()[0]
    commands.stop()
    assert commands.orphans() == []


def test_streams_of_a_command_are_what_was_asked_for(tmp_path: Path):
    commands = Commands(programs.says, tmp_path)
    assert "AttributeError" in commands.run(handicap=Handicap(closed=(1,))).err
    assert commands.run(handicap=Handicap(unread=True)).out == ""


def signalled(program, tmp_path: Path, monkeypatch, count: int = 3) -> list[str]:
    put(tmp_path / "prepared", seed=0)
    monkeypatch.setattr(signals, "SIGNALS", (signal.SIGTERM,))
    place = Place(Commands(program, tmp_path / "said"), tmp_path)
    found = list(signals.signalled(("run",), place, count, random.Random(3)))
    assert sum(each.how == "SIGTERM to it" for each in found) == count
    return [line for each in found for line in each.lost]


@linux
def test_signals_find_nothing_where_nothing_is_lost(tmp_path: Path, monkeypatch):
    assert signalled(programs.works, tmp_path, monkeypatch) == []


@linux
@pytest.mark.parametrize(
    ("program", "said"),
    [(programs.loses, "left: losses is [] instead of ['2.5']"), (programs.litters, ".unfinished")],
)
def test_signals_find_a_command_that_does_not_bear_them(tmp_path, monkeypatch, program, said):
    assert said in "; ".join(signalled(program, tmp_path, monkeypatch))


@pytest.mark.parametrize("count", [1, 3, 4, 10, 200])
def test_signals_are_as_many_as_asked_for(count: int):
    times = [each.times for each in signals.trials(count)]
    assert sum(times) == count
    assert len(times) == min(count, 4)


def two_lines(path: Path) -> None:
    raise DataError("one\ntwo")


def index_error(path: Path) -> None:
    path.read_bytes()[10**9]


def in_time(path: Path) -> None:
    raise DataError("it is damaged")


def writes(path: Path) -> None:
    path.with_name("other").touch()


def slowly(path: Path) -> None:
    sum(range(300_000))


@pytest.mark.parametrize(
    ("read", "said"),
    [(two_lines, "one line"), (index_error, "IndexError"), (writes, "other"), (slowly, "longer")],
)
def test_reader_that_answers_otherwise_is_named(tmp_path: Path, monkeypatch, read, said: str):
    monkeypatch.setattr(damage, "SECONDS", 0.001 if read is slowly else 60.0)
    tried = list(answers(Kind(b"honest", read), range(3), tmp_path / "file"))
    assert said in "; ".join(line for each in tried for line in each.lost)


def test_reader_that_grows_is_named(tmp_path: Path, monkeypatch):
    kept: list[bytes] = []
    # The process's own peak may be that of an earlier test, far above.
    monkeypatch.setattr(damage, "GROWTH", 1 << 20)
    monkeypatch.setattr(damage, "_grown_to", lambda: sum(map(len, kept)))
    kind = Kind(b"honest", lambda path: kept.append(b"x" * (1 << 20)))
    assert "has grown" in "; ".join(next(answers(kind, [0], tmp_path / "file")).lost)


def test_reader_that_refuses_in_a_line_is_fine(tmp_path: Path):
    tried = list(answers(Kind(b"honest", in_time), range(3), tmp_path / "file"))
    assert [(each.how, list(each.lost)) for each in tried] == [("refused", [])] * 3


def test_damage_of_a_number_is_the_same_and_of_most_numbers_another():
    honest = bytes(range(256))
    assert mutated(honest, 5) == mutated(honest, 5)
    assert len({mutated(honest, number) for number in range(100)}) > 90


def test_trial_that_fails_hides_no_other_and_is_lost(tmp_path: Path):
    def fails(place, times, chance):
        raise RunError("it cannot")
        yield

    def holds(place, times, chance):
        yield from [("so", [])] * times

    shown = ToldProgress()
    place = Place(Commands(programs.says, tmp_path / "said"), tmp_path)
    first, second = outcomes([Trial("one", 1, fails), Trial("other", 3, holds)], place, shown)
    assert (first.tried, first.lost) == (0, ["it cannot"])
    assert (second.tried, second.lost, second.how) == (3, [], {"so": 3})
    assert shown.said[-1] == "closed"
