from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import log_softmax, one_hot, softmax
from torch.testing import assert_close

from dcbench.config.protocol import load_protocol
from dcbench.errors import UsageError
from dcbench.methods import Batch, Task, build_method, infinite_class, method_class
from dcbench.methods.infinite_class import (
    contrast,
    infinite_class_loss,
    log_frequencies,
    mixed_scores,
)
from dcbench.methods.mixing import mixed_class_ids, mixed_labels
from dcbench.models.past_pairs import PastPairs
from dcbench.runs.plan import choose
from tests.training.test_trainer import (
    a_trainer,
    assert_resumes,
    assert_same,
    train,
    weights,
)

CLASSES, FEATURES = 5, 7
AXES = pytest.mark.parametrize("axes", ["class", "pair", "both"])


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def soft_labels(size: int, generator: torch.Generator) -> Tensor:
    labels = torch.randint(CLASSES, (size,), generator=generator)
    partners = torch.randint(CLASSES, (size,), generator=generator)
    shares = torch.rand(size, 1, generator=generator, dtype=torch.float64)
    return shares * one_hot(labels, CLASSES) + (1 - shares) * one_hot(partners, CLASSES)


def some_logits(size: int, generator: torch.Generator) -> Tensor:
    return 2 * torch.randn(size, CLASSES, generator=generator, dtype=torch.float64)


def some_batch(
    generator: torch.Generator, size: int = 12, coefficient: float | None = None, counts=None
) -> Batch:
    coefficients = torch.rand(size, generator=generator, dtype=torch.float64)
    if coefficient is not None:
        coefficients = torch.full((size,), coefficient, dtype=torch.float64)
    return Batch(
        images=torch.randn(size, 3, 2, 2, generator=generator, dtype=torch.float64),
        labels=torch.randint(CLASSES, (size,), generator=generator),
        partners=torch.randperm(size, generator=generator),
        coefficients=coefficients,
        class_counts=torch.tensor(counts or [20] * CLASSES, dtype=torch.float64),
    )


def linear_network(generator: torch.Generator) -> nn.Module:
    torch.manual_seed(int(torch.randint(2**31, (), generator=generator)))
    return nn.Sequential(nn.Flatten(), nn.Linear(12, CLASSES)).double()


def axis_loss(scores: Tensor) -> Tensor:
    """Minus the mean logarithm of the diagonal of a softmax over each row."""
    return -log_softmax(scores, dim=1).diagonal().mean()


# --- the loss of a batch -------------------------------------------------------------------------


def test_scores_are_those_of_classifiers_with_mixed_weights_and_mixed_biases(generator):
    features = torch.randn(12, FEATURES, generator=generator, dtype=torch.float64)
    linear = nn.Linear(FEATURES, CLASSES).double()
    soft = soft_labels(12, generator)
    weights, biases = soft @ linear.weight, soft @ linear.bias
    scores = torch.stack([features @ w + b for w, b in zip(weights, biases, strict=True)], dim=1)
    logits = linear(features)
    assert_close(infinite_class_loss(logits, soft, "class"), axis_loss(scores))
    assert_close(infinite_class_loss(logits, soft, "pair"), axis_loss(scores.T))
    assert_close(infinite_class_loss(logits, soft), axis_loss(scores) + axis_loss(scores.T))


def test_pair_axis_gives_the_bias_no_gradient_and_the_class_axis_does(generator):
    features = torch.randn(12, FEATURES, generator=generator, dtype=torch.float64)
    soft = soft_labels(12, generator)
    largest = {}
    for axes in ("pair", "class"):
        linear = nn.Linear(FEATURES, CLASSES).double()
        infinite_class_loss(linear(features), soft, axes).backward()
        largest[axes] = linear.bias.grad.abs().max().item()
        assert linear.weight.grad.abs().max() > 1e-3
    assert largest["pair"] < 1e-12
    assert largest["class"] > 1e-3


def test_an_offset_of_each_class_leaves_the_pair_axis_alone(generator):
    logits, soft = some_logits(9, generator), soft_labels(9, generator)
    moved = logits + torch.tensor([5.0, -3, 0, 1, 2])
    assert_close(
        infinite_class_loss(moved, soft, "pair"), infinite_class_loss(logits, soft, "pair")
    )
    classes = [infinite_class_loss(each, soft, "class") for each in (moved, logits)]
    assert (classes[0] - classes[1]).abs() > 0.01


