import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

import dcbench
from dcbench.cli import app
from dcbench.data.splits import load_split
from dcbench.methods import registry
from dcbench.training.trainer import Trainer
from tests.records.test_store import disk_that_fills_at
from tests.sweep.engines.runs import shown_in, until_trained

SOURCE = Path(dcbench.__file__).parents[1]


@pytest.fixture(autouse=True)
def folders(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Every test has its own results and data folders, and registers methods for itself."""
    monkeypatch.setattr("dcbench.methods.registry._methods", dict(registry._methods))
    monkeypatch.setenv("DCBENCH_RESULTS", str(tmp_path / "results"))
    monkeypatch.setenv("DCBENCH_DATA", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)


class Outcome:
    """What a command ended with: never a traceback."""

    def __init__(self, *arguments: object) -> None:
        result = CliRunner().invoke(app, [str(argument) for argument in arguments])
        assert result.exception is None or isinstance(result.exception, SystemExit), (
            f"a traceback reached the user: {result.exception!r}"
        )
        assert "Traceback" not in result.output
        self.code, self.out, self.err = result.exit_code, result.stdout, result.stderr

    @property
    def words(self) -> str:
        """The message, wherever lines were broken."""
        return " ".join(self.err.split())


def run(*arguments: object) -> Outcome:
    return Outcome("run", "--split", "digits", "--device", "cpu", *arguments)


QUICK = ("--method", "erm", "--set", "epochs=1")


def commands() -> Iterator[tuple[str, ...]]:
    """Every command and group of commands."""

    def below(command, path):
        yield path
        for name, child in getattr(command, "commands", {}).items():
            yield from below(child, (*path, name))

    yield from below(typer.main.get_command(app), ())


ALL = list(commands())
GROUPS = {(), ("data",), ("leaderboard",), ("results",), ("submit",)}
"""What has no reports of its own, but commands."""


def test_promised_commands_are_there():
    expected = {
        *("run", "measure", "collect", "methods", "splits", "models", "protocols"),
        *("splits show", "splits verify", "data status", "data fetch", "data verify"),
        *("leaderboard build", "leaderboard check", "leaderboard show", "bench"),
        *("leaderboard diff", "leaderboard release", "submit pack", "submit verify"),
    }
    assert expected <= {" ".join(path) for path in ALL}


@pytest.mark.parametrize("path", ALL, ids=" ".join)
def test_help_of_every_command_has_an_example_of_it(path):
    found = Outcome(*path, "--help")
    assert found.code == 0
    if path not in GROUPS - {()}:
        assert "Example: dcbench " + " ".join(path) in " ".join(found.out.split())
    assert found.out == Outcome(*path, "-h").out


def test_help_and_mistakes_are_told_without_importing_torch():
    code = f"""
import sys
from typer.testing import CliRunner
from dcbench.cli import app
for path in {ALL!r}:
    assert CliRunner().invoke(app, [*path, "--help"]).exit_code == 0
asked = set(sys.modules)
assert CliRunner().invoke(app, ["rnu"]).exit_code == 2
heavy = {{"torch", "torchvision", "numpy", "pandas", "scipy", "sklearn"}}
assert not {{"rich", "pydantic"}} & asked
print(sorted(heavy & sys.modules.keys()))
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=SOURCE, capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"


def test_version_is_that_of_the_package():
    found = Outcome("--version")
    assert (found.code, found.out, found.err) == (0, f"dcbench {dcbench.__version__}\n", "")


def test_every_command_takes_json_and_quiet():
    for path in [path for path in ALL if path not in GROUPS]:
        said = Outcome(*path, "--help").out
        assert "--json" in said, path
        assert "--quiet" in said, path


def test_json_of_every_kind_of_list_is_alone_on_standard_output(tmp_path: Path):
    for command in ("methods", "models", "protocols", "splits", "data status"):
        found = Outcome(*command.split(), "--json")
        assert json.loads(found.out), command
        assert found.err == "", command


def test_module_runs_as_a_program_and_ends_with_the_exit_code():
    def program(*arguments: str) -> subprocess.CompletedProcess:
        command = [sys.executable, "-m", "dcbench", *arguments]
        return subprocess.run(command, cwd=SOURCE, capture_output=True, text=True, check=False)

    assert program("--help").returncode == 0
    assert "run" in program("--help").stdout
    wrong = program("splits", "show", "digit")
    assert wrong.returncode == 2
    assert wrong.stderr == "error: unknown split 'digit'; did you mean digits?\n"
    assert wrong.stdout == ""


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--method", "ic-mixp"], "did you mean ic-mixup"),
        (["--method", "erm", "--protocol", "v0"], "unknown protocol 'v0'; did you mean v1"),
        (["--method", "erm", "--subset", 3], "no subset 3; there are: 0, 1, 2"),
        (["--method", "erm", "--subset", -1], "no subset -1"),
        (["--method", "erm", "--set", "model=digits-cn"], "did you mean digits-cnn"),
        (["--method", "erm", "--set", "modle=digits-cnn"], "did you mean model"),
        (["--method", "erm", "--set", "alpha=1"], "unknown setting of erm or its recipe 'alpha'"),
        (["--method", "mixup", "--set", "alhpa=1"], "did you mean alpha"),
        (
            ["--method", "mixup", "--set", "alpha=0"],
            "alpha=0: input should be greater than or equal to 0.001",
        ),
        (["--method", "mixup", "--set", "alpha=-1"], "alpha=-1"),
        (["--method", "mixup", "--set", "alpha=inf"], "alpha='inf'"),
        (["--method", "mixup", "--set", "alpha=much"], "alpha='much': input should be a valid"),
        (["--method", "mixup[alpha=0]"], "alpha=0"),
        (["--method", "mixup[alpha"], "write name or name[key=value"),
        (["--method", "ic-mixup[axes=row]"], "'class', 'pair' or 'both'"),
        (["--method", "erm", "--set", "batch_size=0"], "batch_size=0"),
        (["--method", "erm", "--set", "batch_size=151"], "only 150 training images"),
        (["--method", "erm", "--set", "epochs=0"], "epochs=0: input should be greater than 0"),
        (["--method", "erm", "--set", "epochs=1.5"], "epochs=1.5"),
        (["--method", "erm", "--set", "learning_rate=inf"], "learning_rate='inf'"),
        (["--method", "erm", "--set", "milestones=[3,2]"], "rising"),
        (["--method", "erm", "--set", "schedule=steps"], "needs milestones"),
        (["--method", "erm", "--set", "epochs"], "setting 'epochs': write key=value"),
        (["--method", "erm", "--set", "epochs="], "setting 'epochs=': write key=value"),
        (["--method", "erm", "--set", "=3"], "setting '=3': write key=value"),
        (["--method", "erm", "--set", "epochs=["], "not valid YAML"),
        (["--method", "erm", "--seeds", "3-1"], "runs backwards; write 1-3"),
        (["--method", "erm", "--seeds", "a"], "seeds 'a'"),
        (["--method", "erm", "--seeds", "1,1"], "given twice"),
        (["--method", "erm", "--seed", "-1"], "seeds '-1'"),
        (["--method", "erm", "--seed", "0-1"], "--seed 0-1: is for one seed; several: --seeds 0-1"),
        (["--method", "erm", "--seed", "0", "--seeds", "3"], "--seed 0 beside --seeds 3: give one"),
        (["--method", "erm", "--device", "tpu"], "device 'tpu': write auto, cpu, cuda"),
        (["--method", "erm", "--device", "cuda:99"], "device 'cuda:99': this machine has"),
        (["--method", "nowhere.py:Mine"], "method file nowhere.py: no such file"),
        (["--method", "erm", "--subset", "x"], "Invalid value for '--subset'"),
        (["--methd", "erm"], "--method"),
        ([], "Missing option '--method'"),
    ],
)
def test_wrong_use_ends_with_2_and_says_what_would_do(arguments, message, tmp_path: Path):
    found = run(*arguments)
    assert found.code == 2
    assert message in found.words
    assert found.out == ""
    assert not (tmp_path / "results").exists()


