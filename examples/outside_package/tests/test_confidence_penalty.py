import math

import pytest
import torch
from confidence_penalty import ConfidencePenalty

from dcbench.errors import UsageError
from dcbench.methods import Batch, build_method
from dcbench.runs.contract import check_method


def a_batch(images: torch.Tensor) -> Batch:
    return Batch(
        images=images,
        labels=torch.tensor([0]),
        partners=torch.tensor([0]),
        coefficients=torch.ones(1),
        class_counts=torch.ones(2),
    )


def test_loss_is_the_one_worked_out_by_hand():
    # Probabilities 3/4 and 1/4: cross-entropy log(4/3), entropy 3/4 log(4/3) + 1/4 log 4.
    logits = torch.tensor([[math.log(3), 0.0]])
    loss = build_method("confidence-penalty", {"beta": 0.5}).loss(lambda _: logits, a_batch(logits))
    expected = math.log(4 / 3) - 0.5 * (0.75 * math.log(4 / 3) + 0.25 * math.log(4))
    assert loss.item() == pytest.approx(expected, abs=1e-6)


def test_dcbench_finds_the_method_by_its_name_and_checks_its_settings():
    assert isinstance(build_method("confidence-penalty", {}), ConfidencePenalty)
    with pytest.raises(UsageError, match="beta"):
        build_method("confidence-penalty", {"beta": -1})


def test_method_keeps_what_every_method_promises():
    assert [each for each in check_method(ConfidencePenalty()) if not each.kept] == []