def test_an_offset_of_each_image_leaves_the_class_axis_alone(generator):
    logits, soft = some_logits(9, generator), soft_labels(9, generator)
    moved = logits + torch.arange(9).unsqueeze(1)
    found, expected = (infinite_class_loss(each, soft, "class") for each in (moved, logits))
    assert_close(found, expected)


def test_unmixed_class_axis_has_the_gradient_of_balanced_softmax(generator):
    labels = torch.tensor([0, 0, 0, 1, 1, 3, 4, 4, 4, 4])
    logits = some_logits(10, generator).requires_grad_()
    counts = torch.bincount(labels, minlength=CLASSES).double()
    infinite_class_loss(logits, one_hot(labels, CLASSES).double(), "class").backward()
    # Ren et al. 2020: the logarithms of the counts are added to the logits. Class 2 is absent.
    balanced = softmax(logits.detach() + counts.log(), dim=1)
    assert_close(logits.grad, (balanced - one_hot(labels, CLASSES)) / 10)
    assert logits.grad[:, 2].abs().max() == 0


@AXES
def test_a_batch_of_one_gives_no_loss_and_no_gradient(axes, generator):
    logits = some_logits(1, generator).requires_grad_()
    loss = infinite_class_loss(logits, soft_labels(1, generator), axes)
    loss.backward()
    assert loss.item() == 0
    assert logits.grad.abs().max() == 0


def test_pair_axis_is_the_class_axis_of_the_transposed_scores(generator):
    scores = torch.randn(CLASSES, CLASSES, generator=generator, dtype=torch.float64)
    identity = torch.eye(CLASSES, dtype=torch.float64)
    pair = infinite_class_loss(scores, identity, "pair")
    assert_close(pair, infinite_class_loss(scores.T, identity, "class"))
    assert (pair - infinite_class_loss(scores, identity, "class")).abs() > 1e-3


@AXES
def test_the_order_of_the_batch_makes_no_difference(axes, generator):
    logits, soft = some_logits(12, generator), soft_labels(12, generator)
    other = torch.randperm(12, generator=generator)
    moved = infinite_class_loss(logits[other], soft[other], axes)
    assert_close(moved, infinite_class_loss(logits, soft, axes))


@pytest.mark.parametrize("size", [1, 2, 16, 128])
def test_loss_at_chance_is_the_logarithm_of_the_batch_for_each_axis(size, generator):
    logits = torch.zeros(size, CLASSES)
    soft = soft_labels(size, generator).float()
    for axes, times in (("class", 1), ("pair", 1), ("both", 2)):
        loss = infinite_class_loss(logits, soft, axes).item()
        assert loss == pytest.approx(times * math.log(size), abs=1e-5)


def test_a_batch_of_one_class_teaches_the_class_axis_nothing(generator):
    logits = some_logits(8, generator).requires_grad_()
    soft = one_hot(torch.full((8,), 3), CLASSES).double()
    loss = infinite_class_loss(logits, soft, "class")
    loss.backward()
    assert loss.item() == pytest.approx(math.log(8))
    assert logits.grad.abs().max() < 1e-12


@AXES
def test_loss_is_computed_in_float32_under_bfloat16_autocast(axes, generator):
    logits = some_logits(16, generator).bfloat16()
    soft = soft_labels(16, generator).float()
    expected = infinite_class_loss(logits.float(), soft, axes)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = infinite_class_loss(logits, soft, axes)
        assert (logits.float() @ soft.T).dtype == torch.bfloat16
    assert loss.dtype == torch.float32
    assert loss.item() == expected.item()


def test_gradient_is_that_of_finite_differences(generator):
    logits = some_logits(5, generator).requires_grad_()
    soft = soft_labels(5, generator)
    assert torch.autograd.gradcheck(lambda each: infinite_class_loss(each, soft), (logits,))


# --- scores without a matrix product -------------------------------------------------------------


