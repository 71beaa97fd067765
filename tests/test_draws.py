from __future__ import annotations

import hashlib
from dataclasses import fields

import numpy as np
import pytest
from scipy.stats import beta, kstest

from dcbench.draws import BetaMixing, Draws, draw_epoch, stream, weights_seed

NAMES = [field.name for field in fields(Draws) if not field.name.startswith("per_")]
NOT_MIXED = ("order", "offsets", "flips", "angles", "partners")


def epoch(seed: int = 0, number: int = 0, images: int = 300, batch: int = 32, **choices) -> Draws:
    full = {"padding": 4, "flip": True, "rotation": 15.0, "mixing": BetaMixing(0.2)} | choices
    return draw_epoch(seed, number, images, batch, **full)


def different(one: Draws, other: Draws) -> list[str]:
    return [n for n in NAMES if not np.array_equal(getattr(one, n), getattr(other, n))]


def reference(name: str, seed: int = 0, number: int = 0) -> np.random.RandomState:
    """The first 16 bytes of the SHA-256 of a name as a little-endian key of Philox."""
    digest = hashlib.sha256(f"dcbench/{seed}/{name}/{number}".encode()).digest()
    key = int.from_bytes(digest[:16], "little")
    return np.random.RandomState(np.random.Philox(key=key))


def beta_tolerances(alpha: float, count: int) -> tuple[float, float, float]:
    """Variance of Beta(alpha, alpha), and five standard errors of its mean and its variance."""
    variance = 1 / (4 * (2 * alpha + 1))
    fourth_moment = variance**2 * (3 - 6 / (2 * alpha + 3))
    of_variance = 5 * np.sqrt((fourth_moment - variance**2) / count)
    return variance, 5 * np.sqrt(variance / count), of_variance


@pytest.mark.parametrize("seed", [0, 7])
@pytest.mark.parametrize("number", [0, 3])
def test_every_stream_is_the_one_that_earlier_runs_were_drawn_from(seed: int, number: int):
    def fresh(name: str) -> np.random.RandomState:
        return reference(name, seed, number)

    drawn = epoch(seed, number, images=70, batch=32)
    partners = fresh("partners")
    coefficients = fresh("coefficients").beta(0.2, 0.2, size=3)
    assert np.array_equal(drawn.order, fresh("order").permutation(70))
    assert np.array_equal(drawn.offsets, fresh("crops").randint(0, 9, size=(70, 2)))
    assert np.array_equal(drawn.flips, fresh("flips").randint(0, 2, size=70).astype(bool))
    assert np.array_equal(drawn.angles, fresh("angles").uniform(-15, 15, size=70))
    expected = [partners.permutation(size) for size in (32, 32, 6)]
    assert np.array_equal(drawn.partners, np.concatenate(expected))
    of_each_image = np.repeat(coefficients, [32, 32, 6]).astype(np.float32)
    assert np.array_equal(drawn.coefficients, of_each_image)
    assert weights_seed(seed) == reference("weights", seed).randint(2**31)


def test_frozen_numbers_of_seed_0_are_unchanged_by_any_version_of_numpy():
    drawn = epoch(images=50)
    assert drawn.order[:5].tolist() == [37, 3, 43, 6, 14]
    assert drawn.offsets[:3].tolist() == [[5, 7], [4, 1], [4, 4]]
    assert drawn.partners[:5].tolist() == [16, 17, 7, 8, 24]
    assert drawn.coefficients[0] == np.float32(0.00011033625453900697)
    assert weights_seed(0) == 702917835


@pytest.mark.parametrize(
    ("choice", "moved"),
    [
        ({"mixing": None}, ["coefficients"]),
        ({"mixing": BetaMixing(20.0)}, ["coefficients"]),
        ({"mixing": BetaMixing(0.2, "sample")}, ["coefficients"]),
        ({"padding": 0}, ["offsets"]),
        ({"flip": False}, ["flips"]),
        ({"rotation": 0.0}, ["angles"]),
        ({"batch": 30}, ["partners", "coefficients"]),
    ],
)
def test_one_choice_of_a_method_or_recipe_moves_no_draw_but_its_own(choice, moved):
    assert different(epoch(), epoch(**choice)) == moved


def test_the_same_seed_and_epoch_give_the_same_draws():
    assert different(epoch(3, 5), epoch(3, 5)) == []


@pytest.mark.parametrize("other", [{"seed": 1}, {"number": 1}])
def test_another_seed_or_epoch_changes_every_draw(other):
    assert different(epoch(), epoch(**other)) == list(NAMES)


def test_seed_and_epoch_are_not_interchangeable():
    assert different(epoch(1, 2), epoch(2, 1)) == list(NAMES)
    assert different(epoch(1, 12), epoch(11, 2)) == list(NAMES)


def test_order_and_partners_of_one_batch_are_not_the_same_permutation():
    drawn = epoch(images=300, batch=300)
    assert np.mean(drawn.order == drawn.partners) < 0.05


def test_flips_and_crops_are_not_correlated():
    drawn = epoch(images=20_000)
    flips, angles = drawn.flips.astype(float), drawn.angles
    for draw in (drawn.offsets[:, 0], drawn.offsets[:, 1], angles, drawn.order % 2):
        assert abs(np.corrcoef(flips, draw)[0, 1]) < 5 / np.sqrt(20_000)
    assert abs(np.corrcoef(drawn.offsets.T)[0, 1]) < 5 / np.sqrt(20_000)


def test_weights_seeds_differ_and_fit_a_generator():
    seeds = [weights_seed(seed) for seed in range(50)]
    assert len(set(seeds)) == 50
    assert all(0 <= seed < 2**31 for seed in seeds)


