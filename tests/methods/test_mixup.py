from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.testing import assert_close

from dcbench.draws import BetaMixing
from dcbench.methods import Batch, build_method
from dcbench.methods.infinite_class import infinite_class_loss
from dcbench.methods.mixing import mix_images, mixed_labels, remix_label_coefficients

CLASSES = 4


@pytest.fixture
def batch() -> Batch:
    generator = torch.Generator().manual_seed(0)
    return Batch(
        images=torch.randn(10, 3, 4, 4, generator=generator),
        labels=torch.randint(CLASSES, (10,), generator=generator),
        partners=torch.randperm(10, generator=generator),
        coefficients=torch.rand(10, generator=generator),
        class_counts=torch.tensor([100.0, 50, 20, 5]),
    )


class Counting(nn.Module):
    """A small network that remembers the batches it was called with."""

    def __init__(self, *, batch_norm: bool = False) -> None:
        super().__init__()
        torch.manual_seed(1)
        middle = nn.BatchNorm2d(6) if batch_norm else nn.Identity()
        self.layers = nn.Sequential(
            nn.Conv2d(3, 6, 3), middle, nn.Flatten(), nn.Linear(24, CLASSES)
        )
        self.seen: list[Tensor] = []

    def forward(self, images: Tensor) -> Tensor:
        self.seen.append(images)
        return self.layers(images)


@pytest.fixture
def network() -> Counting:
    return Counting()


def mixed_by_hand(batch: Batch) -> Tensor:
    rows = []
    for own, partner, share in zip(
        batch.images, batch.partners.tolist(), batch.coefficients.tolist(), strict=True
    ):
        rows.append(share * own + (1 - share) * batch.images[partner])
    return torch.stack(rows)


def two_sided(logits: Tensor, batch: Batch, shares: Tensor) -> Tensor:
    """The share times the cross-entropy of the own label, and the rest times the partner's."""
    own = cross_entropy(logits, batch.labels, reduction="none")
    partner = cross_entropy(logits, batch.labels[batch.partners], reduction="none")
    return (shares * own + (1 - shares) * partner).mean()


def test_erm_is_the_cross_entropy_of_the_images_as_they_are(batch, network):
    found = build_method("erm", {}).loss(network, batch)
    assert_close(found, cross_entropy(network.layers(batch.images), batch.labels))
    assert len(network.seen) == 1
    assert torch.equal(network.seen[0], batch.images)


def test_images_are_mixed_each_with_its_partner_by_its_own_share(batch):
    found = mix_images(batch.images, batch.partners, batch.coefficients)
    assert_close(found, mixed_by_hand(batch))


def test_share_1_keeps_the_images_and_share_0_takes_the_partners_exactly(batch):
    ones, zeros = torch.ones(10), torch.zeros(10)
    assert torch.equal(mix_images(batch.images, batch.partners, ones), batch.images)
    assert torch.equal(
        mix_images(batch.images, batch.partners, zeros), batch.images[batch.partners]
    )


@pytest.mark.parametrize("share", [None, 0.3, 1.0, 0.0])
def test_mixup_is_the_shares_of_two_cross_entropies(batch, network, share):
    if share is not None:
        batch = replace(batch, coefficients=torch.full((10,), share))
    found = build_method("mixup", {}).loss(network, batch)
    expected = two_sided(network.layers(mixed_by_hand(batch)), batch, batch.coefficients)
    assert_close(found, expected)
    assert len(network.seen) == 1


def test_mixup_has_the_gradient_of_two_cross_entropies(batch, network):
    found = build_method("mixup", {}).loss(network, batch)
    expected = two_sided(network.layers(mixed_by_hand(batch)), batch, batch.coefficients)
    weights = list(network.parameters())
    assert_close(torch.autograd.grad(found, weights), torch.autograd.grad(expected, weights))


def test_soft_labels_sum_to_one_and_stay_float32(batch):
    soft = mixed_labels(batch.labels, batch.labels[batch.partners], batch.coefficients, CLASSES)
    assert soft.dtype == torch.float32
    assert soft.shape == (10, CLASSES)
    assert_close(soft.sum(dim=1), torch.ones(10))


