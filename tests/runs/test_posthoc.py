"""What is fitted after training, beside formulas in NumPy."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.special import log_softmax, logsumexp, softmax
from sklearn.metrics import roc_auc_score
from typer.testing import CliRunner

import dcbench
from dcbench.cli import app
from dcbench.data.load import load_images
from dcbench.data.source import Folder
from dcbench.data.splits import load_split
from dcbench.errors import DataError, UsageError
from dcbench.leaderboard.rows import row_of
from dcbench.metrics.measure import Predictions
from dcbench.records import files
from dcbench.records.collect import collect
from dcbench.records.ensembles import ensembles
from dcbench.records.features import read_features
from dcbench.records.posthoc import TEST, Posthoc, read_posthoc
from dcbench.records.schema import Record
from dcbench.records.set_files import read_completed
from dcbench.runs.further import requests_of
from dcbench.runs.posthoc import known_names, posthoc, there_or_adjusted
from dcbench.runs.representations import Tap
from dcbench.runs.trained import TrainedNetwork, load_network
from tests.records.test_collect import contents, put
from tests.records.test_store import some_predictions

pytest.importorskip("pytorch_ood")
CPU = torch.device("cpu")
SETTINGS = {"epochs": 20}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run of `erm` on digits."""
    results = tmp_path_factory.mktemp("trained")
    dcbench.run("erm", "digits", protocol="v1-lite", device="cpu", results=results)
    return results / "v1-lite/digits/subset-0/erm/seed-0"


@pytest.fixture(scope="module")
def fitted(trained: Path) -> dict[str, Posthoc]:
    """All detectors of that run."""
    outcomes = fit(trained, "energy,kl-matching,mahalanobis,knn,vim,react,odin")
    assert {each.state for each in outcomes} == {"fitted"}
    return {each.name: each.found for each in outcomes if each.found}


@pytest.fixture(scope="module")
def network(trained: Path) -> TrainedNetwork:
    return load_network(trained, "cpu")


@pytest.fixture(scope="module")
def features(trained: Path, network: TrainedNetwork) -> dict[str, np.ndarray]:
    """Features by the network's own method, with labels of the training images."""
    split = load_split("digits", 0)
    images = load_images(split, Folder(trained / "nowhere"))
    pixels = {"fit": images.fit.images, TEST: images.test.images}
    pixels |= {name: each.images for name, each in images.ood.items()}
    found = {}
    for name, each in pixels.items():
        batch = torch.tensor(each).permute(0, 3, 1, 2).float() / 255
        shape = (1, -1, 1, 1)
        normalized = (batch - network.mean.view(shape)) / network.std.view(shape)
        with torch.no_grad():
            found[name] = network.network.features(normalized).double().numpy()
    return {**found, "labels": images.fit.labels}


def fit(folder: Path, names: str, *sets: str):
    requests = requests_of([folder], sets, default=lambda record: [])
    chosen = known_names(names.split(","))
    return list(posthoc(requests, chosen, Folder(folder / "nowhere"), CPU))


def auroc(inside: np.ndarray, outside: np.ndarray) -> float:
    truth = [1] * len(inside) + [0] * len(outside)
    return float(roc_auc_score(truth, np.concatenate([inside, outside])))


def head(network: TrainedNetwork) -> tuple[np.ndarray, np.ndarray]:
    layer = network.network.fc
    return layer.weight.detach().double().numpy(), layer.bias.detach().double().numpy()


def test_energy_is_the_score_that_the_record_has(trained: Path, fitted):
    record = files.read_record(trained)
    for name in ("gaussian", "uniform"):
        expected = record.metrics.ood[name]["energy"].auroc
        assert fitted["energy"].ood[name].auroc == pytest.approx(expected, abs=1e-4)