def test_a_global_seed_neither_moves_the_draws_nor_is_moved_by_them():
    np.random.seed(1)  # noqa: NPY002 - the legacy global state is the subject
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    first = epoch()
    assert np.array_equal(np.random.get_state()[1], before)  # noqa: NPY002
    np.random.seed(2)  # noqa: NPY002
    assert different(first, epoch()) == []


def test_order_visits_every_image_once():
    order = epoch(images=301).order
    assert sorted(order.tolist()) == list(range(301))
    assert order.dtype == np.int64


@pytest.mark.parametrize("images", [64, 70, 65, 5, 32])
def test_partners_permute_each_batch_and_a_short_last_one_within_itself(images: int):
    for batch in epoch(images=images, batch=32).batches(32):
        assert sorted(batch.partners.tolist()) == list(range(len(batch.order)))
        assert batch.partners.dtype == np.int64


def test_partners_are_drawn_anew_for_each_batch():
    first, second = list(epoch(images=64, batch=32).batches(32))
    assert not np.array_equal(first.partners, second.partners)


def test_one_coefficient_for_a_batch_and_another_for_the_next():
    drawn = epoch(images=70, batch=32, mixing=BetaMixing(1.0))
    of_batches = [set(batch.coefficients.tolist()) for batch in drawn.batches(32)]
    assert [len(values) for values in of_batches] == [1, 1, 1]
    assert len(set.union(*of_batches)) == 3
    assert drawn.coefficients.dtype == np.float32


def test_per_sample_coefficients_differ_within_a_batch():
    drawn = epoch(images=32, mixing=BetaMixing(1.0, "sample"))
    assert len(set(drawn.coefficients.tolist())) == 32
    assert drawn.coefficients.dtype == np.float32


def test_a_method_that_does_not_mix_gets_ones():
    coefficients = epoch(mixing=None).coefficients
    assert coefficients.tolist() == [1.0] * 300
    assert coefficients.dtype == np.float32


@pytest.mark.parametrize("alpha", [0.2, 1.0, 20.0])
@pytest.mark.parametrize("per", ["batch", "sample"])
def test_coefficients_follow_the_symmetric_beta_law(alpha: float, per):
    count = 20_000
    images, batch = (count, 50) if per == "sample" else (2 * count, 2)
    drawn = epoch(images=images, batch=batch, mixing=BetaMixing(alpha, per)).coefficients
    drawn = drawn.astype(np.float64)[:: images // count]
    variance, mean_tolerance, variance_tolerance = beta_tolerances(alpha, count)
    assert abs(drawn.mean() - 0.5) < mean_tolerance
    assert abs(drawn.var() - variance) < variance_tolerance
    # A float32 rounds the last 1e-8 below 1 to 1: the law is compared between the ends alone.
    places = np.linspace(0.001, 0.999, 999)
    found = np.searchsorted(np.sort(drawn), places, side="right") / count
    furthest = np.abs(found - beta.cdf(places, alpha, alpha)).max()
    assert furthest < np.sqrt(np.log(2 / 1e-6) / (2 * count))  # Dvoretzky-Kiefer-Wolfowitz


@pytest.mark.parametrize("padding", [0, 1, 4])
def test_crops_start_anywhere_in_the_border_its_last_pixel_included(padding: int):
    offsets = epoch(images=5000, padding=padding).offsets
    assert offsets.shape == (5000, 2)
    for axis in range(2):
        found, counts = np.unique(offsets[:, axis], return_counts=True)
        assert found.tolist() == list(range(2 * padding + 1))
        share = 1 / (2 * padding + 1)
        deviation = 5 * np.sqrt(5000 * share * (1 - share))
        assert np.abs(counts - 5000 * share).max() <= deviation


def test_about_half_of_the_images_are_flipped():
    assert abs(epoch(images=10_000).flips.mean() - 0.5) < 5 * 0.5 / np.sqrt(10_000)


def test_no_image_is_flipped_or_turned_where_the_recipe_does_neither():
    drawn = epoch(flip=False, rotation=0.0)
    assert drawn.flips.dtype == np.bool_
    assert not drawn.flips.any()
    assert not drawn.angles.any()


def test_angles_are_uniform_in_both_directions():
    angles = epoch(images=10_000, rotation=15.0).angles
    assert kstest(angles, "uniform", (-15, 30)).pvalue > 1e-4
    assert angles.min() < -14.9
    assert angles.max() > 14.9


@pytest.mark.parametrize("start", [0, 1, 2, 3])
def test_batches_from_a_start_are_the_rest_of_the_whole_epoch(start: int):
    drawn = epoch(images=70)
    whole, rest = list(drawn.batches(32)), list(drawn.batches(32, start))
    assert len(rest) == 3 - start
    for expected, found in zip(whole[start:], rest, strict=True):
        assert different(expected, found) == []


def test_batches_cut_every_draw_at_the_same_rows():
    drawn = epoch(images=70)
    batches = list(drawn.batches(32))
    assert [len(batch.order) for batch in batches] == [32, 32, 6]
    for name in NAMES:
        joined = np.concatenate([getattr(batch, name) for batch in batches])
        assert np.array_equal(joined, getattr(drawn, name))


def test_streams_of_other_names_are_other_streams():
    draws = [stream(0, name).randint(2**31, size=4).tolist() for name in ("order", "crops", "x")]
    assert len({tuple(draw) for draw in draws}) == 3
    assert stream(0, "x").randint(2**31, size=4).tolist() == draws[2]
