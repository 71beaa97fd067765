"""The step as a GPU takes it: captured once and replayed, on tensors that stay where they are."""

import numpy as np
import pytest
import torch

from dcbench.methods import build_method, method_names
from dcbench.training.recording import READS_BACK, Recording, as_on_a_gpu, train_by_recordings
from dcbench.training.trainer import Trainer
from tests.training.test_trainer import BATCH, STEPS, a_trainer, assert_same, losses, train, weights


@pytest.mark.parametrize("method", method_names())
@pytest.mark.parametrize("rotation", [0.0, 15.0])
def test_steps_that_are_replayed_end_with_the_weights_of_steps_that_are_taken(method, rotation):
    taken = as_on_a_gpu(a_trainer(method, rotation=rotation))
    replayed = as_on_a_gpu(a_trainer(method, rotation=rotation))
    for _ in taken.events():
        if taken.progress.epoch == taken.recipe.epochs:  # what a method adds is another stage
            break
    train_by_recordings(replayed)
    assert_same(weights(taken), weights(replayed))
    for one, other in zip(taken.train_step.momentum, replayed.train_step.momentum, strict=True):
        assert torch.equal(one, other)


def test_replayed_step_that_reads_a_value_back_would_not_train_as_a_taken_one():
    """The optimizer of a CPU reads its learning rate: what the test above would notice."""
    taken, replayed = (
        a_trainer("erm", schedule="steps", milestones=[1], factor=0.1) for _ in range(2)
    )
    train(taken)
    train_by_recordings(replayed)
    assert not torch.equal(taken.network.fc.weight, replayed.network.fc.weight)


@pytest.mark.parametrize("method", method_names())
def test_step_reads_nothing_back_to_the_host(method):
    trainer = as_on_a_gpu(a_trainer(method, rotation=15.0))
    trainer.load(0)
    with Recording() as recording:
        trainer.train_step.take(BATCH)
    assert not recording.names & READS_BACK


@pytest.mark.parametrize("method", ["erm", "ic-regmixup"])
def test_fused_optimizer_takes_the_same_steps_as_the_plain_one(method):
    plain, fused = a_trainer(method), as_on_a_gpu(a_trainer(method))
    train(plain)
    train(fused)
    for key, value in weights(plain).items():
        torch.testing.assert_close(value, weights(fused)[key], rtol=1e-3, atol=1e-4, msg=key)


def addresses(trainer: Trainer) -> list[int]:
    train_step = trainer.train_step
    tensors = [*trainer.network.state_dict().values(), *train_step.momentum]
    tensors += [train_step.loss_sum, train_step.rate, *train_step._epoch.values()]
    return [tensor.data_ptr() for tensor in tensors]


def test_all_that_a_graph_holds_stays_where_it_is():
    trainer = a_trainer("ic-regmixup", rotation=15)
    trainer.load(0)
    before = addresses(trainer)
    train(trainer)
    state = trainer.state()
    trainer.begin_again(seed=4)
    trainer.restore(state)
    trainer.measure_step()
    assert addresses(trainer) == before


@pytest.mark.parametrize("method", ["erm", "ic-remix"])
def test_trainer_that_begins_again_is_as_a_new_one(method):
    new, used = a_trainer(method, seed=5), a_trainer(method, seed=2)
    train(used)
    used.begin_again(seed=5)
    assert_same(weights(used), weights(new))
    train(new)
    train(used)
    assert_same(weights(used), weights(new))
    assert losses(used) == losses(new)


def test_first_step_has_the_momentum_of_its_gradient_alone():
    trainer = a_trainer("erm", momentum=0.9, weight_decay=0.0)
    trainer.network.train()
    trainer.load(0)
    trainer.train_step.take(BATCH)
    gradients = [parameter.grad for parameter in trainer.network.parameters()]
    for buffer, gradient in zip(trainer.train_step.momentum, gradients, strict=True):
        assert torch.equal(buffer, gradient)


def test_without_momentum_a_step_goes_down_the_gradient():
    trainer = a_trainer("erm", momentum=0.0, weight_decay=0.0)
    trainer.network.train()
    trainer.load(0)
    before = trainer.network.fc.weight.detach().clone()
    trainer.train_step.take(BATCH)
    expected = before - 0.05 * trainer.network.fc.weight.grad
    torch.testing.assert_close(trainer.network.fc.weight.detach(), expected)
    assert trainer.train_step.momentum == []


def test_a_step_counts_the_images_that_pass_the_network():
    for method, passed in (("erm", 5), ("mixup", 5), ("ic-regmixup", 10), ("regmixup", 10)):
        cost = a_trainer(method).measure_step()
        assert (cost.images, cost.passed) == (BATCH, passed)
    joint = a_trainer(build_method("regmixup", {"forward": "joint"})).measure_step()
    assert joint.passed == 10


def test_draws_are_uploaded_as_they_were_drawn():
    trainer = a_trainer("mixup", rotation=15)
    draws = trainer.draws(1)
    trainer.load(1)
    epoch = trainer.train_step._epoch
    assert np.array_equal(epoch["addresses"][:, 1], draws.order)
    assert np.array_equal(epoch["partners"], draws.partners)
    assert np.array_equal(epoch["coefficients"], draws.coefficients)
    rates = [trainer.recipe.learning_rate_at(STEPS + step, STEPS) for step in range(STEPS)]
    assert epoch["rates"].tolist() == rates