CONFIRM = ("--results", "runs", "--reason", "x")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "--method", "erm", "--split", "digit"], "did you mean digits"),
        (["splits", "show", "cifar10"], "did you mean"),
        (["splits", "show", "digits", "--subset", 9], "no subset 9"),
        (["splits", "verify", "digit"], "did you mean digits"),
        (["splits", "nothing-*"], "no split like 'nothing-*'"),
        (["methods", "nothing-*"], "no method like 'nothing-*'"),
        (["models", "nothing-*"], "no model like 'nothing-*'"),
        (["protocols", "nothing-*"], "no protocol like 'nothing-*'"),
        (["data", "fetch", "cifr10"], "did you mean cifar10"),
        (["leaderboard", "show", "digit"], "did you mean digits"),
        (["leaderboard", "show", "--metric", "nll"], "--metric nll: is for --against"),
        (["leaderboard", "latex", "--across", "--reported"], "is for latex without --across"),
        (["leaderboard", "latex", "--across", "--spread", "sd"], "--spread sd: is for latex"),
        (["leaderboard", "check", "--data", "x"], "--data x: is for --weights"),
        (["leaderboard", "confirm", *CONFIRM, "--data", "x"], "--data x: is for --weights"),
        (["leaderboard", "confirm", *CONFIRM, "--spread", "0.1"], "is for --rerun"),
        (
            ["leaderboard", "confirm", *CONFIRM, "--rerun", "--weights"],
            "--weights: is for confirm without --rerun",
        ),
        (["leaderboard", "show", "digits", "--protocol", "v0"], "did you mean v1"),
        (["leaderboard", "show", "digits", "--from", "."], "no leaderboard of digits"),
        (["leaderboard", "build", "-o", "board"], "holds no record"),
        (["leaderboard", "check"], "leaderboard: there is no such folder"),
        (["rnu"], "run"),
        (["splits", "show"], "Missing argument"),
    ],
)
def test_wrong_name_ends_any_command_with_2_and_a_hint(arguments, message):
    found = Outcome(*arguments)
    assert found.code == 2
    assert message in found.words
    assert found.out == ""