def test_nearest_neighbors_are_by_directions_of_training_features(fitted, features):
    def directions(name):
        return features[name] / np.linalg.norm(features[name], axis=1, keepdims=True)

    def score(name):
        near = np.linalg.norm(directions(name)[:, None] - directions("fit")[None], axis=-1)
        return -np.sort(near, axis=1)[:, 49]

    assert fitted["knn"].settings == {"k": 50}
    expected = auroc(score(TEST), score("gaussian"))
    assert fitted["knn"].ood["gaussian"].auroc == pytest.approx(expected, abs=1e-3)


def test_mahalanobis_distance_is_to_the_nearest_class_in_the_shared_covariance(fitted, features):
    labels = features["labels"]
    means = np.stack([features["fit"][labels == label].mean(axis=0) for label in range(10)])
    centered = features["fit"] - means[labels]
    precision = np.linalg.inv(centered.T @ centered + 1e-6 * np.eye(centered.shape[1]))

    def score(name):
        away = features[name][:, None] - means[None]
        return -np.einsum("nkd,de,nke->nk", away, precision, away).min(axis=1)

    expected = auroc(score(TEST), score("gaussian"))
    assert fitted["mahalanobis"].ood["gaussian"].auroc == pytest.approx(expected, abs=2e-3)


def test_react_cuts_features_off_at_the_90th_percentile_of_training(fitted, features, network):
    threshold = np.percentile(features["fit"], 90)
    weight, bias = head(network)

    def score(name):
        return logsumexp(np.minimum(features[name], threshold) @ weight.T + bias, axis=1)

    assert fitted["react"].settings["threshold"] == pytest.approx(threshold, rel=1e-4)
    expected = auroc(score(TEST), score("gaussian"))
    assert fitted["react"].ood["gaussian"].auroc == pytest.approx(expected, abs=1e-3)


def test_vim_takes_the_residual_of_half_the_dimensions(fitted, features, network):
    weight, bias = head(network)
    origin = -np.linalg.pinv(weight) @ bias
    centered = features["fit"] - origin
    _, vectors = np.linalg.eigh(centered.T @ centered)
    residual = vectors[:, : centered.shape[1] - 16]
    logits = features["fit"] @ weight.T + bias
    alpha = logits.max(axis=1).mean() / np.linalg.norm(centered @ residual, axis=1).mean()

    def score(name):
        energy = logsumexp(features[name] @ weight.T + bias, axis=1)
        return energy - alpha * np.linalg.norm((features[name] - origin) @ residual, axis=1)

    assert fitted["vim"].settings == {"d": 16}
    expected = auroc(score(TEST), score("gaussian"))
    assert fitted["vim"].ood["gaussian"].auroc == pytest.approx(expected, abs=2e-3)


def test_kl_matching_is_to_the_mean_prediction_of_each_class(fitted, features, network):
    weight, bias = head(network)

    def log_probs(name):
        return log_softmax(features[name] @ weight.T + bias, axis=1)

    seen = np.exp(log_probs("fit"))
    classes = seen.argmax(axis=1)
    typical = np.log(np.stack([seen[classes == k].mean(axis=0) for k in np.unique(classes)]))

    def score(name):
        own = log_probs(name)
        return -((np.exp(own) * own).sum(axis=1)[:, None] - np.exp(own) @ typical.T).min(axis=1)

    expected = auroc(score(TEST), score("uniform"))
    assert fitted["kl-matching"].ood["uniform"].auroc == pytest.approx(expected, abs=1e-3)


def test_detectors_see_the_training_images_alone(trained: Path, fitted):
    record = files.read_record(trained)
    for name in ("mahalanobis", "knn", "vim", "react", "kl-matching"):
        assert fitted[name].fit == record.data["fit"]
    assert fitted["energy"].fit is None
    assert fitted["odin"].fit is None


def test_numbers_follow_from_the_stored_scores(trained: Path, fitted):
    for name, found in fitted.items():
        _, scores = files.read_arrays(trained, found.predictions)
        for image_set, values in found.ood.items():
            expected = auroc(scores[TEST], scores[image_set])
            assert values.auroc == pytest.approx(expected, abs=1e-9), (name, image_set)


