"""Methods that own more of the training than a loss: averages, sharpness, second stages."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn, update_bn
from torch.testing import assert_close

from dcbench.methods import build_method
from dcbench.methods.sharpness import uphill
from dcbench.methods.two_stage import tau_normalized
from dcbench.models.averaged import AveragedNetwork, update_batch_statistics
from tests.methods.networks import Small, a_batch
from tests.training.test_trainer import (
    a_trainer,
    assert_resumes,
    assert_same,
    train,
    weights,
)

OWN = [
    *("label-smoothing", "focal", "cutmix", "ic-cutmix", "manifold-mixup", "balanced-softmax"),
    *("logit-adjustment", "class-balanced", "ldam", "ldam-drw", "mixup-drw", "remix-drw"),
    *("crt", "tau-norm", "sam", "ema", "swa"),
]


def short(name: str):
    """A method whose second training, if it has one, is short."""
    return build_method(name, {"classifier_epochs": 2} if name == "crt" else {})


@pytest.mark.parametrize("name", OWN)
def test_method_gives_the_same_weights_twice_and_after_a_stop_at_any_step(name):
    whole, again = a_trainer(short(name)), a_trainer(short(name))
    train(whole)
    train(again)
    assert_same(weights(whole), weights(again))
    for steps in (2, 7, 13):
        assert_resumes(whole, lambda: a_trainer(short(name)), steps)


def some_images(number: int = 4) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    return [torch.randn(5, 3, 8, 8, generator=generator) for _ in range(number)]


# --- averages ------------------------------------------------------------------------------------


def steps_and_epoch_ends(trainer) -> tuple[list[nn.Module], list[nn.Module]]:
    """The trained network after each step, and after each epoch."""
    steps: list[nn.Module] = []
    ends: list[nn.Module] = []
    for event in trainer.events():
        kept = steps if type(event).__name__ == "StepDone" else ends
        kept.append(copy.deepcopy(trainer.network.network))
    return steps, ends


def assert_average(found: nn.Module, expected: AveragedModel) -> None:
    values = dict(found.named_buffers())
    for name, value in expected.module.named_parameters():
        assert_close(values[name], value.detach(), msg=name)


def test_ema_is_the_average_of_torch():
    trainer = a_trainer(build_method("ema", {"decay": 0.9}))
    expected = AveragedModel(
        copy.deepcopy(trainer.network.network), multi_avg_fn=get_ema_multi_avg_fn(0.9)
    )
    for network in steps_and_epoch_ends(trainer)[0]:
        expected.update_parameters(network)
    assert_average(trainer.network.average, expected)


def test_swa_is_torchs_mean_of_the_weights_at_the_ends_of_the_last_epochs():
    trainer = a_trainer(build_method("swa", {"begin": 0.5}), epochs=4)
    expected = AveragedModel(copy.deepcopy(trainer.network.network))
    for network in steps_and_epoch_ends(trainer)[1][1:]:  # after half of the training and later
        expected.update_parameters(network)
    trainer.method.finish(trainer.network, some_images())
    assert_average(trainer.network.average, expected)
    assert trainer.network.joined.item() == 3


@pytest.mark.parametrize(("name", "settings"), [("ema", {"decay": 0}), ("swa", {"begin": 1})])
def test_average_of_the_last_weights_alone_is_erm(name, settings):
    averaged, plain = a_trainer(build_method(name, settings)), a_trainer("erm")
    train(averaged)
    train(plain)
    averaged.method.finish(averaged.network, some_images())
    values = dict(averaged.network.average.named_buffers())
    for key, value in plain.network.named_parameters():
        assert torch.equal(values[key], value), key
    assert_same(weights(plain), dict(averaged.network.network.state_dict()))


def test_average_predicts_with_batch_statistics_of_its_own_and_is_never_trained():
    trainer = a_trainer(build_method("ema", {"decay": 0.5}))
    train(trainer)
    trainer.method.finish(trainer.network, some_images())
    network = trainer.network.eval()
    images = some_images(1)[0]
    found = trainer.method.logits(network, images)
    assert torch.equal(found, network.average(images))
    assert not torch.equal(found, network(images))
    names = {name for name, _ in network.named_parameters()}
    assert names == {f"network.{name}" for name, _ in network.network.named_parameters()}


def test_batch_statistics_are_those_of_torch():
    torch.manual_seed(0)
    ours = nn.Sequential(nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), nn.ReLU(), nn.BatchNorm2d(6))
    expected, images = copy.deepcopy(ours), [*some_images(), torch.randn(2, 3, 8, 8)]
    ours.eval()
    update_batch_statistics(ours, images)
    update_bn(images, expected)
    for layer in (1, 3):
        assert_close(ours[layer].running_mean, expected[layer].running_mean)
        assert_close(ours[layer].running_var, expected[layer].running_var)
    assert not any(module.training for module in ours.modules())
    assert not any(module._forward_pre_hooks for module in ours.modules())


def test_batch_statistics_of_a_layer_that_no_pass_reaches_stay_as_they_are():
    class Forked(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm, self.unused = nn.BatchNorm2d(3), nn.BatchNorm2d(3)

        def forward(self, images):
            return self.norm(images)

    network = Forked()
    network.unused.running_mean.fill_(2.0)
    update_batch_statistics(network, [torch.full((2, 3, 2, 2), 4.0)])
    assert network.norm.running_mean.tolist() == [4.0] * 3
    assert network.unused.running_mean.tolist() == [2.0] * 3
    assert network.unused.running_var.tolist() == [1.0] * 3


def test_batch_statistics_are_those_of_a_layer_that_is_given_its_input_by_name():
    class Named(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm = nn.BatchNorm2d(3)

        def forward(self, images):
            return self.norm(input=images)

    network = Named()
    batches = [torch.full((2, 3, 2, 2), 4.0), torch.full((2, 3, 2, 2), 6.0)]
    update_batch_statistics(network, batches)
    assert network.norm.running_mean.tolist() == [5.0] * 3
    assert network.norm.running_var.tolist() == [0.0] * 3


def test_averaged_network_computes_what_the_network_does():
    images = a_batch().images
    assert torch.equal(AveragedNetwork(Small())(images), Small()(images))


# --- sharpness -----------------------------------------------------------------------------------


def test_way_uphill_by_hand():
    # Gradients (3, 0) and (4): a length of 5 together.
    moves = uphill((torch.tensor([3.0, 0.0]), None, torch.tensor([4.0])), 0.5)
    assert moves[1] is None
    assert_close(moves[0], torch.tensor([0.3, 0.0]))
    assert_close(moves[2], torch.tensor([0.4]))
    assert_close(uphill((torch.zeros(2),), 0.5), [torch.zeros(2)])


class OneWeight(nn.Module):
    """Two classes: logits (w x, 0) of the first pixel x."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(0.5))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        own = self.weight * images[:, 0, 0, 0]
        return torch.stack([own, torch.zeros_like(own)], dim=1)


