from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import log_softmax, one_hot, softmax
from torch.testing import assert_close

from dcbench.methods import Batch, build_method, infinite_class
from dcbench.methods.infinite_class import contrast, infinite_class_loss, mixed_scores
from dcbench.methods.mixing import mixed_class_ids, mixed_labels

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
    for settings in ({}, {"duplicates": "share"}, {"axes": "pair"}):
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


@pytest.fixture
def shared_ids(monkeypatch: pytest.MonkeyPatch) -> list[Tensor | None]:
    """The class ids of every loss that a method asks for."""
    seen: list[Tensor | None] = []

    def spy(logits: Tensor, soft: Tensor, axes: str = "both", class_ids: Tensor | None = None):
        seen.append(class_ids)
        return infinite_class_loss(logits, soft, axes, class_ids)

    monkeypatch.setattr(infinite_class, "infinite_class_loss", spy)
    return seen


def test_only_the_setting_makes_mirrored_and_unmixed_pairs_share(generator, shared_ids):
    batch = Batch(
        images=torch.randn(4, 3, 2, 2, generator=generator, dtype=torch.float64),
        labels=torch.tensor([0, 1, 2, 2]),
        partners=torch.tensor([1, 0, 3, 2]),
        coefficients=torch.tensor([0.25, 0.75, 0.6, 0.1], dtype=torch.float64),
        class_counts=torch.ones(CLASSES, dtype=torch.float64),
    )
    network = linear_network(generator)
    build_method("ic-mixup", {}).loss(network, batch)
    build_method("ic-mixup", {"duplicates": "share"}).loss(network, batch)
    assert shared_ids[0] is None
    first, second, third, fourth = shared_ids[1].tolist()
    assert first == second != third == fourth


def test_ic_remix_shares_by_the_labels_share_and_not_by_the_images(generator, shared_ids):
    # Class 0 has ten times the images of the others: every pair of 0 and 1 becomes all of 1.
    batch = Batch(
        images=torch.randn(4, 3, 2, 2, generator=generator, dtype=torch.float64),
        labels=torch.tensor([0, 1, 0, 1]),
        partners=torch.tensor([1, 2, 3, 0]),
        coefficients=torch.tensor([0.2, 0.9, 0.4, 0.7], dtype=torch.float64),
        class_counts=torch.tensor([100.0, 10, 10, 10, 10], dtype=torch.float64),
    )
    network = linear_network(generator)
    loss = build_method("ic-remix", {"duplicates": "share", "axes": "class"}).loss(network, batch)
    assert len(set(shared_ids[0].tolist())) == 1
    # One mixed class of four pairs: every classifier is the same, and the loss is log 4.
    assert loss.item() == pytest.approx(math.log(4))


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
    }
    remix, regmixup = (
        build_method("ic-remix", {}).settings,
        build_method("ic-regmixup", {}).settings,
    )
    assert (remix["kappa"], remix["tau"], remix["axes"]) == (3.0, 0.5, "both")
    assert (regmixup["alpha"], regmixup["eta"], regmixup["forward"]) == (20.0, 1.0, "separate")
