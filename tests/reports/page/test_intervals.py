from __future__ import annotations

import pytest

from dcbench.reports.page.intervals import WIDTH, axis_over, interval_drawing


def test_axis_holds_all_runs_and_short_intervals_whole():
    axis = axis_over([50, 54], [(49, 53), (52, 55)])
    assert (axis.low, axis.high) == (49, 55)
    assert axis.ticks == (49, 50, 51, 52, 53, 54, 55)


def test_axis_reaches_half_as_far_again_for_the_interval_of_two_runs():
    axis = axis_over([50, 54], [(20, 80)])
    assert (axis.low, axis.high) == (48, 56)


def test_axis_of_equal_runs_has_a_length():
    axis = axis_over([50, 50], [])
    assert (axis.low, axis.high) == (49, 51)
    assert 50 in axis.ticks


@pytest.mark.parametrize(
    ("runs", "ticks"),
    [
        ([0, 100], (0, 20, 40, 60, 80, 100)),
        ([50, 50.3], (50, 50.1, 50.2, 50.3)),
        ([47, 61], (48, 50, 52, 54, 56, 58, 60)),
    ],
)
def test_ticks_are_round_and_their_labels_have_room(runs, ticks):
    assert axis_over(runs, []).ticks == ticks


def test_positions_are_linear_and_inside():
    axis = axis_over([0, 100], [])
    assert axis.x(50) == WIDTH / 2
    assert axis.x(0) == WIDTH - axis.x(100)
    assert 0 < axis.x(0) < axis.x(25) < axis.x(50)


def test_interval_beyond_the_axis_is_cut_and_says_so():
    axis = axis_over([50, 54], [(20, 53)])
    drawing = interval_drawing(axis, 52, 30, [("seed 0", 50), ("seed 1", 54)])
    assert (drawing.low, drawing.cut_low) == (axis.x(axis.low), True)
    assert drawing.cut_high
    assert drawing.text == "mean 52.00, 95 % interval 22.00 to 82.00; runs: 50.00, 54.00"


def test_interval_within_the_axis_is_whole():
    axis = axis_over([50, 54], [(51, 53)])
    drawing = interval_drawing(axis, 52, 1, [("seed 0", 50), ("seed 1", 54)])
    assert not drawing.cut_low
    assert not drawing.cut_high
    assert drawing.low == axis.x(51)
    assert drawing.runs == ((axis.x(50), "seed 0: 50.00"), (axis.x(54), "seed 1: 54.00"))
