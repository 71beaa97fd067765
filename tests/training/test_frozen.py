"""What a method or a network has frozen: no stage trains it, and nothing counts it."""

from __future__ import annotations

from typing import ClassVar

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from dcbench.errors import UsageError
from dcbench.methods import Method, Stage
from dcbench.methods.sharpness import SAM
from dcbench.training.trainer import Trainer
from tests.training.test_trainer import (
    STEPS,
    a_trainer,
    assert_resumes,
    train,
    weights,
)


class FrozenStem(Method):
    """The first convolution stays as it was drawn; gradients are clipped."""

    further: ClassVar[tuple[Stage, ...]] = ()

    def network(self, build, task):
        network = build()
        network.layers[0].requires_grad_(False)
        return network

    @property
    def stages(self):
        return self.further

    def loss(self, network, batch):
        return cross_entropy(network(batch.images), batch.labels)

    def backward(self, network, batch):
        loss = super().backward(network, batch)
        nn.utils.clip_grad_norm_(network.parameters(), 0.1)
        return loss


def staged(**stage: object) -> Method:
    """The same, with a further stage of two epochs."""

    class Staged(FrozenStem):
        further: ClassVar = (Stage(recipe={"epochs": 2}, **stage),)

    return Staged()


def assert_stem_untouched(trainer: Trainer) -> None:
    stem, drawn = trainer.network.layers[0].weight, a_trainer().network.layers[0].weight
    assert torch.equal(stem, drawn)
    assert not stem.requires_grad
    assert stem.grad is None


@pytest.mark.parametrize(
    "method", [FrozenStem(), staged(), staged(trainable=("layers",)), staged(trainable=("fc",))]
)
def test_what_a_method_freezes_learns_in_no_stage_and_gets_no_gradient(method):
    trainer = a_trainer(method)
    train(trainer)
    assert_stem_untouched(trainer)
    others = {name: each for name, each in weights(trainer).items() if name != "layers.0.weight"}
    drawn = weights(a_trainer())
    assert all(not torch.equal(each, drawn[name]) for name, each in others.items())


@pytest.mark.parametrize("stop", [1, STEPS + 2, 3 * STEPS + 1, 4 * STEPS + 3])
@pytest.mark.parametrize(
    "method", [staged(), staged(trainable=("layers",)), staged(trainable=("fc",), reset=("fc",))]
)
def test_run_with_frozen_weights_that_was_stopped_ends_with_the_same_weights(method, stop):
    whole = a_trainer(method)
    train(whole)
    assert_resumes(whole, lambda: a_trainer(method), stop)


def test_sharpness_neither_moves_nor_measures_frozen_weights():
    seen = []

    class Watched(SAM):
        def network(self, build, task):
            return FrozenStem().network(build, task)

        def loss(self, network, batch):
            seen.append(network.layers[0].weight.detach().clone())
            return super().loss(network, batch)

    trainer = a_trainer(Watched(rho=1.0), epochs=1)
    train(trainer)
    assert len(seen) == 2 * STEPS
    assert all(torch.equal(each, seen[0]) for each in seen)
    assert_stem_untouched(trainer)


def test_stage_in_which_nothing_learns_is_refused():
    said = (
        r"a stage's trainable=layers\.0: no weight learns there: .*network\(build, task\) freezes"
    )
    with pytest.raises(UsageError, match=said):
        a_trainer(staged(trainable=("layers.0",)))