def pairs(size: int, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Labels, partners' labels and shares; the first pair is within a class."""
    labels = torch.randint(CLASSES, (size,), generator=generator)
    partner_labels = torch.randint(CLASSES, (size,), generator=generator)
    partner_labels[0] = labels[0]
    return labels, partner_labels, torch.rand(size, generator=generator, dtype=torch.float64)


def test_indexed_scores_and_their_gradient_are_those_of_the_product_with_mixed_labels(generator):
    labels, partner_labels, shares = pairs(12, generator)
    logits = some_logits(9, generator).requires_grad_()
    weights = torch.randn(9, 12, generator=generator, dtype=torch.float64)
    product = logits @ mixed_labels(labels, partner_labels, shares, CLASSES).T
    indexed = mixed_scores(logits, labels, partner_labels, shares)
    assert_close(indexed, product)
    found, expected = (
        torch.autograd.grad((weights * scores).sum(), logits)[0] for scores in (indexed, product)
    )
    assert_close(found, expected)


def test_indexed_scores_round_each_of_their_two_products_once(generator):
    labels, partner_labels, shares = pairs(50, generator)
    logits, shares = 30 * some_logits(50, generator).float(), shares.float()
    soft = mixed_labels(labels, partner_labels, shares, CLASSES).double()
    exact = logits.double() @ soft.T
    scores = mixed_scores(logits, labels, partner_labels, shares)
    largest = logits.abs().max().item()
    # TF32 keeps 10 bits behind the point where float32 keeps 23.
    assert (scores.double() - exact).abs().max() < 2 * largest * 2**-23
    assert scores.dtype == torch.float32


def test_methods_use_indexed_scores_where_products_are_rounded_to_tf32(generator, monkeypatch):
    batch, network = some_batch(generator), linear_network(generator)
    for settings in ({}, {"axes": "class"}, {"axes": "pair"}):
        method = build_method("ic-mixup", settings)
        expected = method.loss(network, batch)
        with monkeypatch.context() as patch:
            patch.setattr(infinite_class, "_products_are_rounded", lambda logits: True)
            patch.setattr(infinite_class, "infinite_class_loss", None)
            assert_close(method.loss(network, batch), expected)


def test_contrast_is_the_cross_entropy_of_the_diagonal(generator):
    scores = torch.randn(6, 6, generator=generator, dtype=torch.float64)
    assert_close(contrast(scores, "class"), axis_loss(scores))
    assert_close(contrast(scores, "pair"), axis_loss(scores.T))
    assert_close(contrast(scores, "both"), axis_loss(scores) + axis_loss(scores.T))


# --- pairs of one mixed class --------------------------------------------------------------------


def duplicated() -> tuple[Tensor, Tensor]:
    """Soft labels of six pairs of which 0, 2, 5 and 1, 4 are the same class, and their ids."""
    soft = torch.zeros(6, CLASSES, dtype=torch.float64)
    soft[[0, 2, 5]] = torch.tensor([0.25, 0.75, 0, 0, 0], dtype=torch.float64)
    soft[[1, 4]] = torch.tensor([0, 0, 1.0, 0, 0], dtype=torch.float64)
    soft[3, 4] = 1
    return soft, torch.tensor([7, 8, 7, 9, 8, 7])


def test_negative_duplicates_cannot_get_below_the_mean_logarithm_of_their_number():
    soft, _ = duplicated()
    perfect = 200 * soft
    loss = infinite_class_loss(perfect, soft, "class").item()
    assert loss == pytest.approx((3 * math.log(3) + 2 * math.log(2)) / 6, abs=1e-9)


def test_pairs_of_one_id_share_the_target_evenly_on_both_axes(generator):
    logits, soft = some_logits(6, generator), soft_labels(6, generator)
    ids = torch.tensor([7, 8, 7, 9, 8, 7])
    third, half = 1 / 3, 1 / 2
    targets = torch.tensor(
        [
            [third, 0, third, 0, 0, third],
            [0, half, 0, 0, half, 0],
            [third, 0, third, 0, 0, third],
            [0, 0, 0, 1, 0, 0],
            [0, half, 0, 0, half, 0],
            [third, 0, third, 0, 0, third],
        ],
        dtype=torch.float64,
    )
    scores = logits @ soft.T
    expected = {
        "class": -(targets * log_softmax(scores, dim=1)).sum(dim=1).mean(),
        "pair": -(targets * log_softmax(scores.T, dim=1)).sum(dim=1).mean(),
    }
    expected["both"] = expected["class"] + expected["pair"]
    for axes, value in expected.items():
        assert_close(infinite_class_loss(logits, soft, axes, ids), value)
        assert (value - infinite_class_loss(logits, soft, axes)).abs() > 1e-2


@AXES
def test_sharing_between_equal_classifiers_is_worth_the_same_as_contrasting_them(axes, generator):
    """Equal classifiers have equal scores, so how a target is spread over them is no matter."""
    soft, ids = duplicated()
    scores, found = some_logits(6, generator), []
    for class_ids in (None, ids):
        logits = scores.clone().requires_grad_()
        loss = infinite_class_loss(logits, soft, axes, class_ids)
        found.append((loss, torch.autograd.grad(loss, logits)[0]))
    assert_close(*found)


def test_sharing_changes_nothing_where_all_pairs_differ(generator):
    logits, soft = some_logits(8, generator), soft_labels(8, generator)
    shared = infinite_class_loss(logits, soft, "both", torch.arange(8))
    assert_close(shared, infinite_class_loss(logits, soft, "both"))


def ids_of(*pairs: tuple[int, int, float], dtype: torch.dtype = torch.float32) -> list[int]:
    own, other, share = zip(*pairs, strict=True)
    shares = torch.tensor(share, dtype=dtype)
    return mixed_class_ids(torch.tensor(own), torch.tensor(other), shares, CLASSES).tolist()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ((1, 3, 0.3), (3, 1, 0.7)),
        ((1, 3, 0.5), (3, 1, 0.5)),
        ((2, 2, 0.3), (2, 2, 0.9)),
        ((2, 2, 0.3), (2, 4, 1.0)),
        ((2, 2, 0.3), (0, 2, 0.0)),
        ((2, 0, 1.0), (4, 2, 0.0)),
        ((0, 1, 1.0), (0, 4, 1.0)),
        ((0, 1, 0.0), (1, 1, 0.4)),
        ((1, 3, 0.3), (1, 3, 0.1 + 0.2)),
        ((0, 4, 1 - 1e-8), (0, 0, 0.5)),
    ],
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_two_ways_to_write_one_mixed_class_have_one_id(one, other, dtype):
    first, second = ids_of(one, other, dtype=dtype)
    assert first == second


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ((1, 3, 0.3), (1, 3, 0.7)),
        ((1, 3, 0.3), (3, 1, 0.3)),
        ((1, 3, 0.3), (1, 4, 0.3)),
        ((1, 3, 0.3), (2, 3, 0.3)),
        ((1, 3, 0.3), (1, 3, 0.30001)),
        ((1, 3, 1.0), (1, 3, 0.0)),
        ((1, 3, 1.0), (1, 3, 0.9999)),
        ((1, 1, 0.5), (3, 3, 0.5)),
        ((0, 1, 0.0), (0, 1, 1.0)),
    ],
)
def test_two_different_mixed_classes_have_different_ids(one, other):
    first, second = ids_of(one, other)
    assert first != second


