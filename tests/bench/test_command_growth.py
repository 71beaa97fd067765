"""The commands' cost by the number of runs: what is measured, and how it is told."""

import math

import pytest
from typer.testing import CliRunner

from dcbench.bench import command_growth
from dcbench.bench.command_growth import (
    COMMANDS,
    CommandGrowth,
    CommandReport,
    Cost,
    markdown,
    measure_commands,
)
from dcbench.bench.many_runs import RUNS_OF_A_METHOD, addresses, numbered_run, queue_of
from dcbench.cli import app


def grown(*seconds: float, amounts: tuple[int, ...] = (100, 1000, 10_000)) -> CommandGrowth:
    costs = tuple(Cost(each, 50.0) for each in seconds)
    return CommandGrowth("sweep", amounts, Cost(2.0, 40.0), costs)


@pytest.mark.parametrize(
    ("seconds", "exponent"),
    [
        ((2.1, 3.0, 12.0), 1.0),  # 2 s and 1 ms a run
        ((2.01, 3.0, 102.0), 2.0),  # 2 s and a microsecond for each pair of runs
        ((3.0, 2 + math.sqrt(10), 12.0), 0.5),  # 2 s and 0.1 s times the root
        ((0.81, 0.9, 1.8), 1.0),  # 0.8 s and 0.1 ms a run
        ((2.1, 2.15, 12.0), None),  # a fortieth more: that may be chance
        ((2.1, 3.0, 2.9), None),
        ((2.0, 2.5, 2.9), None),  # slower and slower: no power at all
    ],
)
def test_exponent_is_that_of_a_power_beside_what_the_start_takes(seconds, exponent):
    found = grown(*seconds).exponent
    if exponent is None:
        assert found is None
    else:
        assert found is not None
        assert found.value == pytest.approx(exponent)
        assert 0 < found.uncertainty < 0.15


def test_exponent_of_uneven_amounts():
    # 1 s and 1 ms a run; 1 s and a millionth of the square
    for p, seconds in ((1.0, (1.1, 2.0, 4.0)), (2.0, (1.01, 2.0, 10.0))):
        found = grown(*seconds, amounts=(100, 1000, 3000)).exponent
        assert found is not None
        assert found.value == pytest.approx(p)


def test_two_amounts_have_no_exponent():
    assert grown(2.1, 3.0, amounts=(100, 1000)).exponent is None


def test_uncertainty_of_an_exponent_is_that_of_the_worst_case_of_the_noise():
    # 0.8 s and 0.1 ms a run, each known to 0.015 s: (1.815 - 0.885) / (0.885 - 0.825) at the worst
    costs = tuple(Cost(seconds, 50.0, noise=0.015) for seconds in (0.81, 0.9, 1.8))
    growth = CommandGrowth("show", (100, 1000, 10_000), Cost(0.8, 40.0), costs)
    far = math.log10(0.93 / 0.06) - 1
    assert far == pytest.approx(0.1903, abs=1e-4)
    assert growth.exponent is None, "beyond 0.15"
    quiet = CommandGrowth("show", growth.amounts, growth.start_up, grown(0.81, 0.9, 1.8).costs)
    assert quiet.exponent is not None
    # 1 %: 0.0081, 0.009 and 0.018 s
    worst = math.log10((1.818 - 0.891) / (0.891 - 0.8181)) - 1
    assert quiet.exponent.uncertainty == pytest.approx(worst)


def test_noise_is_what_the_second_best_time_took_longer():
    best = command_growth._best([Cost(1.5, 51.0), Cost(1.2, 50.0), Cost(1.25, 52.0)])
    assert best == Cost(1.2, 50.0, pytest.approx(0.05))
    assert command_growth._best([Cost(9.0, 50.0)]) == Cost(9.0, 50.0)


def test_table_has_every_amount_with_the_machine_and_the_date():
    text = markdown(CommandReport("a CPU", "2026-11-27", (grown(2.1, 3.0, 12.04),)))
    assert "Measured on 2026-11-27, a CPU;" in text
    assert "| command | 1 run | 100 runs | 1,000 runs | 10,000 runs | exponent |" in text
    row = (
        "| `sweep` | 2.0 s, 40 MiB | 2.1 s, 50 MiB | 3.0 s, 50 MiB | 12.0 s, 50 MiB | 1.00 ± 0.03 |"
    )
    assert row in text


def test_runs_are_all_different_and_a_queue_asks_for_each():
    runs = [numbered_run(number) for number in range(3 * RUNS_OF_A_METHOD + 15)]
    assert len(set(runs)) == len(set(addresses(len(runs)))) == len(runs)
    asked = [
        (block["methods"][0], block["subsets"], seed)
        for block in queue_of(len(runs))["blocks"]
        for first, last in [(str(block["seeds"]) + "-").split("-")[:2]]
        for seed in range(int(first), int(last or first) + 1)
    ]
    assert asked == runs


def test_commands_are_run_on_results_that_hold(tmp_path, monkeypatch):
    monkeypatch.setattr(command_growth, "REPEATS", 1)
    names = ("collect", "leaderboard build", "leaderboard check")
    commands = {name: COMMANDS[name] for name in names}
    monkeypatch.setattr(command_growth, "COMMANDS", commands)
    report = measure_commands([2], tmp_path)
    assert [growth.command for growth in report.growths] == list(commands)
    assert all(cost > 0 for growth in report.growths for each in growth.costs for cost in each[:2])
    records = [path.parent.relative_to(tmp_path / "runs") for path in tmp_path.rglob("record.json")]
    assert sorted(records) == sorted(addresses(2))


@pytest.mark.parametrize("runs", ["", "1000,100", "100,100", "1,100", "many"])
def test_numbers_of_runs_that_do_not_rise_are_wrong_use(runs, tmp_path):
    done = CliRunner().invoke(app, ["growth", "--runs", runs, "--folder", str(tmp_path)])
    assert done.exit_code == 2
    assert "write rising numbers from 2" in done.output
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--folder", "runs"], "--folder runs: is for --runs"),
        (["--runs", "100,1000", "--threads", "2"], "--threads 2: is for growth without --runs"),
        (["--runs", "100,1000", "--device", "cpu"], "--device cpu: is for growth without --runs"),
    ],
)
def test_option_of_the_other_measurement_is_wrong_use(words, said):
    done = CliRunner().invoke(app, ["growth", *words])
    assert (done.exit_code, said in done.output) == (2, True)


def test_command_prints_the_table(monkeypatch, tmp_path):
    asked = []
    report = CommandReport("a CPU", "2026-11-27", (grown(2.1, 3.0, 12.0),))
    monkeypatch.setattr(
        command_growth, "measure_commands", lambda *given: asked.append(given) or report
    )
    words = ["growth", "--runs", "100, 1000,10000", "--folder", str(tmp_path)]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    assert markdown(report) in done.output
    assert asked == [([100, 1000, 10_000], tmp_path)]
