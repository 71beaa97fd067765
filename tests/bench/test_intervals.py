import numpy as np
import pytest

from dcbench.bench.intervals import Ratio, ratio, verdict

QUIET = {clock: Ratio(value=1.0, low=0.99, high=1.01) for clock in ("wall", "CPU")}


def noise(generator, processes, pairs, within, between):
    each = generator.normal(0, within, (processes, pairs))
    return np.exp(each + generator.normal(0, between, (processes, 1)))


@pytest.mark.parametrize("between", [0.0, 0.01, 0.02])
def test_interval_holds_the_truth_also_where_processes_differ(between):
    generator = np.random.default_rng(0)
    held, trials = 0, 150
    for _ in range(trials):
        found = ratio(
            1.2 * noise(generator, 3, 8, 0.01, between), noise(generator, 3, 8, 0.01, between)
        )
        held += found.low <= 1.2 <= found.high
    assert held / trials >= 0.94


def test_interval_says_something():
    generator = np.random.default_rng(0)
    found = ratio(1.2 * noise(generator, 3, 8, 0.01, 0), noise(generator, 3, 8, 0.01, 0))
    assert 1.15 < found.low < found.value < found.high < 1.25


def test_value_is_the_median_of_all_pairs():
    found = ratio(np.array([[1.0, 2.0, 9.0], [2.0, 2.0, 0.1]]))
    assert found.value == pytest.approx(2.0)


def test_interval_is_widened_by_the_worst_process_and_not_by_the_mean():
    pairs = np.full((2, 8), 1.2)
    control = np.stack([np.full(8, 1.05), np.full(8, 1 / 1.05)])
    found = ratio(pairs, control)
    assert (found.low, found.high) == (pytest.approx(1.2 / 1.05), pytest.approx(1.2 * 1.05))


def test_bootstrap_is_the_same_every_time():
    pairs = noise(np.random.default_rng(1), 3, 8, 0.02, 0.01)
    assert ratio(pairs) == ratio(pairs)


def test_quiet_measurement_is_clean():
    assert verdict(QUIET, [0.0] * 24).outcome == "CLEAN"


def test_disturbed_control_is_noisy_and_says_in_which_time():
    generator = np.random.default_rng(0)
    disturbed = noise(generator, 3, 8, 0.01, 0)
    disturbed[:, ::2] *= 1.2
    disturbed[:, 1::2] *= 1.1
    found = verdict({**QUIET, "wall": ratio(disturbed)}, [0.0] * 24)
    assert found.outcome == "NOISY"
    assert found.reasons[0].startswith("the loop differs from itself in wall time: [1.1")


def test_control_that_just_excludes_one_has_no_slack():
    barely = Ratio(value=1.002, low=1.0001, high=1.004)
    assert verdict({**QUIET, "CPU": barely}, [0.0] * 24).outcome == "NOISY"


@pytest.mark.parametrize(("disturbed", "outcome"), [(4, "CLEAN"), (5, "NOISY")])
def test_others_in_more_than_a_fifth_of_the_blocks_make_it_noisy(disturbed, outcome):
    loads = [0.11] * disturbed + [0.09] * (20 - disturbed)
    found = verdict(QUIET, loads)
    assert found.outcome == outcome
    assert f"in {disturbed} of 20 blocks" in found.reasons[-1]


def test_blocks_of_unknown_load_count_for_nothing():
    assert verdict(QUIET, [None] * 20 + [0.5, 0.5, 0.0]).outcome == "NOISY"
    unknown = verdict(QUIET, [None] * 24)
    assert unknown.outcome == "CLEAN"
    assert "is not known" in unknown.reasons[-1]