def test_ids_are_equal_exactly_where_soft_labels_are():
    shares = [step / 8 for step in range(9)]
    pairs = [(a, b, s) for a in range(CLASSES) for b in range(CLASSES) for s in shares]
    own, other, share = (torch.tensor(each) for each in zip(*pairs, strict=True))
    soft = share[:, None] * one_hot(own, CLASSES) + (1 - share[:, None]) * one_hot(other, CLASSES)
    same = (soft[:, None] == soft[None]).all(dim=2)
    ids = mixed_class_ids(own, other, share, CLASSES)
    assert torch.equal(ids[:, None] == ids[None], same)


# --- the methods ---------------------------------------------------------------------------------


def test_method_mixes_images_and_labels_by_the_same_partners_and_shares(generator):
    batch, network = some_batch(generator), linear_network(generator)
    soft = torch.zeros(12, CLASSES, dtype=torch.float64)
    mixed = torch.zeros_like(batch.images)
    for i, j in enumerate(batch.partners.tolist()):
        share = batch.coefficients[i]
        mixed[i] = share * batch.images[i] + (1 - share) * batch.images[j]
        soft[i, batch.labels[i]] += share
        soft[i, batch.labels[j]] += 1 - share
    scores = network(mixed) @ soft.T
    expected = axis_loss(scores) + axis_loss(scores.T)
    assert_close(build_method("ic-mixup", {}).loss(network, batch), expected)


