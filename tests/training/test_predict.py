import numpy as np
import pytest
import torch
from scipy.special import log_softmax, logsumexp, softmax
from sklearn import metrics as sklearn_metrics
from torch import nn
from torchmetrics.functional.classification import (
    binary_calibration_error,
    multiclass_calibration_error,
)

from dcbench.data.load import SplitImages
from dcbench.data.parts import ImageSet
from dcbench.errors import RunError
from dcbench.metrics.measure import Predictions, flatten, measure
from dcbench.training import predict as evaluation
from dcbench.training.predict import batch_size, predict, predict_split

CPU = torch.device("cpu")
CLASSES = 5
COUNTS = [500, 101, 100, 20, 19]
SCORES = {"msp", "max_logit", "entropy", "energy"}
DETECTION = {"auroc", "aupr_in", "aupr_out", "fpr95_ood_pos", "fpr95_id_pos"}
PLAIN = {
    *("accuracy", "balanced_accuracy", "accuracy_many", "accuracy_medium", "accuracy_few"),
    *("nll", "brier", "ece15", "adaptive_ece15", "classwise_ece15"),
    *("temperature", "nll_ts", "brier_ts", "ece15_ts"),
}


@pytest.fixture
def predictions() -> Predictions:
    generator = np.random.default_rng(0)
    labels = generator.choice(CLASSES, 400, p=[0.4, 0.3, 0.1, 0.1, 0.1])
    logits = generator.normal(size=(400, CLASSES)) + 1.5 * np.eye(CLASSES)[labels]
    ood = {
        "near": generator.normal(size=(150, CLASSES)),
        "far": 0.1 * generator.normal(size=(90, CLASSES)),
    }
    return Predictions(
        logits.astype(np.float32),
        labels,
        np.array(COUNTS),
        {name: values.astype(np.float32) for name, values in ood.items()},
    )


def test_metrics_have_the_promised_names(predictions):
    found = measure(predictions, long_tailed=True, ood_sets=("near", "far", "absent"))
    assert found.keys() == PLAIN | {"ood"}
    assert found["ood"].keys() == {"near", "far", "absent"}
    assert found["ood"]["near"].keys() == SCORES
    assert all(values.keys() == DETECTION for values in found["ood"]["near"].values())


def test_metrics_are_what_others_compute(predictions):
    found = measure(predictions, long_tailed=True, ood_sets=())
    logits, labels = predictions.logits.astype(np.float64), predictions.labels
    probs, guesses = softmax(logits, axis=1), logits.argmax(axis=1)
    recall = sklearn_metrics.recall_score(labels, guesses, average=None)
    tensors = torch.from_numpy(probs), torch.from_numpy(labels)
    classwise = [
        binary_calibration_error(tensors[0][:, k], (tensors[1] == k).int(), n_bins=15).item()
        for k in range(CLASSES)
    ]
    chunks = np.array_split(np.argsort(probs.max(axis=1), kind="stable"), 15)
    hits = guesses == labels
    adaptive = sum(
        len(chunk) * abs(hits[chunk].mean() - probs.max(axis=1)[chunk].mean()) for chunk in chunks
    )
    expected = {
        "accuracy": sklearn_metrics.accuracy_score(labels, guesses),
        "balanced_accuracy": sklearn_metrics.balanced_accuracy_score(labels, guesses),
        "accuracy_many": recall[:2].mean(),  # over 100 images; 100 and 20 are medium
        "accuracy_medium": recall[2:4].mean(),
        "accuracy_few": recall[4],
        "nll": sklearn_metrics.log_loss(labels, probs),
        "brier": np.mean(np.sum((probs - np.eye(CLASSES)[labels]) ** 2, axis=1)),
        "ece15": multiclass_calibration_error(*tensors, CLASSES, n_bins=15).item(),
        "adaptive_ece15": adaptive / len(labels),
        "classwise_ece15": np.mean(classwise),
    }
    assert {key: found[key] for key in expected} == pytest.approx(expected, rel=1e-5, abs=1e-6)
    assert found["accuracy"] != pytest.approx(found["balanced_accuracy"], abs=1e-3)


def test_ood_metrics_are_what_others_compute(predictions):
    found = measure(predictions, long_tailed=False, ood_sets=("near", "far"))["ood"]

    def scores(logits):
        log_probs = log_softmax(logits.astype(np.float64), axis=1)
        return {
            "msp": np.exp(log_probs).max(axis=1),
            "max_logit": logits.max(axis=1),
            "entropy": (np.exp(log_probs) * log_probs).sum(axis=1),
            "energy": logsumexp(logits.astype(np.float64), axis=1),
        }

    inside = scores(predictions.logits)
    for name, logits in predictions.ood.items():
        for score, outside in scores(logits).items():
            values = np.concatenate([inside[score], outside])
            is_id = np.arange(len(values)) < len(inside[score])
            auroc = sklearn_metrics.roc_auc_score(is_id, values)
            assert found[name][score]["auroc"] == pytest.approx(auroc, abs=1e-9)
            rejected, caught, _ = sklearn_metrics.roc_curve(
                ~is_id, -values, drop_intermediate=False
            )
            expected = rejected[np.argmax(caught >= 0.95)]
            assert found[name][score]["fpr95_ood_pos"] == pytest.approx(expected, abs=1e-9)