def test_missing_data_end_with_3_and_say_where_they_belong(tmp_path: Path):
    found = Outcome("run", "--method", "erm", "--split", "cifair10", "--device", "cpu")
    assert found.code == 3
    assert str(tmp_path / "data") in found.words
    assert "dcbench data fetch" in found.words
    assert found.words.count("error:") == 1


def test_missing_or_damaged_run_ends_measure_with_3(tmp_path: Path):
    assert Outcome("measure", tmp_path / "nowhere").code == 3
    (tmp_path / "record.json").write_text("{")
    found = Outcome("measure", tmp_path)
    assert found.code == 3
    assert str(tmp_path / "record.json") in found.words


def test_failed_run_ends_with_1_and_says_why():
    found = run(*QUICK, "--set", "learning_rate=1e6")
    assert found.code == 1
    assert "error: training has diverged: the loss is" in found.words
    assert found.out == ""


def test_results_that_cannot_be_written_end_with_1_and_are_named(tmp_path: Path):
    (tmp_path / "results").write_text("in the way")
    found = run(*QUICK)
    assert found.code == 1
    assert f"cannot write {tmp_path / 'results'}" in found.words


def test_full_disk_ends_with_1_and_the_same_command_goes_on_later(tmp_path: Path):
    with disk_that_fills_at(150_000):
        found = run(*QUICK)
    assert found.code == 1
    assert "predictions.npz" in found.words
    assert "run the same command again" in found.words
    assert run(*QUICK).code == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_run_ends_with_130_and_the_same_command_goes_on(
    monkeypatch, tmp_path: Path, number
):
    events = Trainer.events

    def interrupted(trainer, *arguments):
        for event in events(trainer, *arguments):
            if trainer.progress.step == 3:
                signal.raise_signal(number)
            yield event

    monkeypatch.setattr(Trainer, "events", interrupted)
    found = run(*QUICK)
    assert found.code == 130
    assert "interrupted; the same command goes on from the last checkpoint" in found.words
    assert [path.name for path in tmp_path.rglob("checkpoint.pt")] == ["checkpoint.pt"]
    monkeypatch.setattr(Trainer, "events", events)
    planned = run(*QUICK, "--dry-run")
    again = run(*QUICK, "--json")
    assert again.code == 0
    assert "going on from epoch 0, step 3" in again.words
    assert "going on from epoch 0, step 3" in planned.words
    assert ": 3 steps of" in planned.out  # of 6
    whole = run(*QUICK, "--json", "--results", tmp_path / "whole")
    one, other = json.loads(again.out), json.loads(whole.out)
    assert one["predictions"] == other["predictions"]


