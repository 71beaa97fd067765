from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from dcbench.errors import UsageError
from dcbench.methods import Task, build_method
from dcbench.methods.long_tailed import effective_number_weights, ldam_margins
from dcbench.models import build_model
from dcbench.training.augment import DeviceImages
from dcbench.training.trainer import Trainer
from tests.methods.networks import CLASSES, COUNTS, Small, a_batch
from tests.training.test_trainer import a_trainer, assert_same, train, weights

EQUAL = torch.full((CLASSES,), 50.0)
EARLY, LATE = torch.tensor(0.79), torch.tensor(0.8)


def log_probs_of(network: Small, images: torch.Tensor, offsets: list[float]) -> np.ndarray:
    logits = network(images).detach().double().numpy() + offsets
    return logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))


def papers_weights(beta: float) -> np.ndarray:
    """Cui et al. 2019, equation 3, with the sum normalized to the number of classes."""
    weights = np.array([(1 - beta) / (1 - beta**count) for count in COUNTS])
    return weights * CLASSES / weights.sum()


def assert_same_loss_and_gradient(one, other, network: Small, batch) -> None:
    losses = [each.loss(network, batch) for each in (one, other)]
    assert_close(*losses)
    weights = list(network.parameters())
    assert_close(*[torch.autograd.grad(loss, weights) for loss in losses])


# --- logit adjustment ----------------------------------------------------------------------------


@pytest.mark.parametrize("tau", [0.5, 1.0, 2.0])
def test_logit_adjustment_adds_tau_times_the_log_frequency_while_it_learns(tau):
    batch, network = a_batch(), Small()
    offsets = [tau * np.log(count / sum(COUNTS)) for count in COUNTS]
    log_probs = log_probs_of(network, batch.images, offsets)
    expected = -log_probs[np.arange(10), batch.labels].mean()
    method = build_method("logit-adjustment", {"tau": tau})
    assert method.loss(network, batch).item() == pytest.approx(expected, rel=1e-5)
    assert torch.equal(method.logits(network, batch.images), network(batch.images))