@AXES
def test_coefficient_1_is_the_loss_of_the_images_and_0_that_of_their_partners(axes, generator):
    one = some_batch(generator, coefficient=1.0)
    zero = Batch(
        one.images, one.labels, one.partners, torch.zeros_like(one.coefficients), one.class_counts
    )
    network, method = linear_network(generator), build_method("ic-mixup", {"axes": axes})
    unmixed = infinite_class_loss(
        network(one.images), one_hot(one.labels, CLASSES).double(), axes=axes
    )
    assert_close(method.loss(network, one), unmixed)
    assert_close(method.loss(network, zero), unmixed)  # partners are a permutation of the batch


@AXES
@pytest.mark.parametrize("duplicates", ["negative", "share"])
def test_ic_remix_of_balanced_classes_is_ic_mixup(axes, duplicates, generator):
    batch, network = some_batch(generator), linear_network(generator)
    settings = {"axes": axes, "duplicates": duplicates}
    remix, mixup = (build_method(name, settings) for name in ("ic-remix", "ic-mixup"))
    assert_close(remix.loss(network, batch), mixup.loss(network, batch))


def test_ic_remix_builds_classes_from_the_labels_share_and_images_from_the_images(generator):
    counts = [1000, 300, 80, 20, 5]
    batch, network = some_batch(generator, size=20, counts=counts), linear_network(generator)
    soft = torch.zeros(20, CLASSES, dtype=torch.float64)
    mixed = torch.zeros_like(batch.images)
    moved = 0
    for i, j in enumerate(batch.partners.tolist()):
        share = float(batch.coefficients[i])
        mixed[i] = share * batch.images[i] + (1 - share) * batch.images[j]
        ratio = counts[batch.labels[i]] / counts[batch.labels[j]]
        label_share = share
        if ratio >= 3 and share < 0.5:
            label_share = 0.0
        elif ratio <= 1 / 3 and 1 - share < 0.5:
            label_share = 1.0
        moved += label_share != share
        soft[i, batch.labels[i]] += label_share
        soft[i, batch.labels[j]] += 1 - label_share
    assert moved >= 3
    scores = network(mixed) @ soft.T
    expected = axis_loss(scores) + axis_loss(scores.T)
    assert_close(build_method("ic-remix", {}).loss(network, batch), expected)


@pytest.mark.parametrize("name", ["ic-mixup", "ic-remix", "ic-regmixup"])
def test_sharing_a_target_is_refused_for_new_runs_and_read_in_old_ones(name, generator):
    entry = load_protocol("v1-lite").entry("digits")
    with pytest.raises(UsageError, match="duplicates='share' is retired: equal classifiers have"):
        choose(entry, method_class(name), {"duplicates": "share"})
    network, batch = linear_network(generator), some_batch(generator)
    old, new = (build_method(name, {"duplicates": each}) for each in ("share", "negative"))
    assert torch.equal(old.loss(network, batch), new.loss(network, batch))


# --- beyond the paper ----------------------------------------------------------------------------


def test_temperature_divides_the_scores(generator):
    batch, network = some_batch(generator), linear_network(generator)
    halved = nn.Sequential(network, Halved())
    warm = build_method("ic-mixup", {"temperature": 2.0})
    assert_close(warm.loss(network, batch), build_method("ic-mixup", {}).loss(halved, batch))


class Halved(nn.Module):
    def forward(self, logits: Tensor) -> Tensor:
        return logits / 2


def test_prior_is_the_mean_log_frequency_of_the_classes_of_a_mixture():
    found = log_frequencies(
        torch.tensor([0, 1, 2]),
        torch.tensor([1, 1, 0]),
        torch.tensor([0.25, 0.9, 1.0]),
        torch.tensor([6.0, 2, 0]),  # the class without images counts as one of one: 9 in all
    )
    logs = [0.25 * math.log(6 / 9) + 0.75 * math.log(2 / 9), math.log(2 / 9), math.log(1 / 9)]
    assert_close(found, torch.tensor(logs))