def test_nothing_of_it_is_among_the_methods_own_numbers(trained: Path, fitted):
    assert read_posthoc(trained, files.read_record(trained))
    assert read_completed(trained) == files.read_record(trained)
    assert not any("knn" in name for name in row_of(read_completed(trained)))


def test_what_is_there_is_fitted_again_for_a_new_set_alone(trained: Path, tmp_path: Path):
    folder = Path(shutil.copytree(trained, tmp_path / "v1-lite/digits/subset-0/erm/seed-0"))
    shutil.rmtree(folder / "posthoc", ignore_errors=True)
    assert [each.state for each in fit(folder, "energy", "uniform")] == ["fitted"]
    before = contents(folder)
    assert [each.state for each in fit(folder, "energy", "uniform")] == ["there"]
    assert contents(folder) == before
    [again] = fit(folder, "energy", "gaussian")
    assert again.state == "fitted"
    assert again.found is not None
    assert again.found.ood.keys() == {"gaussian", "uniform"}


def test_average_that_predicts_is_the_network_that_is_looked_at(tmp_path: Path):
    settings = {"epochs": 1}
    dcbench.run(
        "ema", "digits", protocol="v1-lite", device="cpu", results=tmp_path, settings=settings
    )
    [request] = requests_of([tmp_path], default=lambda record: [])
    tap = Tap(load_network(request.folder, "cpu"))
    tap.represent(np.zeros((2, 8, 8, 3), np.uint8), lambda count: None)
    assert tap.head is tap.trained.network.average.fc


def with_predictions(folder: Path, predictions: Predictions) -> Path:
    """A run whose predictions are changed."""
    stored = files.write_predictions(folder, predictions)
    record = files.read_record(folder)
    files.write_record(folder, record.model_copy(update={"predictions": stored}))
    return folder


def a_long_tail(results: Path, seed: int = 0) -> tuple[Path, Record]:
    """A run whose training classes have 100, 50, 10 and 5 images."""
    made = replace(some_predictions(0), class_counts=np.array([100, 50, 10, 5]))
    folder = with_predictions(put(results, seed=seed), made)
    return folder, files.read_record(folder)


def test_logits_are_adjusted_by_the_frequencies_of_training(tmp_path: Path):
    folder, record = a_long_tail(tmp_path)
    outcome = there_or_adjusted(folder, record, None)
    made = files.read_predictions(folder, record)
    adjusted = made.logits - np.log(np.array([100, 50, 10, 5]) / 165)
    assert outcome.found is not None
    assert outcome.found.metrics is not None
    right = (adjusted.argmax(axis=1) == made.labels).mean()
    assert outcome.found.metrics.accuracy == pytest.approx(right)
    rows = np.arange(len(made.labels))
    nll = -log_softmax(adjusted, axis=1)[rows, made.labels].mean()
    assert outcome.found.metrics.nll == pytest.approx(nll, abs=1e-6)


def test_logits_of_equal_classes_are_not_adjusted(trained: Path):
    [outcome] = fit(trained, "logit-adjustment")
    assert outcome.state == "inapplicable"
    assert not (trained / "posthoc/logit-adjustment.json").exists()


def test_ensemble_is_the_mean_of_probabilities(tmp_path: Path):
    labels = some_predictions(0).labels
    predictions = [replace(some_predictions(seed), labels=labels) for seed in (0, 1, 2)]
    folders = [
        with_predictions(put(tmp_path, seed=seed), each) for seed, each in enumerate(predictions)
    ]
    [(home, found)] = ensembles(folders)
    assert home == folders[0].parent
    assert (home / "ensemble.json").is_file()
    assert found.seeds == (0, 1, 2)
    probs = np.mean([softmax(each.logits.astype(float), axis=1) for each in predictions], axis=0)
    assert found.metrics.accuracy == pytest.approx((probs.argmax(axis=1) == labels).mean())
    nll = -np.log(probs[np.arange(len(labels)), labels]).mean()
    assert found.metrics.nll == pytest.approx(nll, abs=1e-9)
    inside = probs.max(axis=1)
    outside = np.mean([softmax(each.ood["noise"].astype(float), axis=1) for each in predictions], 0)
    expected = auroc(inside, outside.max(axis=1))
    assert found.metrics.ood["noise"]["msp"].auroc == pytest.approx(expected, abs=1e-9)