def test_groups_are_for_long_tailed_splits_alone(predictions):
    found = measure(predictions, long_tailed=False, ood_sets=())
    assert [found[f"accuracy_{group}"] for group in ("many", "medium", "few")] == [None] * 3
    assert found["accuracy"] is not None


def test_ood_set_that_was_not_there_is_none(predictions):
    found = measure(predictions, long_tailed=False, ood_sets=("absent", "near"))
    assert found["ood"]["absent"] is None
    flat = flatten(found)
    assert flat["ood.absent"] is None
    assert flat["ood.near.msp.auroc"] == found["ood"]["near"]["msp"]["auroc"]
    assert flat["accuracy_few"] is None
    assert len(flat) == len(PLAIN) + 1 + len(SCORES) * len(DETECTION)


class Normed(nn.Module):
    """A network in which training and evaluation mode differ."""

    def __init__(self) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.conv = nn.Conv2d(3, 6, 3)
            self.norm = nn.BatchNorm2d(6)
            self.fc = nn.Linear(6, CLASSES)
        self.norm.running_mean.fill_(0.3)
        self.norm.running_var.fill_(2.0)

    def forward(self, images):
        features = self.norm(self.conv(images)).relu().mean((2, 3))
        return self.fc(nn.functional.dropout(features, 0.5, self.training))


MEAN, STD = np.float32([0.5, 0.4, 0.3]), np.float32([0.2, 0.3, 0.25])


def some_images(count: int) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (count, 8, 8, 3), dtype=np.uint8)


def test_prediction_is_that_of_the_normalized_images_in_evaluation_mode():
    network, images = Normed().train(), some_images(30)
    logits = predict(network, images, MEAN, STD, CPU)
    pixels = ((images / 255.0 - MEAN) / STD).astype(np.float32).transpose(0, 3, 1, 2)
    with torch.no_grad():
        expected = Normed().eval()(torch.from_numpy(pixels)).numpy()
    assert logits.dtype == np.float32
    assert logits == pytest.approx(expected, rel=1e-4, abs=1e-5)
    assert network.norm.running_mean.eq(0.3).all()


@pytest.mark.parametrize("size", [1, 7, 30])
def test_prediction_does_not_depend_on_the_batch_and_tells_what_is_done(monkeypatch, size):
    network, images = Normed(), some_images(30)
    whole = predict(network, images, MEAN, STD, CPU)
    monkeypatch.setattr(evaluation, "batch_size", lambda pixels, device: size)
    done: list[int] = []
    parts = predict(network, images, MEAN, STD, CPU, done.append)
    assert parts == pytest.approx(whole, rel=1e-5, abs=1e-6)
    assert sum(done) == 30
    assert max(done) == size


@pytest.mark.parametrize(
    ("side", "threads", "expected"),
    [(32, 1, 20), (32, 2, 40), (32, 64, 100), (8, 1, 100), (512, 1, 1)],
)
def test_batches_on_a_cpu_grow_with_threads_and_shrink_with_pixels(
    monkeypatch, side, threads, expected
):
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    assert batch_size(side**2, CPU) == expected


def split_images() -> SplitImages:
    def image_set(name, count, labels):
        return ImageSet(name, some_images(count), np.array(labels), official=True)

    return SplitImages(
        fit=image_set("fit", 4, [0, 2, 2, 3]),
        test=image_set("test", 3, [0, 1, 2]),
        ood={"noise": image_set("noise", 2, [0, 0])},
        missing_ood={"svhn": "not there"},
    )


def test_predictions_of_a_split_hold_the_counts_of_what_was_trained_on():
    found = predict_split(lambda images: np.zeros((len(images), 5), np.float32), split_images())
    assert found.class_counts.tolist() == [1, 0, 2, 1, 0]
    assert found.labels.tolist() == [0, 1, 2]
    assert found.logits.shape == (3, 5)
    assert {name: values.shape for name, values in found.ood.items()} == {"noise": (2, 5)}


@pytest.mark.parametrize(("count", "name"), [(3, "test set"), (2, "noise")])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_logits_that_are_not_finite_fail_the_run_by_the_name_of_the_set(count, name, value):
    def predict_images(images):
        logits = np.zeros((len(images), 5), np.float32)
        logits[-1, 1] = value if len(images) == count else 0
        return logits

    with pytest.raises(RunError, match=f"not finite on the {name}"):
        predict_split(predict_images, split_images())