@pytest.mark.parametrize(
    ("method", "settings", "law"),
    [
        ("erm", {}, None),
        ("mixup", {}, BetaMixing(1.0, "batch")),
        ("mixup", {"alpha": 0.2, "coefficient": "sample"}, BetaMixing(0.2, "sample")),
        ("remix", {}, BetaMixing(1.0, "batch")),
        ("regmixup", {}, BetaMixing(20.0, "batch")),
        ("ic-mixup", {"alpha": 0.2}, BetaMixing(0.2, "batch")),
        ("ic-remix", {"coefficient": "sample"}, BetaMixing(1.0, "sample")),
        ("ic-regmixup", {}, BetaMixing(20.0, "batch")),
        ("cutmix", {}, BetaMixing(1.0, "batch")),
        ("manifold-mixup", {}, BetaMixing(2.0, "batch")),
        ("mixup-drw", {}, BetaMixing(1.0, "batch")),
    ],
)
def test_coefficients_are_asked_for_by_the_law_of_the_settings(method, settings, law):
    assert build_method(method, settings).mixing == law


# --- Remix ---------------------------------------------------------------------------------------


def remix_by_hand(n_i: int, n_j: int, share: str, kappa: str, tau: str) -> Fraction:
    """Chou et al. 2020, equation 5, in exact arithmetic."""
    ratio, own, threshold = Fraction(n_i, n_j), Fraction(share), Fraction(kappa)
    if ratio >= threshold and own < Fraction(tau):
        return Fraction(0)
    if ratio <= 1 / threshold and 1 - own < Fraction(tau):
        return Fraction(1)
    return own


def shares_of(n_i: int, n_j: int, share: str, kappa: str, tau: str) -> float:
    return remix_label_coefficients(
        torch.tensor([0]),
        torch.tensor([1]),
        torch.tensor([float(share)]),
        torch.tensor([float(n_i), float(n_j)]),
        kappa=float(kappa),
        tau=float(tau),
    ).item()


@pytest.mark.parametrize("share", ["0", "0.25", "0.5", "0.75", "1", "0.3", "0.7"])
@pytest.mark.parametrize("tau", ["0", "0.25", "0.5", "0.75", "1"])
def test_remix_share_is_the_papers_with_its_strict_and_its_inclusive_edge(share: str, tau: str):
    for n_i, n_j in [(30, 10), (10, 30), (29, 10), (10, 29), (31, 10), (10, 31), (10, 10), (9, 3)]:
        found = shares_of(n_i, n_j, share, "3", tau)
        assert found == pytest.approx(float(remix_by_hand(n_i, n_j, share, "3", tau)))


def test_remix_edges_by_hand():
    assert shares_of(30, 10, "0.4", "3", "0.5") == 0  # three times as many is enough
    assert shares_of(29, 10, "0.4", "3", "0.5") == pytest.approx(0.4)
    assert shares_of(30, 10, "0.5", "3", "0.5") == 0.5  # a half is not below a half
    assert shares_of(10, 30, "0.5", "3", "0.5") == 0.5
    assert shares_of(10, 30, "0.6", "3", "0.5") == 1
    assert shares_of(10, 30, "0.4", "3", "0.5") == pytest.approx(0.4)


@pytest.mark.parametrize("kappa", ["2", "3", "1.25", "1.2", "1.5", "2.5", "10"])
def test_exactly_kappa_times_as_many_images_counts_either_way_round(kappa: str):
    ratio = Fraction(kappa)
    for times in (1, 7, 50, 333):
        more, fewer = ratio.numerator * times, ratio.denominator * times
        assert shares_of(more, fewer, "0.25", kappa, "0.5") == 0
        assert shares_of(fewer, more, "0.75", kappa, "0.5") == 1


@pytest.mark.parametrize("kappa", ["1.7", "3.4", "3.9", "4.3", "6.3", "6.8", "7.8", "8.6"])
def test_exactly_kappa_times_fewer_images_counts_for_these_kappas_too(kappa: str):
    ratio = Fraction(kappa)
    assert shares_of(ratio.denominator, ratio.numerator, "0.75", kappa, "0.5") == 1


def test_remix_decides_for_each_pair_by_its_own_share_and_its_own_classes(batch, network):
    pairs = zip(
        batch.labels.tolist(),
        batch.labels[batch.partners].tolist(),
        batch.coefficients.tolist(),
        strict=True,
    )
    counts = [100, 50, 20, 5]
    expected = [
        float(remix_by_hand(counts[i], counts[j], str(share), "3", "0.5")) for i, j, share in pairs
    ]
    shares = torch.tensor(expected)
    assert 0 in expected
    assert 1 in expected
    assert (shares == batch.coefficients).any()
    method = build_method("remix", {"coefficient": "sample"})
    assert_close(method.label_coefficients(batch), shares)
    logits = network.layers(mixed_by_hand(batch))  # the images keep their own share
    assert_close(method.loss(network, batch), two_sided(logits, batch, shares))


