"""The penalty on the gradient by the pixels."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.testing import assert_close

from dcbench.methods import Batch, build_method

CLASSES = 3


def a_batch(size: int = 4) -> Batch:
    generator = torch.Generator().manual_seed(1)
    return Batch(
        images=torch.randn(size, 3, 4, 4, generator=generator, dtype=torch.float64),
        labels=torch.arange(size) % CLASSES,
        partners=torch.arange(size),
        coefficients=torch.ones(size),
        class_counts=torch.tensor([2.0, 1, 1]),
    )


@pytest.fixture
def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Tanh(), nn.Flatten(), nn.Linear(16, CLASSES)
    ).double()


def penalty_by_differences(network: nn.Module, batch: Batch, step: float = 1e-5) -> Tensor:
    """The mean squared norm of the gradient of the summed losses, by central differences."""
    total = torch.zeros((), dtype=torch.float64)
    for index in range(batch.images.numel()):
        sums = []
        for sign in (1, -1):
            moved = batch.images.clone()
            moved.view(-1)[index] += sign * step
            sums.append(cross_entropy(network(moved), batch.labels, reduction="sum"))
        total = total + ((sums[0] - sums[1]) / (2 * step)) ** 2
    return total / len(batch.images)


def test_loss_is_cross_entropy_and_the_penalty_by_finite_differences(network):
    batch = a_batch()
    plain = cross_entropy(network(batch.images), batch.labels)
    with torch.no_grad():
        penalty = penalty_by_differences(network, batch)
    loss = build_method("grad-l2", {"weight": 0.3}).loss(network, batch)
    assert_close(loss, plain + 0.3 * penalty, rtol=1e-7, atol=1e-9)


def test_gradient_by_the_weights_is_that_of_finite_differences(network):
    batch = a_batch()
    method = build_method("grad-l2", {"weight": 0.3})
    method.loss(network, batch).backward()
    step = 1e-5
    for weight in network.parameters():
        index = weight.grad.abs().argmax()
        values = []
        for sign in (1, -1):
            with torch.no_grad():
                weight.view(-1)[index] += sign * step
            values.append(method.loss(network, batch).item())
            with torch.no_grad():
                weight.view(-1)[index] -= sign * step
        expected = (values[0] - values[1]) / (2 * step)
        assert weight.grad.view(-1)[index].item() == pytest.approx(expected, rel=1e-6, abs=1e-8)


def test_penalty_of_a_linear_network_is_the_one_worked_out_by_hand():
    # Logits are W x for one pixel of three channels, W = [[1, 0, 0], [0, 1, 0], [0, 0, 0]], x = 0:
    # probabilities 1/3, so the gradient is W^T (p - onehot(0)) = (-2/3, 1/3, 0).
    weight = torch.tensor([[1.0, 0, 0], [0, 1, 0], [0, 0, 0]], dtype=torch.float64)
    weight.requires_grad_()
    batch = Batch(
        images=torch.zeros(1, 3, 1, 1, dtype=torch.float64),
        labels=torch.tensor([0]),
        partners=torch.tensor([0]),
        coefficients=torch.ones(1),
        class_counts=torch.ones(3),
    )
    loss = build_method("grad-l2", {"weight": 2.0}).loss(
        lambda images: images.flatten(1) @ weight.T, batch
    )
    expected = torch.tensor(3.0).double().log() + 2 * (4 / 9 + 1 / 9)
    assert_close(loss, expected)


def test_weight_of_zero_gives_the_gradient_of_cross_entropy(network):
    batch = a_batch()
    gradients = [
        torch.autograd.grad(build_method(name, settings).loss(network, batch), network.parameters())
        for name, settings in [("erm", {}), ("grad-l2", {"weight": 0})]
    ]
    for one, other in zip(*gradients, strict=True):
        assert_close(one, other)


def test_one_pass_moves_the_running_statistics_once(network):
    batch = a_batch()
    build_method("grad-l2", {}).loss(network, batch)
    mean = network[0](batch.images).mean((0, 2, 3))
    assert_close(network[1].running_mean, 0.1 * mean)
