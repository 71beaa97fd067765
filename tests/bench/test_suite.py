import json
import logging

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from dcbench.bench import suite as suite_module
from dcbench.bench import worker
from dcbench.bench.cases import CASES, Comparison, Pixels
from dcbench.bench.meters import TimedBlock
from dcbench.bench.report import summarize
from dcbench.bench.suite import plan_suite, run_suite
from dcbench.bench.table import COLUMNS, conclusion, rows, title
from dcbench.bench.whole_run import Extras
from dcbench.bench.worker import ARMS, COMPILED, Assignment, Measurements, Start
from dcbench.cli import app
from dcbench.data.splits import load_split
from dcbench.errors import RunError

CPU = torch.device("cpu")
TINY = ("--set", "model=digits-cnn", "--set", "batch_size=25")


@pytest.fixture(autouse=True)
def threads():
    """The command sets the number of threads for its estimate."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def bench(*arguments: object):
    return CliRunner().invoke(app, ["bench", *map(str, arguments)])


def a_session(fast=1.0, plain=1.25, again=1.0, load=0.0, pairs=8) -> Measurements:
    seconds = dict(zip(ARMS, (fast, plain, again), strict=True))
    return Measurements(
        steps=2,
        threads=1,
        blocks={
            arm: [TimedBlock(seconds=each, cpu_seconds=each, other_load=load)] * pairs
            for arm, each in seconds.items()
        },
        matmul=80e9,
        convolution=70e9,
        parts={"draws": 0.001, "batch": 0.01, "optimizer": 0.014},
        feed={"fast": 90000.0, "plain": 5000.0},
        evaluation={"fast": 500.0, "plain": 400.0},
        extras=Extras(metrics=0.5, checkpoint=0.2),
    )


def a_result(*sessions: Measurements):
    start = Start(seconds=2.0, peak_bytes=10**9, device_peak_bytes=None)
    return summarize(Comparison(case="resnet-32"), "cpu", sessions, {"fast": start, "plain": start})


def test_compiled_loop_is_compared_with_the_one_that_is_not():
    session = a_session(fast=1.0)
    assert a_result(session).compiled is None
    half = [TimedBlock(seconds=0.8, cpu_seconds=0.5, other_load=0.0)] * 8
    measured = session.model_copy(update={"blocks": {**session.blocks, COMPILED: half}})
    result = a_result(measured, measured)
    assert result.compiled is not None
    assert result.compiled.images_per_second.median == pytest.approx(2 * 128 / 0.8)
    assert result.compiled.speed.value == pytest.approx(1.25)
    assert result.compiled.cpu_speed.value == pytest.approx(2.0)
    assert ("by CPU time", None, None, "2.000 [2.000, 2.000] of dcbench") in rows(result)
    assert result.speed == a_result(session, session).speed


def test_figures_follow_from_the_blocks():
    result = a_result(a_session(), a_session(), a_session())
    assert result.fast.images_per_second.median == pytest.approx(128 / 0.5)
    assert result.plain.step_ms.quartiles == (pytest.approx(625), pytest.approx(625))
    assert result.speed.value == pytest.approx(1.25)
    assert result.control["wall"].value == 1
    assert result.fast.matmul_share == pytest.approx(3 * 0.1376e9 * 128 / 0.5 / 80e9, rel=5e-3)
    assert result.step_shares == pytest.approx({"draws": 0.002, "batch": 0.02, "optimizer": 0.028})
    assert result.verdict.outcome == "CLEAN"


def test_shares_of_a_run_are_those_of_its_steps_evaluation_metrics_and_checkpoints():
    # ResNet-32 on cifar10-lt-100: 200 epochs of 97 steps of 0.5 s make 9,700 s, in which 324
    # checkpoints of 0.2 s are written; 60,032 images at 500 a second; metrics 0.5 s.
    shares = a_result(a_session()).run_shares
    whole = 9700 + 324 * 0.2 + 60032 / 500 + 0.5
    assert shares == pytest.approx(
        {
            "draws": 0.002 * 9700 / whole,
            "batch": 0.02 * 9700 / whole,
            "optimizer": 0.028 * 9700 / whole,
            "checkpoints": 64.8 / whole,
            "evaluation": 120.064 / whole,
            "metrics": 0.5 / whole,
        }
    )


def test_images_of_a_case_are_those_of_its_split():
    for case, split in (("wrn-16-8", "cifair10"), ("resnet-32", "cifar10-lt-100")):
        found = load_split(split)
        assert CASES[case].train_images == len(found.train) + len(found.val)
        assert CASES[case].recipe == found.config.recipe


def test_a_process_that_differs_from_itself_makes_it_noisy_and_the_interval_wide():
    result = a_result(*(a_session(again=1.1) for _ in range(3)))
    assert result.verdict.outcome == "NOISY"
    assert result.speed.low == pytest.approx(1.25 / 1.1)


def test_a_neighbour_makes_it_noisy():
    result = a_result(*(a_session(load=0.4) for _ in range(3)))
    assert result.verdict.outcome == "NOISY"


def test_table_has_a_cell_for_every_column_and_names_its_settings():
    result = a_result(a_session())
    assert all(len(row) == len(COLUMNS) for row in rows(result))
    cells = " ".join(str(cell) for row in rows(result) for cell in row)
    assert "1.250 [1.250, 1.250]" in cells
    assert "256.0 (256.0–256.0)" in cells
    assert "resnet-32, batch 128, float32, cpu, threads: 1; 1 x 8 pairs" in title(result)
    assert conclusion(result).startswith("CLEAN: ")
    assert "one process only" in conclusion(result)
    assert "one process only" not in conclusion(a_result(a_session(), a_session()))


class Silent:
    """A loop that notes in which order it is asked."""

    def __init__(self, name: str, asked: list[str]) -> None:
        self.name, self.asked = name, asked

    def train(self, steps: int) -> None:
        self.asked.append(self.name)

    def evaluate(self, count: int) -> None:
        self.asked.append(f"{self.name} {count}")


def test_blocks_run_forwards_and_backwards_in_turn(caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.INFO, "dcbench")
    asked: list[str] = []
    loops = {arm: Silent(arm, asked) for arm in ARMS}
    assignment = Assignment(
        task=Comparison(case="resnet-32"),
        device="cpu",
        threads=1,
        pairs=2,
        block_seconds=1,
        title="t",
    )
    found = worker._blocks(loops, 3, assignment, CPU)
    assert asked == ["fast", "plain", "again", "again", "plain", "fast"]
    assert [len(found[arm]) for arm in ARMS] == [2, 2, 2]
    assert caplog.messages[1] == "t, pair 1 of 2: 3 steps, plain"
    assert len(caplog.messages) == 6


@pytest.mark.parametrize(
    ("warm_up", "count"),
    [
        (5.0, 60),  # 100 images in 5 s are 60 in a pass of 3 s
        (0.1, 120),  # never more than there are
        (1000.0, 1),
    ],
)
def test_loops_predict_in_turns_for_some_seconds_and_the_median_pass_counts(
    warm_up, count, monkeypatch
):
    asked: list[str] = []
    loops = {arm: Silent(arm, asked) for arm in ARMS}
    passes = (4.0, 8.0, 2.0, 100.0, 5.0, 6.0)  # fast, plain, plain, fast, fast, plain
    seconds = iter([warm_up / 2, warm_up, *passes])

    def stopped(work, device):
        work()
        return TimedBlock(seconds=next(seconds), cpu_seconds=0.0, other_load=None)

    monkeypatch.setattr(worker, "timed", stopped)
    images = np.zeros((120, 32, 32, 3), np.uint8)
    scale = np.full(3, 0.5, np.float32)
    pixels = Pixels(images=images, labels=np.zeros(120, np.int64), mean=scale, std=scale)
    found = worker._evaluation_speeds(loops, pixels, CPU)
    turns = [("fast", "plain"), ("plain", "fast"), ("fast", "plain")]
    assert asked == [
        *("fast 100", "plain 100"),
        *(f"{side} {count}" for turn in turns for side in turn),
    ]
    assert found == {"fast": count / 5.0, "plain": count / 6.0}


def test_tiny_case_from_the_command_line_to_json():
    found = bench("--case", "resnet-32", *TINY, "--block-seconds", 0.01, "--processes", 1, "--json")
    assert found.exit_code == 0, found.stderr
    document = json.loads(found.stdout)
    assert "random bytes" in document["images"]
    assert document["environment"]["torch"] == torch.__version__
    (result,) = document["results"]
    assert (result["model"], result["batch_size"], result["threads"]) == ("digits-cnn", 25, 1)
    assert (result["processes"], result["pairs"]) == (1, 8)
    for side in ("fast", "plain"):
        speed = result[side]
        assert speed["images_per_second"]["median"] > 0
        assert 0 < speed["matmul_share_inside"] < speed["matmul_share"]
        assert speed["start"]["seconds"] > 0
        assert speed["start"]["device_peak_bytes"] is None
    for found_ratio in (result["speed"], result["cpu_speed"], *result["control"].values()):
        assert 0 < found_ratio["low"] <= found_ratio["value"] <= found_ratio["high"]
    assert result["step_shares"].keys() == {"draws", "batch", "optimizer"}
    assert result["run_shares"].keys() > {"evaluation", "metrics", "checkpoints"}
    assert result["metrics_seconds"] > 0
    assert result["verdict"]["outcome"] in ("CLEAN", "NOISY")
    assert "about" in found.stderr.splitlines()[0]


def test_dry_run_says_what_and_how_long_and_measures_nothing(monkeypatch):
    monkeypatch.setattr(suite_module, "_measured", lambda request: pytest.fail("measured"))
    monkeypatch.setattr(suite_module, "matmul_speed", lambda recipe, device: 80e9)
    found = bench("--dry-run")
    assert found.exit_code == 0
    assert "wrn-16-8 erm, resnet-32 erm, resnet-34 erm: 3 processes of 8 pairs" in found.stdout
    assert "about" in found.stdout


def test_longer_measurements_are_said_to_take_longer(monkeypatch):
    monkeypatch.setattr(suite_module, "matmul_speed", lambda recipe, device: 80e9)
    few = json.loads(bench("--dry-run", "--case", "resnet-32", "--json").stdout)
    many = json.loads(bench("--dry-run", "--case", "resnet-32", "--pairs", 16, "--json").stdout)
    assert 0 < few["seconds"] < many["seconds"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--case", "resnet-23"], "unknown case 'resnet-23'; did you mean resnet-34 or resnet-32"),
        (["--case", "resnet-32,wrn-16"], "did you mean wrn-16-8"),
        (["--methods", "ic-regmixp"], "did you mean ic-regmixup"),
        (["--set", "batch_sise=3"], "did you mean batch_size"),
        (["--set", "batch_size=2001"], "the bench has only 2000 images"),
        (["--set", "model=resnet-33"], "depth"),
        (["--device", "tpu"], "device 'tpu'"),
        (["--pairs", "7"], "--pairs"),
        (["--threads", "0"], "--threads"),
        (["--processes", "0"], "--processes"),
    ],
)
def test_wrong_use_ends_with_2_before_anything_is_measured(arguments, message, monkeypatch):
    monkeypatch.setattr(suite_module, "_measured", lambda request: pytest.fail("measured"))
    found = bench(*arguments)
    assert found.exit_code == 2
    assert message in " ".join(found.stderr.split())
    assert found.stdout == ""


def test_settings_in_brackets_are_not_taken_apart():
    found = bench(
        "--dry-run", "--case", "resnet-32", "--methods", "ic-mixup[axes=class,alpha=1],erm"
    )
    assert found.exit_code == 0
    assert "resnet-32 ic-mixup[axes=class,alpha=1], resnet-32 erm:" in found.stdout


def test_gpu_measures_more_methods_and_leaves_the_threads():
    suite = plan_suite(settings={}, device=torch.device("cuda"))
    assert len(suite.tasks) == 9
    assert suite.threads is None
    assert plan_suite(settings={}, device=CPU).threads == 1


def test_a_measuring_process_that_fails_is_told_in_one_line(monkeypatch, capfd):
    suite = plan_suite(cases=["resnet-32"], settings={}, device=CPU)
    broken = suite._replace(device="nowhere")
    with pytest.raises(RunError, match="process 1 of 3: the measuring process ended with 1"):
        list(run_suite(broken))
    said = capfd.readouterr().err
    assert said.startswith("error: RuntimeError: ")
    assert "Traceback" not in said


def test_interrupted_bench_does_not_promise_to_go_on(monkeypatch):
    def interrupted(request):
        raise KeyboardInterrupt

    monkeypatch.setattr(suite_module, "_measured", interrupted)
    found = bench("--case", "resnet-32")
    assert found.exit_code == 130
    assert "interrupted; what was not finished is not kept" in found.stderr
