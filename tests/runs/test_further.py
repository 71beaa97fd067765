"""Predictions of further image sets, by the stored weights of finished runs."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file
from scipy.special import log_softmax, softmax
from typer.testing import CliRunner

import dcbench
from dcbench.cli import app
from dcbench.data import ood_sets
from dcbench.data.ood_sets import load_ood_set, unfit
from dcbench.data.source import Folder
from dcbench.data.splits import split_config
from dcbench.errors import UsageError
from dcbench.leaderboard.tables import read_rows
from dcbench.metrics import expected_calibration_error
from dcbench.records import files
from dcbench.records.set_files import read_arrays, read_completed, read_sets
from dcbench.runs import further
from dcbench.runs.further import predict_sets, requests_of
from dcbench.training.corruptions import corrupt
from tests.records.test_collect import contents

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The results folder of a run that lacked an OOD set which its protocol needs."""
    results = tmp_path_factory.mktemp("trained")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ood_sets, "NOISE", {"uniform": ood_sets.NOISE["uniform"]})
        patch.setattr(ood_sets, "load_ood_set", load_ood_set)
        patch.setattr("dcbench.data.load.load_ood_set", _without_gaussian)
        dcbench.run("erm", "digits", protocol="v1-lite", device="cpu", results=results)
    return results


def _without_gaussian(name, split, source):
    if name == "gaussian":
        raise further.MissingData("gaussian is not there")
    return load_ood_set(name, split, source)


@pytest.fixture
def results(trained: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(trained, tmp_path / "results"))


def folder_of(results: Path) -> Path:
    return results / "v1-lite/digits/subset-0/erm/seed-0"


def predicted(results: Path, *sets: str) -> list[further.SetOutcome]:
    source = Folder(results.parent / "data")
    return list(predict_sets(requests_of([results], sets), source, CPU))


def test_run_that_lacked_a_set_alone_becomes_one_of_the_protocol(results: Path, tmp_path: Path):
    folder = folder_of(results)
    before, weights = read_completed(folder), (folder / "model.safetensors").read_bytes()
    assert before.departures == ("OOD set gaussian is missing",)
    [outcome] = predicted(results)
    assert (outcome.name, outcome.state) == ("gaussian", "predicted")
    assert read_completed(folder).status == "protocol"
    assert (folder / "model.safetensors").read_bytes() == weights
    whole = dcbench.run(
        "erm", "digits", protocol="v1-lite", device="cpu", results=tmp_path / "whole"
    )
    assert read_completed(folder).metrics == whole.metrics
    assert read_completed(folder).data == whole.data


def test_set_predicted_later_is_that_of_the_run_bit_for_bit(results: Path, tmp_path: Path):
    predicted(results)
    whole = dcbench.run(
        "erm", "digits", protocol="v1-lite", device="cpu", results=tmp_path / "whole"
    )
    expected = files.read_predictions(folder_of(tmp_path / "whole"), whole).ood["gaussian"]
    folder = folder_of(results)
    [found] = read_sets(folder, files.read_record(folder))
    assert np.array_equal(read_arrays(folder, found.predictions)["logits"], expected)


def test_row_that_was_published_before_stays_and_is_filled(results: Path, tmp_path: Path):
    folder = folder_of(results)
    record = files.read_record(folder)
    files.write_record(folder, record.model_copy(update={"status": "protocol", "departures": ()}))
    board = tmp_path / "board"

    def build() -> None:
        done = CliRunner().invoke(
            app, ["leaderboard", "build", "--results", str(results), "-o", str(board)]
        )
        assert done.exit_code == 0, done.output

    build()
    shutil.copytree(board, tmp_path / "before")
    predicted(results)
    build()
    arguments = ["--predictions", str(results), "--base", str(tmp_path / "before")]
    done = CliRunner().invoke(app, ["leaderboard", "check", str(board), *arguments])
    assert done.exit_code == 0, done.output
    [cells] = read_rows(board / "v1-lite/runs/digits.csv")
    auroc = read_completed(folder).metrics.ood["gaussian"]["msp"].auroc
    assert cells["ood.gaussian.msp.auroc"] == f"{auroc:.6f}"


def test_set_that_is_there_is_not_predicted_again(results: Path):
    predicted(results)
    before = contents(results)
    assert [each.state for each in predicted(results, "gaussian", "uniform")] == ["there"] * 2
    assert contents(results) == before