def test_runs_with_other_labels_are_no_ensemble(tmp_path: Path):
    folders = [put(tmp_path, seed=seed) for seed in (0, 1)]
    with pytest.raises(DataError, match="was tested on other images"):
        ensembles(folders)


def test_one_seed_is_no_ensemble(tmp_path: Path):
    assert ensembles([put(tmp_path)]) == []


def test_table_has_a_row_for_each_and_the_shipped_names(tmp_path: Path, trained: Path, fitted):
    a_long_tail(tmp_path / "results")
    a_long_tail(tmp_path / "results", seed=1)
    arguments = ["posthoc", str(tmp_path / "results"), "--with", "logit-adjustment"]
    done = CliRunner().invoke(app, [*arguments, "-o", str(tmp_path / "table.csv"), "--json"])
    assert done.exit_code == 0, done.output
    [ensemble] = json.loads(done.stdout)["ensembles"]
    table = dcbench.load_posthoc(tmp_path / "results")
    assert table["posthoc"].tolist() == ["logit-adjustment", "logit-adjustment", "ensemble"]
    assert table["seed"].tolist() == [0, 1, "0 1"]
    assert table["accuracy"][2] == ensemble["metrics"]["accuracy"]
    header = (tmp_path / "table.csv").read_text().splitlines()[0].split(",")
    assert header[:7] == [*("protocol", "split", "subset", "method", "seed", "posthoc"), "accuracy"]
    detectors = dcbench.load_posthoc(trained)
    knn = detectors[detectors["posthoc"] == "knn"].iloc[0]
    assert knn["ood.gaussian.auroc"] == fitted["knn"].ood["gaussian"].auroc


def test_collect_brings_what_was_fitted(tmp_path: Path):
    folder, record = a_long_tail(tmp_path / "lab")
    there_or_adjusted(folder, record, None)
    collect([tmp_path / "lab"], tmp_path / "results")
    target = tmp_path / "results" / folder.relative_to(tmp_path / "lab")
    assert contents(target) == contents(folder)


def test_what_was_fitted_on_other_weights_is_refused(tmp_path: Path):
    folder, record = a_long_tail(tmp_path)
    there_or_adjusted(folder, record, None)
    other = record.model_copy(
        update={"model": record.model.model_copy(update={"sha256": "0" * 64})}
    )
    with pytest.raises(DataError, match=r"logit-adjustment\.json: is of other weights"):
        read_posthoc(folder, other)


def test_unknown_detector_and_corruption_are_refused(trained: Path):
    with pytest.raises(UsageError, match="did you mean knn"):
        known_names(["knm"])
    with pytest.raises(UsageError, match="fog: is a corruption"):
        fit(trained, "energy", "fog")


def test_stored_features_are_those_of_the_network(trained: Path, tmp_path: Path, features):
    folder = Path(shutil.copytree(trained, tmp_path / "v1-lite/digits/subset-0/erm/seed-0"))
    arguments = ["predict", str(folder), "--features", "--device", "cpu"]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    record = read_completed(folder)
    for name in ("fit", "test", "gaussian", "uniform"):
        stored = read_features(folder, record, name)
        assert np.allclose(stored, features[name], atol=1e-5)
    before = contents(folder)
    assert CliRunner().invoke(app, arguments).exit_code == 0
    assert contents(folder) == before, "what is there is not stored again"
    with pytest.raises(DataError, match="holds no features of tin"):
        read_features(folder, record, "tin")