def test_signal_to_the_process_ends_it_with_130_a_checkpoint_and_no_traceback(tmp_path: Path):
    results, method = tmp_path / "results", shown_in(tmp_path / "shown")
    command = [sys.executable, "-m", "dcbench", "run", "--method", method, "--split", "digits"]
    process = subprocess.Popen(
        [*command, "--set", "epochs=100000", "--device", "cpu", "--results", str(results)],
        cwd=SOURCE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    until_trained(tmp_path / "shown", 1)
    process.send_signal(signal.SIGINT)
    out, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert said.splitlines()[-1].startswith("interrupted; the same command goes on")
    assert "Traceback" not in said
    assert out == ""
    assert len(list(results.rglob("checkpoint.pt"))) == 1


def test_json_of_runs_is_one_record_a_line_and_nothing_else(tmp_path: Path):
    found = run(*QUICK, "--seeds", "0,2", "--json")
    assert found.code == 0
    lines = [json.loads(line) for line in found.out.splitlines()]
    assert [record["seed"] for record in lines] == [0, 2]
    for record in lines:
        path = tmp_path / f"results/v1/digits/subset-0/erm,epochs=1/seed-{record['seed']}"
        assert json.loads((path / "record.json").read_text()) == record
    assert "150 images, digits-cnn, 1 epochs, batches of 25" in found.words
    again = run(*QUICK, "--seeds", "0,2", "--json", "--quiet")
    assert again.out == found.out
    assert again.err == ""


def test_run_shows_its_metrics_and_the_place_of_its_record(tmp_path: Path):
    found = run(*QUICK)
    assert found.code == 0
    path = tmp_path / "results/v1/digits/subset-0/erm,epochs=1/seed-0/record.json"
    assert found.out.splitlines()[-1] == str(path)
    record = json.loads(path.read_text())
    assert f"{record['metrics']['accuracy']:.4f}" in found.out
    assert "erm[epochs=1] on digits, subset 0, seed 0" in " ".join(found.out.split())
    assert "custom, no leaderboard will take it: epochs=1 instead of 60" in found.words
    assert "not run again" in run(*QUICK).words


def test_restart_runs_again(tmp_path: Path):
    run(*QUICK)
    found = run(*QUICK, "--restart")
    assert found.code == 0
    assert "not run again" not in found.words


def test_dry_run_says_how_long_and_writes_nothing(tmp_path: Path):
    found = run(*QUICK, "--dry-run", "--seeds", "0-1")
    assert found.code == 0
    assert found.out.count("6 steps of") == 2
    assert list(tmp_path.iterdir()) == []


def test_dry_run_finds_and_refuses_what_the_run_would(tmp_path: Path):
    path = tmp_path / "results/v1/digits/subset-0/erm,epochs=1/seed-0/record.json"
    run(*QUICK)
    found = run(*QUICK, "--dry-run")
    assert (found.code, found.out) == (0, f"found {path}; not run again\n")
    path.write_text(path.read_text().replace('"weight_decay": 0.0005', '"weight_decay": 0.25'))
    planned, refused = run(*QUICK, "--dry-run"), run(*QUICK)
    assert planned.code == refused.code == 1
    assert planned.err == refused.err
    assert "was made with" in planned.words
    swept = ("sweep", "--methods", "erm", *QUICK[2:], "--splits", "digits", "--device", "cpu")
    for found in (Outcome(*swept, "--dry-run"), Outcome(*swept)):
        assert found.code == 1
        assert "--restart is an option of `dcbench run`" in found.words
    assert "6 steps of" in run(*QUICK, "--dry-run", "--restart").out


def test_measure_says_as_recorded_or_what_differs(tmp_path: Path):
    run(*QUICK)
    folder = tmp_path / "results/v1/digits/subset-0/erm,epochs=1/seed-0"
    found = Outcome("measure", folder)
    assert (found.code, found.err) == (0, "as recorded\n")
    path = folder / "record.json"
    record = json.loads(path.read_text())
    above = Outcome("measure", tmp_path)
    assert (above.code, f"is no folder of a run; name one, such as {folder}" in above.words) == (
        2,
        True,
    )
    measured = json.loads(Outcome("measure", folder / "record.json", "--json").out)
    assert measured == {"metrics": record["metrics"], "differing": [], "new": []}
    record["metrics"]["ece15"] += 0.01
    path.write_text(json.dumps(record))
    differing = Outcome("measure", folder)
    assert differing.code == 1
    assert "differs from the record: ece15" in differing.words
    as_json = Outcome("measure", folder, "--json")
    assert as_json.code == 1
    assert json.loads(as_json.out)["differing"] == ["ece15"]


def test_splits_are_listed_by_wildcard():
    found = Outcome("splits", "cifar10-lt-10*", "--json")
    assert [row["name"] for row in json.loads(found.out)] == ["cifar10-lt-10", "cifar10-lt-100"]
    table = Outcome("splits", "cifar10-lt-10*").out
    assert "cifar10-lt-100" in table
    assert "digits" not in table
    assert Outcome("splits", "list", "cifar10-lt-10*", "--json").out == found.out
    everything = {row["name"] for row in json.loads(Outcome("splits", "--json").out)}
    assert {
        *("digits", "cifair10", "cifair100", "cifair10-common", "cifair100-common", "cifar100"),
        *("cifar10-lt-10", "cifar10-lt-100", "cifar100-lt-10", "cifar100-lt-100"),
    } <= everything


def test_split_is_shown_as_the_promised_json():
    shown = json.loads(Outcome("splits", "show", "digits", "--subset", 1, "--json").out)
    split = load_split("digits", 1)
    assert shown == {
        "name": "digits",
        "dataset": "digits",
        "subset": 1,
        "num_classes": 10,
        "train": split.train.tolist(),
        "val": split.val.tolist(),
        "class_counts": [10] * 10,
        "index_sha256": split.hashes.index_sha256,
    }
    long_tailed = json.loads(Outcome("splits", "show", "cifar10-lt-100", "--json").out)
    assert long_tailed["class_counts"] == [5000, 2997, 1796, 1077, 645, 387, 232, 139, 83, 50]
    assert set(long_tailed["held_out"]) < set(long_tailed["train"])
    assert "Handwritten digits" in Outcome("splits", "show", "digits").out


def test_splits_are_verified():
    found = Outcome("splits", "verify", "digits", "--json")
    assert found.code == 0
    assert [(row["subset"], row["state"]) for row in json.loads(found.out)] == [
        (subset, "same") for subset in range(3)
    ]


def test_methods_are_listed_with_their_defaults():
    rows = {row["name"]: row for row in json.loads(Outcome("methods", "--json").out)}
    assert {
        *("erm", "mixup", "remix", "regmixup", "ic-mixup", "ic-remix", "ic-regmixup"),
    } <= rows.keys()
    assert rows["erm"]["settings"] == {}
    assert rows["ic-mixup"]["settings"]["axes"] == "both"
    assert all(row["summary"] for row in rows.values())
    names = [row["name"] for row in json.loads(Outcome("methods", "ic-*", "--json").out)]
    assert names == ["ic-cutmix", "ic-erm", "ic-mixup", "ic-regmixup", "ic-remix"]
    assert "alpha=20.0" in "".join(Outcome("methods", "regmixup").out.split())


def test_models_are_listed_with_their_size():
    rows = {row["name"]: row["parameters"] for row in json.loads(Outcome("models", "--json").out)}
    assert rows["wrn-16-8"] == 10_961_370
    assert rows["resnet-32"] == 464_154
    assert "resnet-34" in Outcome("models", "resnet-*").out


def test_protocols_are_listed_with_their_recipes():
    rows = json.loads(Outcome("protocols", "v1", "--json").out)
    assert {row["recipe"] for row in rows} >= {"cifair10", "cifar100", "cifar10-lt", "digits"}
    assert [row for row in rows if row["recipe"] == "cifair10"] == [
        {
            "protocol": "v1",
            "recipe": "cifair10",
            "subsets": "0-2",
            "seeds": "0-9",
            "model": "wrn-16-8",
            "epochs": 500,
            "batch": 10,
            "threads": "cores",
        }
    ]


def test_data_status_says_of_every_file_where_it_belongs(tmp_path: Path):
    rows = json.loads(Outcome("data", "status", "--json").out)
    assert {row["dataset"] for row in rows} == {
        *("cifar10", "cifar100", "cifair10", "cifair100", "mnist", "svhn"),
        *("tin", "textures", "places365", "fashion-mnist", "kmnist", "usps"),
    }
    assert {row["state"] for row in rows} == {"missing"}
    assert all(row["path"].startswith(str(tmp_path / "data")) for row in rows)
    assert all(len(row["md5"]) == 32 for row in rows)
    shown = Outcome("data", "status", "--data", tmp_path)
    assert shown.code == 0
    assert f"data folder: {tmp_path}" in shown.words


def test_data_that_are_named_and_not_there_are_told(tmp_path: Path):
    nowhere = tmp_path / "nowhere.bundle"
    found = Outcome("data", "verify", "--data", nowhere)
    assert (found.code, found.err) == (3, f"error: {nowhere}: there is no such folder or bundle\n")
    assert (
        "nowhere.bundle, which is not there" in Outcome("data", "status", "--data", nowhere).words
    )
    run = Outcome("run", "--method", "erm", "--split", "cifair10", "--data", nowhere)
    assert run.code == 3
    assert f"CIFAR-10 is missing: there is no folder or bundle {nowhere}; run" in run.words


def test_damaged_data_end_verify_with_3(tmp_path: Path):
    path = tmp_path / "data/cifar-10-batches-py/test_batch"
    path.parent.mkdir(parents=True)
    path.write_text("not it")
    found = Outcome("data", "verify", "--json")
    assert found.code == 3
    damaged = [row["path"] for row in json.loads(found.out) if row["state"] == "damaged"]
    assert damaged == [str(path)]


METHOD = """
from __future__ import annotations

from typing import Literal

from pydantic import Field
from torch import Tensor
from torch.nn.functional import cross_entropy

from dcbench.methods import Batch, Method, Network


class SmoothedLabels(Method):
    \"\"\"Cross-entropy with smoothed labels.\"\"\"

    amount: float = Field(0.1, ge=0, lt=1)
    kind: Literal["uniform", "none"] = "uniform"

    def loss(self, network: Network, batch: Batch) -> Tensor:
        amount = self.amount if self.kind == "uniform" else 0.0
        return cross_entropy(network(batch.images), batch.labels, label_smoothing=amount)
"""


def test_method_of_a_file_runs_from_end_to_end(tmp_path: Path):
    path = tmp_path / "mine.py"
    path.write_text(METHOD)
    quick = ("--set", "epochs=1", "--json")
    found = run("--method", f"{path}:SmoothedLabels", *quick)
    assert found.code == 0
    record = json.loads(found.out)
    assert record["method"] == "smoothed-labels"
    assert record["settings"] == {"amount": 0.1, "kind": "uniform"}
    assert len(record["method_sha256"]) == 64
    other = json.loads(run("--method", f"{path}:SmoothedLabels[amount=0.5]", *quick).out)
    assert other["label"] == "smoothed-labels[amount=0.5,epochs=1]"
    assert other["predictions"]["sha256"] != record["predictions"]["sha256"]
    plain = json.loads(run("--method", "erm", *quick).out)
    same = json.loads(run("--method", f"{path}:SmoothedLabels[kind=none]", *quick).out)
    assert same["predictions"]["sha256"] == plain["predictions"]["sha256"]


LOSSES = """
from torch.nn.functional import cross_entropy
from dcbench.methods import Method

class NoLoss(Method):
    pass

class Raises(Method):
    def loss(self, network, batch):
        return 1 / 0

class NotATensor(Method):
    def loss(self, network, batch):
        return 1.0

class NotAScalar(Method):
    def loss(self, network, batch):
        return network(batch.images)

class NotANumber(Method):
    def loss(self, network, batch):
        return cross_entropy(network(batch.images), batch.labels) * float("nan")
"""


@pytest.mark.parametrize("name", ["NoLoss", "Raises", "NotATensor", "NotAScalar", "NotANumber"])
def test_method_that_fails_ends_with_1_and_is_named(tmp_path: Path, name):
    path = tmp_path / "wrong.py"
    path.write_text(LOSSES)
    found = run("--method", f"{path}:{name}", "--set", "epochs=1")
    assert found.code == 1
    assert "error:" in found.words
    assert list(tmp_path.rglob("record.json")) == []


@pytest.mark.parametrize(
    ("source", "name", "message"),
    [
        (METHOD, "SmoothLabels", "did you mean SmoothedLabels"),
        ("class Mine:\n    pass\n", "Mine", "defines no subclass of dcbench.methods.Method"),
        ("def broken(:", "Mine", "SyntaxError"),
        ("import not_a_module", "Mine", "not_a_module"),
    ],
)
def test_file_without_the_method_ends_with_2_and_is_named(tmp_path: Path, source, name, message):
    path = tmp_path / "odd.py"
    path.write_text(source)
    found = run("--method", f"{path}:{name}")
    assert found.code == 2
    assert message in found.words
    assert "odd.py" in found.words


def test_setting_without_a_default_is_asked_for_and_can_be_given(tmp_path: Path):
    path = tmp_path / "needs.py"
    path.write_text(
        "from torch.nn.functional import cross_entropy\n"
        "from dcbench.methods import Method\n"
        "class Weighted(Method):\n"
        "    weight: float\n"
        "    def loss(self, network, batch):\n"
        "        return self.weight * cross_entropy(network(batch.images), batch.labels)\n"
    )
    without = run("--method", f"{path}:Weighted", "--set", "epochs=1")
    assert without.code == 2
    assert "key 'weight' is missing" in without.words
    given = run("--method", f"{path}:Weighted[weight=1]", "--set", "epochs=1", "--json")
    assert given.code == 0
    assert json.loads(given.out)["settings"] == {"weight": 1.0}


def test_method_file_that_was_edited_runs_anew_in_the_same_process(tmp_path: Path):
    path = tmp_path / "edited.py"
    hashes = []
    for factor in (1, 2):
        path.write_text(
            "from torch.nn.functional import cross_entropy\n"
            "from dcbench.methods import Method\n"
            "class Edited(Method):\n"
            "    def loss(self, network, batch):\n"
            f"        return {factor} * cross_entropy(network(batch.images), batch.labels)\n"
        )
        results = ("--results", tmp_path / str(factor))
        found = run("--method", f"{path}:Edited", "--set", "epochs=1", "--json", *results)
        assert found.code == 0
        hashes.append(json.loads(found.out)["method_sha256"])
    assert hashes[0] != hashes[1]


def test_run_of_an_edited_method_does_not_pass_for_that_of_the_old_one(tmp_path: Path):
    path = tmp_path / "drifts.py"
    path.write_text(METHOD.replace("SmoothedLabels", "Drifting"))
    assert run("--method", f"{path}:Drifting", "--set", "epochs=1").code == 0
    record = next((tmp_path / "results").rglob("record.json"))
    content = json.loads(record.read_text())
    record.write_text(json.dumps({**content, "method_sha256": "0" * 64}))
    found = run("--method", f"{path}:Drifting", "--set", "epochs=1")
    assert found.code == 1
    assert "another method_sha256" in found.words
