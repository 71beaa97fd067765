"""A recipe's arithmetic is set wherever its network is at work, and in no other run's."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from dcbench.training import trainer as trainer_module
from dcbench.training.precision import arithmetic, configure_precision
from tests.training.test_trainer import a_trainer

CUDA = torch.device("cuda")
ON, OFF = (True, True), (False, False)


def allowed() -> tuple[bool, bool]:
    """Whether products and convolutions may be rounded to TF32."""
    return torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32


@pytest.fixture(autouse=True)
def process_as_it_was() -> Iterator[None]:
    before, deterministic = allowed(), torch.are_deterministic_algorithms_enabled()
    yield
    torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = before
    torch.use_deterministic_algorithms(deterministic)


@pytest.mark.parametrize(("precision", "flags"), [("float32", OFF), ("tf32", ON), ("bf16", OFF)])
@pytest.mark.parametrize("of_another_run", ["float32", "tf32"])
@pytest.mark.filterwarnings("ignore:.*CUDA is not available")
def test_passes_have_the_recipes_arithmetic_and_leave_that_of_the_process(
    precision, flags, of_another_run
):
    configure_precision(a_trainer(precision=of_another_run).recipe, CUDA)
    before = allowed()
    with arithmetic(a_trainer(precision=precision).recipe, CUDA):
        assert allowed() == flags
    assert allowed() == before
    with (
        pytest.raises(ValueError, match="in the pass"),
        arithmetic(a_trainer(precision=precision).recipe, CUDA),
    ):
        raise ValueError("in the pass")
    assert allowed() == before


def test_trainer_that_begins_again_sets_the_process_up_as_a_new_one(monkeypatch):
    """Another run of another precision may have been at work meanwhile."""
    trainer = a_trainer(precision="tf32")
    monkeypatch.setattr(
        trainer_module,
        "configure_precision",
        lambda recipe, device: configure_precision(recipe, CUDA),
    )
    configure_precision(a_trainer(precision="float32").recipe, CUDA)
    trainer.begin_again(1)
    assert allowed() == ON
