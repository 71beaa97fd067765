"""Four images and three classes, with losses that were worked out in float64 apart from this code.

The logits are ((arange(12) ** 2) mod 7) / 2, the labels y = [0, 1, 2, 1], the partners p =
[2, 0, 3, 1].
"""

from __future__ import annotations

import pytest
import torch
from torch.testing import assert_close

from dcbench.methods import Batch, build_method
from dcbench.methods.infinite_class import infinite_class_loss
from dcbench.methods.mixing import mixed_labels, remix_label_coefficients

LOGITS = [[0, 0.5, 2], [1, 1, 2], [0.5, 0, 0.5], [2, 1, 1]]
LABELS, PARTNERS, COUNTS = [0, 1, 2, 1], [2, 0, 3, 1], [50, 10, 5]
DTYPES = pytest.mark.parametrize("dtype", [torch.float32, torch.float64])


def golden_batch(coefficient: float, dtype: torch.dtype = torch.float64) -> Batch:
    return Batch(
        images=torch.zeros(4, 3, 2, 2, dtype=dtype),
        labels=torch.tensor(LABELS),
        partners=torch.tensor(PARTNERS),
        coefficients=torch.full((4,), coefficient, dtype=dtype),
        class_counts=torch.tensor(COUNTS, dtype=dtype),
    )


def golden_loss(method: str, coefficient: float, dtype: torch.dtype, **settings) -> float:
    logits = torch.tensor(LOGITS, dtype=dtype)
    loss = build_method(method, settings).loss(lambda _: logits, golden_batch(coefficient, dtype))
    assert loss.dtype == dtype
    return loss.item()


def test_the_logits_are_those_of_the_formula():
    squares = torch.arange(12, dtype=torch.float64) ** 2
    assert (squares.view(4, 3) % 7 / 2).tolist() == LOGITS


@DTYPES
@pytest.mark.parametrize(
    ("method", "coefficient", "settings", "expected"),
    [
        ("erm", 1.0, {}, 1.591816),
        ("mixup", 1.0, {}, 1.591816),
        ("mixup", 0.3, {}, 1.329316),
        ("ic-mixup", 0.3, {"axes": "class"}, 1.427446),
        ("ic-mixup", 0.3, {"axes": "pair"}, 1.482729),
        ("ic-mixup", 0.3, {"axes": "both"}, 2.910175),
        ("ic-mixup", 1.0, {"axes": "class"}, 1.778249),
        ("ic-mixup", 1.0, {"axes": "pair"}, 1.794536),
        ("remix", 0.3, {"kappa": 3, "tau": 0.5}, 1.179316),
        ("remix", 0.7, {"kappa": 3, "tau": 0.5}, 1.479316),
        ("ic-remix", 0.3, {"axes": "class"}, 1.366968),
        ("ic-remix", 0.3, {"axes": "pair"}, 1.396289),
        ("ic-remix", 0.7, {"axes": "class"}, 1.562568),
        ("ic-remix", 0.7, {"axes": "pair"}, 1.606689),
        # The same network output for clean and mixed images: the sum of two of the lines above.
        ("regmixup", 0.3, {}, 1.591816 + 1.329316),
        ("regmixup", 0.3, {"eta": 0.5}, 1.591816 + 0.5 * 1.329316),
        ("ic-regmixup", 0.3, {}, 1.591816 + 2.910175),
        ("ic-regmixup", 0.3, {"axes": "pair", "eta": 2}, 1.591816 + 2 * 1.482729),
    ],
)
def test_loss_is_the_one_worked_out_apart(method, coefficient, settings, expected, dtype):
    assert golden_loss(method, coefficient, dtype, **settings) == pytest.approx(expected, abs=2e-6)


@pytest.mark.parametrize(
    ("coefficient", "expected"), [(0.3, [0, 0.3, 0.3, 0.3]), (0.7, [0.7, 1, 0.7, 0.7])]
)
def test_remix_moves_the_share_of_the_pairs_worked_out_apart(coefficient, expected):
    labels = torch.tensor(LABELS)
    shares = remix_label_coefficients(
        labels,
        labels[torch.tensor(PARTNERS)],
        torch.full((4,), coefficient, dtype=torch.float64),
        torch.tensor(COUNTS, dtype=torch.float64),
        kappa=3,
        tau=0.5,
    )
    assert_close(shares, torch.tensor(expected, dtype=torch.float64))


def test_unmixed_class_axis_is_balanced_softmax_and_the_mean_log_count_in_the_batch():
    # Counts in the batch are 1, 2, 1: balanced softmax gives 1.431675, and two of the four images
    # are of the class with two, so that the mean of the logarithms is log(2) / 2 = 0.346574.
    found = golden_loss("ic-mixup", 1.0, torch.float64, axes="class")
    assert found == pytest.approx(1.431675 + 0.346574, abs=2e-6)


def test_loss_function_alone_gives_the_same_numbers():
    labels = torch.tensor(LABELS)
    logits = torch.tensor(LOGITS, dtype=torch.float64)
    shares = torch.full((4,), 0.3, dtype=torch.float64)
    soft = mixed_labels(labels, labels[torch.tensor(PARTNERS)], shares, 3)
    rows = [[0.3, 0, 0.7], [0.7, 0.3, 0], [0, 0.7, 0.3], [0, 1, 0]]
    assert_close(soft, torch.tensor(rows, dtype=torch.float64))
    assert infinite_class_loss(logits, soft).item() == pytest.approx(2.910175, abs=1e-6)
    assert infinite_class_loss(logits, soft, "class").item() == pytest.approx(1.427446, abs=1e-6)
    assert infinite_class_loss(logits, soft, axes="pair").item() == pytest.approx(
        1.482729, abs=1e-6
    )