def test_prior_weighs_the_images_of_the_pair_axis_by_a_power_of_their_frequency(generator):
    counts = [100, 30, 8, 2, 1]
    batch, network = (
        some_batch(generator, coefficient=1.0, counts=counts),
        linear_network(generator),
    )
    scores = network(batch.images)[:, batch.labels]
    frequency = batch.class_counts[batch.labels] / 141
    for power in (1.0, -0.5):
        weights = frequency**power
        shares = weights * scores.exp().T / (weights * scores.exp().T).sum(dim=1, keepdim=True)
        expected = -shares.diagonal().log().mean()
        settings = {"axes": "pair", "prior": power}
        assert_close(build_method("ic-mixup", settings).loss(network, batch), expected)
        settings["axes"] = "class"
        assert_close(build_method("ic-mixup", settings).loss(network, batch), axis_loss(scores))


def queued_network(size: int, generator: torch.Generator) -> nn.Module:
    task = Task((2, 2), (20,) * CLASSES)
    method = build_method("ic-mixup", {"queue": size})
    return method.network(lambda: linear_network(generator), task).double()


def test_first_batch_of_a_queue_has_the_loss_and_gradient_without_one(generator):
    network, batch = queued_network(7, generator), some_batch(generator)
    plain, queued = (build_method("ic-mixup", each) for each in ({}, {"queue": 7}))
    expected = plain.loss(network, batch)
    gradient = torch.autograd.grad(expected, list(network.parameters()))
    assert_close(queued.backward(network, batch), expected)
    assert_close([each.grad for each in network.parameters()], list(gradient))


@pytest.mark.parametrize("method", ["ic-mixup", "ic-remix"])
@pytest.mark.parametrize("prior", [0.0, 0.7])
def test_queue_adds_past_classifiers_of_now_and_past_images_as_they_were(method, prior, generator):
    counts = [100, 30, 8, 2, 1]
    network = queued_network(9, generator)
    queued = build_method(method, {"queue": 9, "temperature": 0.5, "prior": prior})
    past = some_batch(generator, size=6, counts=counts)
    with torch.no_grad():
        past_logits = network(queued.mixed_images(past))
    queued.backward(network, past)
    with torch.no_grad():
        for weight in network.parameters():
            weight.mul_(1.5)
    network.zero_grad()
    batch = some_batch(generator, size=4, counts=counts)
    logits = network(queued.mixed_images(batch))
    soft, past_soft = queued.mixed_labels(batch), queued.mixed_labels(past)
    classes = torch.cat([logits @ soft.T, logits @ past_soft.T], dim=1) / 0.5
    images = torch.cat([logits @ soft.T, past_logits @ soft.T]) / 0.5
    logs = (torch.tensor(counts, dtype=torch.float64) / sum(counts)).log()
    images = images + prior * torch.cat([soft @ logs, past_soft @ logs]).unsqueeze(1)
    expected = axis_loss(classes) + axis_loss(images.T)
    gradient = torch.autograd.grad(expected, list(network.parameters()))
    assert_close(queued.backward(network, batch), expected)
    assert_close([each.grad for each in network.parameters()], list(gradient))


def test_queue_keeps_the_last_pairs_and_overwrites_the_oldest():
    past = PastPairs(4, 2)

    def push(*labels: int) -> list[int]:
        ones = torch.ones(len(labels))
        logits = torch.stack([torch.tensor(labels) * 1.0, ones], dim=1)
        past.push(logits, torch.tensor(labels), torch.tensor(labels) + 10, ones / 2)
        assert past.logits[:, 0].tolist() == past.labels.tolist()
        return past.labels.tolist()

    assert push(1, 2, 3) == [1, 2, 3, 0]
    scores = torch.zeros(1, 4)
    assert past.masked(scores, 1).tolist() == [[0, 0, 0, -math.inf]]
    assert past.masked(scores.T, 0).tolist() == [[0], [0], [0], [-math.inf]]
    assert push(4, 5) == [5, 2, 3, 4]
    assert past.masked(scores, 1).tolist() == [[0, 0, 0, 0]]
    assert sorted(push(6, 7, 8, 9, 10, 11)) == [8, 9, 10, 11]
    assert past.partner_labels.tolist() == [each + 10 for each in past.labels.tolist()]