def test_remix_of_balanced_classes_is_mixup(batch, network):
    balanced = replace(batch, class_counts=torch.full((CLASSES,), 50.0))
    remix = build_method("remix", {"kappa": 1.0001, "tau": 1}).loss(network, balanced)
    assert remix.item() == build_method("mixup", {}).loss(network, balanced).item()


def test_remix_leaves_the_coefficients_of_the_batch_alone(batch):
    before = batch.coefficients.clone()
    build_method("remix", {}).label_coefficients(batch)
    assert torch.equal(batch.coefficients, before)


# --- RegMixup ------------------------------------------------------------------------------------

PAIRS = pytest.mark.parametrize(
    ("method", "base"), [("regmixup", "mixup"), ("ic-regmixup", "ic-mixup")]
)


@PAIRS
@pytest.mark.parametrize("eta", [1.0, 0.3])
def test_separate_is_the_sum_of_erm_and_of_eta_times_the_base_method(
    method, base, eta, batch, network
):
    found = build_method(method, {"eta": eta}).loss(network, batch)
    erm, mixed = (build_method(name, {}).loss(network, batch) for name in ("erm", base))
    assert_close(found, erm + eta * mixed)


@PAIRS
@pytest.mark.parametrize("eta", [1.0, 0.3])
def test_joint_is_half_of_the_sum_without_batch_norm(method, base, eta, batch, network):
    separate = build_method(method, {"eta": eta}).loss(network, batch)
    joint = build_method(method, {"eta": eta, "forward": "joint"}).loss(network, batch)
    assert_close(2 * joint, separate)


def test_joint_is_the_official_mean_over_twice_the_batch(batch, network):
    """Pinto et al.: one loss over clean and mixed images, both with two targets."""
    share = 0.3
    batch = replace(batch, coefficients=torch.full((10,), share))
    logits = network.layers(torch.cat([batch.images, mixed_by_hand(batch)]))
    first = torch.cat([batch.labels, batch.labels])
    second = torch.cat([batch.labels, batch.labels[batch.partners]])
    expected = share * cross_entropy(logits, first) + (1 - share) * cross_entropy(logits, second)
    found = build_method("regmixup", {"forward": "joint"}).loss(network, batch)
    assert_close(found, expected)


@pytest.mark.parametrize("method", ["regmixup", "ic-regmixup"])
@pytest.mark.parametrize(("forward", "sizes"), [("separate", [10, 10]), ("joint", [20])])
def test_separate_passes_twice_and_joint_once(method, forward, sizes, batch, network):
    build_method(method, {"forward": forward}).loss(network, batch)
    assert [len(images) for images in network.seen] == sizes
    assert_close(torch.cat(network.seen), torch.cat([batch.images, mixed_by_hand(batch)]))


def test_batch_norm_sees_the_clean_images_apart_or_together_with_the_mixed(batch):
    batches_seen = {}
    for forward in ("separate", "joint"):
        network = Counting(batch_norm=True)
        build_method("regmixup", {"forward": forward}).loss(network, batch)
        batches_seen[forward] = network.layers[1].num_batches_tracked.item()
    assert batches_seen == {"separate": 2, "joint": 1}


@pytest.mark.parametrize("forward", ["separate", "joint"])
def test_ic_regmixup_differs_from_regmixup_in_the_target_alone(forward, batch, network):
    settings = {"forward": forward, "eta": 0.7}
    losses = {
        n: build_method(n, settings).loss(network, batch) for n in ("regmixup", "ic-regmixup")
    }
    shown = network.seen
    assert torch.equal(torch.cat(shown[: len(shown) // 2]), torch.cat(shown[len(shown) // 2 :]))
    logits = network.layers(mixed_by_hand(batch))
    soft = torch.zeros(10, CLASSES)
    soft[torch.arange(10), batch.labels] += batch.coefficients
    soft[torch.arange(10), batch.labels[batch.partners]] += 1 - batch.coefficients
    difference = infinite_class_loss(logits, soft) - two_sided(logits, batch, batch.coefficients)
    scale = 0.7 * (1 if forward == "separate" else 0.5)
    assert_close(losses["ic-regmixup"] - losses["regmixup"], scale * difference)


@pytest.mark.parametrize("method", ["mixup", "remix"])
def test_soft_labels_keep_their_precision_under_bfloat16_autocast(method, batch):
    generator = torch.Generator().manual_seed(2)
    logits = (10 * torch.randn(10, CLASSES, generator=generator)).bfloat16()
    balanced = replace(batch, class_counts=torch.ones(CLASSES))
    expected = two_sided(logits.float(), batch, batch.coefficients)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = build_method(method, {}).loss(lambda _: logits, balanced)
    assert found.dtype == torch.float32
    assert_close(found, expected)