def test_sam_takes_the_gradient_at_the_weight_moved_by_rho():
    batch = a_batch(images=torch.ones(10, 3, 4, 4), labels=torch.zeros(10, dtype=torch.int64))
    network = OneWeight()
    loss = build_method("sam", {"rho": 0.2}).backward(network, batch)
    # log(1 + exp(-w)) falls with w, so uphill is down: its slope at 0.3 is -1 / (1 + exp(0.3)).
    assert network.weight.grad.item() == pytest.approx(-1 / (1 + np.exp(0.3)), rel=1e-6)
    assert network.weight.item() == 0.5
    assert loss.item() == pytest.approx(np.log(1 + np.exp(-0.5)), rel=1e-6)


@pytest.mark.parametrize("rho", [0, 1e-7])
def test_sam_of_a_vanishing_distance_is_erm(rho):
    sharp, plain, batch = Small(batch_norm=True), Small(batch_norm=True), a_batch()
    losses = [
        build_method("sam", {"rho": rho}).backward(sharp, batch),
        build_method("erm", {}).backward(plain, batch).detach(),
    ]
    assert torch.equal(*losses)
    for one, other in zip(sharp.parameters(), plain.parameters(), strict=True):
        assert_close(one.grad, other.grad, rtol=1e-4, atol=1e-6)