@pytest.mark.parametrize("name", ["ic-mixup", "ic-remix", "ic-regmixup", "ic-cutmix"])
def test_queue_goes_on_after_a_kill_and_is_empty_for_another_seed(name):
    method = build_method(name, {"queue": 24})
    whole = a_trainer(method)
    train(whole)
    assert whole.network.past_pairs.pushed > 24
    for steps in (3, 8):
        assert_resumes(whole, lambda: a_trainer(method), steps)
    first = weights(whole)
    whole.begin_again(seed=whole.seed)
    assert whole.network.past_pairs.pushed == 0
    train(whole)
    assert_same(weights(whole), first)


# --- the diagnostic ------------------------------------------------------------------------------


def unmixed_batch(generator: torch.Generator) -> tuple[nn.Module, Batch]:
    return linear_network(generator), some_batch(generator)


def test_ic_erm_has_the_gradient_of_balanced_softmax_with_the_counts_of_the_batch(generator):
    network, batch = unmixed_batch(generator)
    counts = torch.bincount(batch.labels, minlength=CLASSES).double()
    assert len(set(counts.tolist())) > 1
    loss = build_method("ic-erm", {"axes": "class"}).loss(network, batch)
    balanced = -log_softmax(network(batch.images) + counts.log(), dim=1)
    expected = balanced[torch.arange(12), batch.labels].mean()
    assert_close(loss, expected + counts[batch.labels].log().mean())
    found, wanted = (
        torch.autograd.grad(each, list(network.parameters())) for each in (loss, expected)
    )
    assert_close(found, wanted)


@AXES
def test_ic_erm_is_ic_mixup_of_unmixed_images(axes, generator):
    network, batch = unmixed_batch(generator)
    unmixed = replace(batch, coefficients=torch.ones(12, dtype=torch.float64))
    expected = build_method("ic-mixup", {"axes": axes}).loss(network, unmixed)
    assert_close(build_method("ic-erm", {"axes": axes}).loss(network, batch), expected)


@pytest.mark.parametrize(("axes", "expected"), [("class", 1.778249), ("pair", 1.794536)])
def test_ic_erm_gives_the_losses_worked_out_apart(axes, expected):
    logits = torch.tensor([[0, 0.5, 2], [1, 1, 2], [0.5, 0, 0.5], [2, 1, 1]])
    batch = Batch(
        images=torch.zeros(4, 3, 2, 2),
        labels=torch.tensor([0, 1, 2, 1]),
        partners=torch.tensor([2, 0, 3, 1]),
        coefficients=torch.full((4,), 0.3),
        class_counts=torch.tensor([50.0, 10, 5]),
    )
    loss = build_method("ic-erm", {"axes": axes}).loss(lambda _: logits, batch)
    assert loss.item() == pytest.approx(expected, abs=2e-6)


# --- what the methods start from -----------------------------------------------------------------


def test_mixed_labels_of_a_pair_within_a_class_are_that_class():
    labels = torch.tensor([2, 0])
    soft = mixed_labels(labels, torch.tensor([2, 1]), torch.tensor([0.3, 0.25]), CLASSES)
    assert_close(soft, torch.tensor([[0, 0, 1.0, 0, 0], [0.25, 0.75, 0, 0, 0]]))


def test_defaults_are_those_of_the_base_method_and_the_release():
    assert build_method("ic-mixup", {}).settings == {
        "alpha": 1.0,
        "coefficient": "batch",
        "axes": "both",
        "duplicates": "negative",
        "temperature": 1.0,
        "prior": 0.0,
        "queue": 0,
    }
    remix, regmixup = (
        build_method("ic-remix", {}).settings,
        build_method("ic-regmixup", {}).settings,
    )
    assert (remix["kappa"], remix["tau"], remix["axes"]) == (3.0, 0.5, "both")
    assert (regmixup["alpha"], regmixup["eta"], regmixup["forward"]) == (20.0, 1.0, "separate")