@pytest.mark.parametrize("tau", [0.0, 1.5])
def test_adjusted_predictions_are_those_of_erm_less_tau_times_the_log_frequency(tau):
    adjusted = a_trainer(build_method("logit-adjustment", {"tau": tau, "when": "prediction"}))
    plain = a_trainer("erm")
    train(adjusted)
    train(plain)
    found = {key: value for key, value in weights(adjusted).items() if key != "adjustment"}
    assert_same(found, weights(plain))
    counts = np.maximum(adjusted._task.class_counts, 1)
    images = torch.randn(5, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = plain.network(images).double().numpy() - tau * np.log(counts / counts.sum())
        logits = adjusted.method.logits(adjusted.network, images)
    assert_close(logits.double(), torch.from_numpy(expected), rtol=1e-5, atol=1e-5)


def test_balanced_softmax_counts_each_class_as_often_as_it_has_images():
    batch, network = a_batch(), Small()
    logits = network(batch.images).detach().double().numpy()
    weighted = np.array(COUNTS) * np.exp(logits)  # Ren et al. 2020, equation 4
    expected = -np.log((weighted / weighted.sum(axis=1, keepdims=True))[range(10), batch.labels])
    found = build_method("balanced-softmax", {}).loss(network, batch)
    assert found.item() == pytest.approx(expected.mean(), rel=1e-5)


def test_logit_adjustment_with_tau_1_is_balanced_softmax_and_with_0_erm():
    batch, network = a_batch(), Small()
    for tau, name in ((1, "balanced-softmax"), (0, "erm")):
        method = build_method("logit-adjustment", {"tau": tau})
        assert_same_loss_and_gradient(method, build_method(name, {}), network, batch)


@pytest.mark.parametrize("name", ["balanced-softmax", "logit-adjustment", "class-balanced"])
def test_equal_classes_make_erm_of_it(name):
    batch, network = a_batch(class_counts=EQUAL), Small()
    assert_same_loss_and_gradient(build_method(name, {}), build_method("erm", {}), network, batch)


@pytest.mark.parametrize(
    "name", ["balanced-softmax", "logit-adjustment", "class-balanced", "mixup-drw"]
)
def test_class_without_images_gives_a_finite_loss(name):
    counts = torch.tensor([100.0, 50, 20, 0])
    batch = a_batch(class_counts=counts, progress=LATE, labels=torch.arange(10) % 3)
    assert torch.isfinite(build_method(name, {}).loss(Small(), batch))


# --- re-weighting --------------------------------------------------------------------------------


def test_weights_by_hand():
    # Effective numbers of 1 and 2 images with beta 1/2: 1 and 1.5; inverse 1 and 2/3, mean 5/6.
    found = effective_number_weights(torch.tensor([1.0, 2.0]), 0.5)
    assert_close(found, torch.tensor([1.2, 0.8]))


@pytest.mark.parametrize("beta", [0.0, 0.9, 0.999, 0.9999])
def test_weights_are_the_papers_and_precise_for_few_images(beta):
    found = effective_number_weights(torch.tensor(COUNTS, dtype=torch.float32), beta)
    assert_close(found.double(), torch.from_numpy(papers_weights(beta)), rtol=2e-6, atol=0)


def test_class_balanced_is_the_mean_over_images_of_weighted_cross_entropies():
    batch, network = a_batch(), Small()
    own = -log_probs_of(network, batch.images, [0.0] * CLASSES)[np.arange(10), batch.labels]
    expected = (papers_weights(0.999)[batch.labels] * own).mean()
    found = build_method("class-balanced", {"beta": 0.999}).loss(network, batch)
    assert found.item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(("name", "plain"), [("mixup-drw", "mixup"), ("remix-drw", "remix")])
def test_deferred_method_is_the_plain_one_before_80_percent(name, plain):
    batch, network = a_batch(progress=EARLY), Small()
    deferred = build_method(name, {}).loss(network, batch)
    assert_close(deferred, build_method(plain, {}).loss(network, batch))


@pytest.mark.parametrize(("name", "plain"), [("mixup-drw", "mixup"), ("remix-drw", "remix")])
def test_deferred_method_weighs_both_labels_by_their_classes_from_80_percent_on(name, plain):
    batch, network = a_batch(progress=LATE), Small()
    base = build_method(plain, {})
    own = base.label_coefficients(batch).double().numpy()
    losses = -log_probs_of(network, base.mixed_images(batch), [0.0] * CLASSES)
    weights, labels = papers_weights(0.9999), batch.labels.numpy()
    others = labels[batch.partners]
    rows = np.arange(10)
    mine, other = (weights[each] * losses[rows, each] for each in (labels, others))
    expected = (own * mine + (1 - own) * other).mean()
    found = build_method(name, {}).loss(network, batch)
    assert found.item() == pytest.approx(expected, rel=1e-5)
    assert found.item() != pytest.approx(base.loss(network, batch).item(), rel=1e-3)


def test_deferred_method_may_begin_elsewhere_and_with_beta_0_it_never_weighs():
    network = Small()
    batch = a_batch(progress=torch.tensor(0.2))
    early = build_method("mixup-drw", {"begin": 0.1}).loss(network, batch)
    late = build_method("mixup-drw", {}).loss(network, a_batch(progress=LATE))
    plain = build_method("mixup", {}).loss(network, batch)
    assert_close(early, late)
    never = build_method("mixup-drw", {"begin": 0, "beta": 0}).loss(network, batch)
    assert_close(never, plain)


# --- margins -------------------------------------------------------------------------------------


def test_margins_by_hand():
    # 16, 81 and 625 images: 1/2, 1/3 and 1/5, of which the first is to be 0.5.
    found = ldam_margins(torch.tensor([625.0, 81, 16]), 0.5)
    assert_close(found, torch.tensor([1 / 5, 1 / 3, 1 / 2]))
    assert_close(ldam_margins(torch.tensor([16.0, 256]), 0.3), torch.tensor([0.3, 0.15]))


def ldam_network(method) -> Small:
    return method.network(Small, Task((4, 4), tuple(COUNTS)))


@pytest.mark.parametrize("name", ["ldam", "ldam-drw"])
@pytest.mark.parametrize("progress", [EARLY, LATE])
def test_ldam_is_the_official_loss_of_cosines_with_weights_where_they_are_deferred(name, progress):
    method = build_method(name, {"margin": 0.4, "scale": 20})
    batch, network = a_batch(progress=progress), ldam_network(method)
    features = network.features(batch.images).detach().double().numpy()
    vectors = network.fc.weight.detach().double().numpy()
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    cosines = features @ (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).T
    assert_close(
        network(batch.images).double(), torch.from_numpy(20 * cosines), rtol=1e-5, atol=1e-5
    )
    margins = 1 / np.sqrt(np.sqrt(COUNTS))
    margins *= 0.4 / margins.max()
    rows, labels = np.arange(10), batch.labels.numpy()
    cosines[rows, labels] -= margins[labels]
    losses = np.log(np.exp(20 * cosines).sum(axis=1)) - 20 * cosines[rows, labels]
    weighted = name == "ldam-drw" and progress is LATE
    weights = papers_weights(0.9999)[labels] if weighted else np.ones(10)
    found = method.loss(network, batch)
    assert found.item() == pytest.approx((weights * losses).sum() / weights.sum(), rel=1e-5)


def test_ldam_without_margin_is_erm_on_its_own_network():
    method = build_method("ldam", {"margin": 0})
    network = ldam_network(method)
    assert_same_loss_and_gradient(method, build_method("erm", {}), network, a_batch())


def test_classifier_of_ldam_begins_with_vectors_of_length_1_and_has_no_bias():
    network = ldam_network(build_method("ldam", {}))
    assert_close(network.fc.weight.norm(dim=1), torch.ones(CLASSES))
    assert [name for name, _ in network.fc.named_parameters()] == ["weight"]


def test_ldam_has_the_papers_number_of_weights_on_cifar_100():
    # 470,004 with the ordinary classifier of 64 x 100 weights and 100 biases.
    method = build_method("ldam", {})
    network = method.network(lambda: build_model("resnet-32", 100), Task((32, 32), (5,) * 100))
    assert sum(each.numel() for each in network.parameters()) == 469_904


def test_ldam_refuses_a_network_without_a_linear_classifier():
    with pytest.raises(UsageError, match=r"network ReLU: the method needs a torch\.nn\.Linear"):
        build_method("ldam", {}).network(torch.nn.ReLU, Task((4, 4), tuple(COUNTS)))


@pytest.mark.parametrize(
    ("name", "settings", "other", "kept"),
    [
        ("remix", {"alpha": 0.5, "kappa": 2.0}, "mixup", {"alpha": 0.5}),
        ("ic-remix", {"axes": "pair", "tau": 0.3}, "ic-mixup", {"axes": "pair"}),
        ("remix-drw", {"begin": 0.5, "kappa": 2.0}, "mixup-drw", {"begin": 0.5}),
        ("ldam-drw", {"scale": 20.0, "begin": 0.5}, "ldam", {"scale": 20.0}),
        ("mixup", {}, None, {}),
        ("mixup-drw", {}, None, {}),
    ],
)
def test_method_says_which_one_it_is_where_classes_are_equal(name, settings, other, kept):
    method = build_method(name, settings)
    assert method.same_as(long_tailed=True) is None
    expected = build_method(other, kept) if other else None
    assert method.same_as(long_tailed=False) == expected


@pytest.mark.parametrize("name", ["ldam-drw", "remix-drw"])
def test_method_trains_to_the_bits_of_the_one_that_it_says_it_is(name):
    method = build_method(name, {"begin": 0.2})
    equal = np.arange(24) % CLASSES
    one, other = (
        equal_trainer(each, equal) for each in (method, method.same_as(long_tailed=False))
    )
    train(one)
    train(other)
    assert_same(weights(one), weights(other))


def equal_trainer(method, labels: np.ndarray) -> Trainer:
    given = a_trainer(method)
    generator = np.random.default_rng(0)
    pixels = generator.integers(0, 256, (len(labels), 8, 8, 3), dtype=np.uint8)
    images = DeviceImages(
        pixels,
        mean=np.float32([0.5] * 3),
        std=np.float32([0.25] * 3),
        device=torch.device("cpu"),
        padding=given.recipe.padding,
        border=given.recipe.border,
    )
    return Trainer(images, labels, CLASSES, method, given.recipe, 0)
