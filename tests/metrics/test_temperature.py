import numpy as np
import pytest
import torch
from torch.nn import functional

from dcbench.metrics import (
    brier_score,
    expected_calibration_error,
    fit_temperature,
    negative_log_likelihood,
    softmax,
    temperature,
    temperature_scaling,
)

KEYS = {"temperature", "nll_ts", "brier_ts", "ece15_ts"}


def sampled(num_rows: int, num_classes: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Logits, and labels drawn from their softmax: calibrated by construction."""
    generator = np.random.default_rng(seed)
    logits = 2 * generator.normal(size=(num_rows, num_classes))
    probs = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    labels = (probs.cumsum(axis=1) > generator.random((num_rows, 1))).argmax(axis=1)
    return logits, labels


def by_torch(logits: np.ndarray, labels: np.ndarray) -> float:
    """The temperature by LBFGS, as the code of Guo et al. (2017) fits it."""
    scores, classes = torch.from_numpy(logits.astype(np.float64)), torch.from_numpy(labels)
    log_temperature = torch.zeros((), dtype=torch.float64, requires_grad=True)
    options = {"tolerance_grad": 1e-12, "tolerance_change": 1e-14}
    optimizer = torch.optim.LBFGS(
        [log_temperature], max_iter=200, line_search_fn="strong_wolfe", **options
    )

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = functional.cross_entropy(scores / log_temperature.exp(), classes)
        loss.backward()
        return loss

    optimizer.step(closure)
    return float(log_temperature.exp().detach())


def test_temperature_of_two_classes_is_that_of_the_odds():
    # Three of four rows are right at a margin of 2: sigmoid(2 / T) = 3 / 4, so T = 2 / log 3.
    logits, labels = [[2.0, 0.0]] * 4, [0, 0, 0, 1]
    assert fit_temperature(logits, labels) == pytest.approx(2 / np.log(3), rel=1e-9)


@pytest.mark.parametrize("factor", [0.2, 1.0, 3.0])
def test_temperature_undoes_what_the_logits_were_multiplied_by(factor):
    logits, labels = sampled(20_000, 5)
    found = temperature_scaling(factor * logits, labels)
    assert found["temperature"] == pytest.approx(factor, rel=0.02)
    assert found["nll_ts"] == pytest.approx(negative_log_likelihood(logits, labels), abs=1e-3)
    assert found["brier_ts"] == pytest.approx(brier_score(softmax(logits), labels), abs=1e-3)
    assert found["ece15_ts"] < 0.02


@pytest.mark.parametrize("factor", [0.5, 1.0, 7.0])
@pytest.mark.parametrize("seed", range(3))
def test_temperature_is_that_of_another_optimizer(factor, seed):
    logits, labels = sampled(300, 7, seed)
    labels[:60] = np.random.default_rng(seed).integers(0, 7, 60)
    expected = by_torch(factor * logits, labels)
    assert fit_temperature(factor * logits, labels) == pytest.approx(expected, rel=1e-5)


def test_a_class_shift_of_the_row_changes_nothing():
    logits, labels = sampled(200, 4)
    shift = np.random.default_rng(1).normal(size=(200, 1)) * 50
    assert fit_temperature(logits + shift, labels) == pytest.approx(
        fit_temperature(logits, labels), rel=1e-9
    )


def test_metrics_are_taken_on_the_half_that_the_temperature_was_not_fitted_on():
    # Two rows of one class have one row in each half; each half is right by margin 1 or wrong by 3.
    # Fitted on the right row T is the lowest, on the wrong one the highest.
    found = temperature_scaling([[1.0, 0.0], [0.0, 3.0]], [0, 0])
    assert found["temperature"] == pytest.approx((0.01 + 100) / 2)
    wrong, right = 3 / 0.01, np.log1p(np.exp(-0.01))
    assert found["nll_ts"] == pytest.approx((wrong + right) / 2)
    p = 1 / (1 + np.exp(-0.01))
    assert found["brier_ts"] == pytest.approx((2.0 + 2 * (1 - p) ** 2) / 2)
    assert found["ece15_ts"] == pytest.approx((1.0 + (1 - p)) / 2)


def test_every_class_is_in_both_halves_and_splits_are_the_same_each_time(monkeypatch):
    labels = np.repeat([0, 1, 2], [40, 7, 2])
    logits = np.random.default_rng(0).normal(size=(49, 3))
    seen = []

    def spy(probs, truth):
        seen.append(np.bincount(truth, minlength=3))
        return expected_calibration_error(probs, truth)

    monkeypatch.setattr("dcbench.metrics.temperature.expected_calibration_error", spy)
    one = temperature_scaling(logits, labels)
    assert len(seen) == 10
    for first, second in zip(seen[::2], seen[1::2], strict=True):
        assert (first + second).tolist() == [40, 7, 2]
        assert np.abs(first - second).max() <= 1
    assert temperature_scaling(logits, labels) == one


def test_order_of_equal_predictions_of_a_class_does_not_matter_much():
    logits, labels = sampled(4000, 3)
    order = np.random.default_rng(3).permutation(4000)
    one, other = (
        temperature_scaling(logits, labels),
        temperature_scaling(logits[order], labels[order]),
    )
    assert other["nll_ts"] == pytest.approx(one["nll_ts"], abs=1e-3)


@pytest.mark.parametrize(
    ("logits", "labels", "temperature"),
    [
        (np.eye(4) * 5, [0, 1, 2, 3], 0.01),
        (np.eye(4) * 5, [1, 2, 3, 0], 100.0),
        (np.zeros((4, 4)), [0, 1, 2, 3], 1.0),
        (np.full((5, 1), 3.0), [0] * 5, 1.0),
        (np.eye(4, dtype=np.float16) * 6e4, [0, 1, 2, 3], 0.01),
        (np.array([[3e38, -3e38], [-3e38, 3e38]], dtype=np.float32), [0, 1], 0.01),
    ],
    ids=["all right", "all wrong", "all equal", "one class", "half precision", "huge"],
)
def test_degenerate_predictions_end_at_a_bound_or_at_one(logits, labels, temperature):
    assert fit_temperature(logits, labels) == temperature
    found = temperature_scaling(logits, labels)
    assert found.keys() == KEYS
    assert found["temperature"] == temperature
    assert all(np.isfinite(value) for value in found.values())


def test_single_row_has_no_halves_and_so_no_number():
    assert temperature_scaling([[1.0, 0.0]], [0]) == dict.fromkeys(KEYS)


def test_a_fit_passes_over_the_logits_a_dozen_times_at_most(monkeypatch):
    zero_of_falling, passes = temperature._zero_of_falling, []

    def counted(slope, *bounds):
        found = zero_of_falling(lambda at: (passes.append(at), slope(at))[1], *bounds)
        fits.append(len(passes))
        passes.clear()
        return found

    fits: list[int] = []
    monkeypatch.setattr(temperature, "_zero_of_falling", counted)
    logits, labels = sampled(10_000, 100)
    temperature_scaling(logits.astype(np.float32) * 7, labels)
    assert len(fits) >= 10  # two halves of five splits
    assert max(fits) <= 12  # bisection alone would take 33 to 1e-9