def test_sam_leaves_weights_to_the_bit_and_running_statistics_of_the_first_pass():
    sharp, plain, batch = Small(batch_norm=True), Small(batch_norm=True), a_batch()
    build_method("sam", {"rho": 0.5}).backward(sharp, batch)
    build_method("erm", {}).backward(plain, batch)
    assert_same(sharp.state_dict(), plain.state_dict())
    gradients = [
        (a.grad, b.grad) for a, b in zip(sharp.parameters(), plain.parameters(), strict=True)
    ]
    assert not any(torch.equal(one, other) for one, other in gradients)


def test_sam_leaves_out_what_the_loss_does_not_reach_or_does_not_train():
    network = Small()
    network.spare = nn.Parameter(torch.ones(3))
    network.fc.requires_grad_(False)
    build_method("sam", {}).backward(network, a_batch())
    assert network.spare.grad is None
    assert network.fc.weight.grad is None
    assert network.layers[0].weight.grad is not None


# --- second stages -------------------------------------------------------------------------------


def test_crt_trains_a_new_classifier_on_the_features_of_erm():
    plain, two = a_trainer("erm"), a_trainer(build_method("crt", {"classifier_epochs": 4}))
    train(plain)
    train(two)
    rates = [row.learning_rate for row in two.progress.history]
    assert len(rates) == 7
    assert rates[3] > rates[2]
    assert rates[3:] == sorted(rates[3:], reverse=True)
    first, second = weights(plain), weights(two)
    assert not torch.equal(first.pop("fc.weight"), second.pop("fc.weight"))
    assert not torch.equal(first.pop("fc.bias"), second.pop("fc.bias"))
    assert_same(first, second)


def test_crt_draws_classes_equally_often_in_its_second_training():
    [stage] = build_method("crt", {}).stages
    assert stage.order == "class-balanced"
    assert stage.recipe["epochs"] == 10


def test_crt_takes_the_place_of_any_schedule():
    steps = {"schedule": "steps", "milestones": (1, 2), "warmup_epochs": 1}
    trainer = a_trainer(build_method("crt", {"classifier_epochs": 2}), **steps)
    assert [stage.recipe.schedule for stage in trainer.stages] == ["steps", "cosine"]
    assert trainer.stages[1].recipe.warmup_epochs == 0


def test_tau_normalization_by_hand():
    weight = torch.tensor([[3.0, 4.0], [0.0, 0.25]])  # lengths of 5 and 1/4
    assert_close(tau_normalized(weight, 1), torch.tensor([[0.6, 0.8], [0.0, 1.0]]))
    assert_close(tau_normalized(weight, 0.5)[1], torch.tensor([0.0, 0.5]))
    assert torch.equal(tau_normalized(weight, 0), weight)


@pytest.mark.parametrize("tau", [0, 0.7, 1])
def test_tau_normalization_is_erm_whose_classifier_is_scaled_without_its_bias(tau):
    plain, scaled = a_trainer("erm"), a_trainer(build_method("tau-norm", {"tau": tau}))
    train(plain)
    train(scaled)
    assert_same(weights(plain), weights(scaled))
    scaled.method.finish(scaled.network, some_images())
    first, second = weights(plain), weights(scaled)
    vectors = first.pop("fc.weight").double().numpy()
    lengths = np.sqrt((vectors**2).sum(axis=1, keepdims=True))
    assert_close(second.pop("fc.weight").double(), torch.from_numpy(vectors / lengths**tau))
    assert torch.equal(second.pop("fc.bias"), torch.zeros_like(first.pop("fc.bias")))
    assert_same(first, second)


def test_tau_0_predicts_what_erm_does_without_its_bias():
    network, batch = Small(), a_batch()
    expected = network(batch.images) - network.fc.bias
    build_method("tau-norm", {"tau": 0}).finish(network, [])
    assert_close(network(batch.images), expected)