def test_kill_before_the_last_file_loses_nothing(results: Path, monkeypatch: pytest.MonkeyPatch):
    def killed(*_):
        raise KeyboardInterrupt

    before = contents(results)
    with monkeypatch.context() as patch:
        patch.setattr(further, "write_set", killed)
        with pytest.raises(KeyboardInterrupt):
            predicted(results)
    assert contents(results).items() >= before.items()
    assert read_completed(folder_of(results)).status == "custom"
    assert [each.state for each in predicted(results)] == ["predicted"]


def test_weights_that_do_not_give_the_stored_predictions_are_refused(results: Path):
    folder = folder_of(results)
    weights = load_file(folder / "model.safetensors")
    weights["fc.bias"] = weights["fc.bias"] + 100 * np.arange(10, dtype=np.float32)
    save_file(weights, folder / "model.safetensors")
    stored = files.write_weights(folder, (folder / "model.safetensors").read_bytes())
    record = files.read_record(folder)
    files.write_record(folder, record.model_copy(update={"model": stored}))
    [outcome] = predicted(results)
    assert (outcome.state, outcome.exit_code) == ("failed", 1)
    assert "of the first 50 test images otherwise" in outcome.message


def test_run_without_weights_fails_alone(results: Path):
    other = dcbench.run(
        "erm", "digits", seed=1, protocol="v1-lite", device="cpu", results=results, weights="none"
    )
    assert other.seed == 1
    done = CliRunner().invoke(app, ["predict", str(results), "--sets", "fog"])
    assert done.exit_code == 3
    assert "the weights of this run were not kept" in done.output
    assert read_completed(folder_of(results)).metrics.shift["fog"] is not None


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("tin", "has images of 32 x 32 pixels, and split digits of 8 x 8"),
        ("openood", "has images of 32 x 32 pixels, and split digits of 8 x 8"),
        ("tine", "unknown image set 'tine'; did you mean tin"),
    ],
)
def test_set_that_is_none_for_the_split_is_refused(results: Path, name: str, problem: str):
    with pytest.raises(UsageError, match=problem):
        requests_of([results], [name])


def test_folder_without_a_run_is_named(tmp_path: Path):
    with pytest.raises(UsageError, match="holds no finished run"):
        requests_of([tmp_path])


def test_openood_lists_are_of_the_published_lengths():
    lengths = {
        "tin": (10_000, {"cifair10": 7_793, "cifar100": 6_526}),
        "places365": (36_500, {"cifair10": 35_195, "cifar100": 33_773}),
    }
    for name, (images, counts) in lengths.items():
        for split, count in counts.items():
            rows = ood_sets.listed_rows(name, split_config(split))
            assert rows is not None
            assert len(set(rows.tolist())) == count
            assert rows.max() < images


def test_split_does_not_detect_its_own_dataset():
    assert "is what split cifair10 is drawn from" in str(unfit("cifar10", split_config("cifair10")))


def test_set_without_images_ends_with_the_code_for_data(results: Path, monkeypatch):
    monkeypatch.setattr(further, "load_ood_set", _without_gaussian)
    done = CliRunner().invoke(app, ["predict", str(results), "--json"])
    assert done.exit_code == 3
    [outcome] = json.loads(done.stdout)
    assert (outcome["state"], outcome["message"]) == ("absent", "gaussian is not there")


def test_corruption_is_measured_on_the_test_images_at_every_severity(results: Path):
    [outcome] = predicted(results, "fog")
    assert outcome.found is not None
    source = Folder(results.parent / "data")
    test = source.part("digits", "test").take()
    network = dcbench.load_model(folder_of(results))
    for severity, values in enumerate(outcome.found.severities, start=1):
        logits = network.predict(corrupt(test.images, "fog", severity, CPU))
        right = logits.argmax(axis=1) == test.labels
        assert values.accuracy == pytest.approx(right.mean(), abs=1e-12)
        ece = expected_calibration_error(softmax(logits.astype(float), axis=1), test.labels)
        assert values.ece15 == pytest.approx(ece, abs=2e-3), "a row at an edge may change its bin"
        log_probs = log_softmax(logits.astype(float), axis=1)
        nll = -log_probs[np.arange(len(logits)), test.labels].mean()
        assert values.nll == pytest.approx(nll, abs=1e-5)
    assert outcome.found.images.images == 5 * len(test.labels)
    whole = read_completed(folder_of(results))
    assert whole.metrics.shift["fog"].accuracy == pytest.approx(outcome.found.shift.accuracy)
    assert whole.metrics.shift["corruptions"] is None
