from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from dcbench.methods import build_method
from dcbench.methods.labels import focal_loss
from tests.methods.networks import CLASSES, Small, a_batch


def test_label_smoothing_is_the_cross_entropy_of_labels_mixed_with_the_uniform_distribution():
    batch, network = a_batch(), Small()
    logits = network(batch.images).detach().double().numpy()
    log_probs = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    labels = np.full((10, CLASSES), 0.3 / CLASSES)  # Szegedy et al. 2016, section 7
    labels[np.arange(10), batch.labels] += 0.7
    expected = -(labels * log_probs).sum(axis=1).mean()
    found = build_method("label-smoothing", {"smoothing": 0.3}).loss(network, batch)
    assert found.item() == pytest.approx(expected, rel=1e-6)


def test_label_smoothing_of_0_is_erm_to_the_bit():
    batch, network = a_batch(), Small()
    smooth = build_method("label-smoothing", {"smoothing": 0}).loss(network, batch)
    assert torch.equal(smooth, build_method("erm", {}).loss(network, batch))


def test_focal_loss_by_hand():
    # Two classes with odds of 3 to 1: p is 3/4 for the one label and 1/4 for the other.
    logits = torch.tensor([[math.log(3), 0.0], [math.log(3), 0.0]], dtype=torch.float64)
    found = focal_loss(logits, torch.tensor([0, 1]), gamma=2)
    assert found.item() == pytest.approx(
        (math.log(4 / 3) / 16 + math.log(4) * 9 / 16) / 2, rel=1e-12
    )


@pytest.mark.parametrize("gamma", [0.5, 2.0, 5.0])
def test_focal_loss_down_weighs_by_the_power_of_what_is_missing_to_certainty(gamma):
    batch, network = a_batch(), Small()
    logits = network(batch.images).detach().double().numpy()
    probs = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    own = probs[np.arange(10), batch.labels]
    expected = -((1 - own) ** gamma * np.log(own)).mean()
    found = build_method("focal", {"gamma": gamma}).loss(network, batch)
    assert found.item() == pytest.approx(expected, rel=1e-5)


def test_focal_loss_with_gamma_0_is_erm():
    batch, network = a_batch(), Small()
    losses = [
        build_method(*each).loss(network, batch) for each in (("focal", {"gamma": 0}), ("erm", {}))
    ]
    weights = list(network.parameters())
    assert_close(*losses)
    assert_close(*[torch.autograd.grad(loss, weights) for loss in losses])


@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0, 2.0])
def test_focal_loss_and_its_gradient_are_finite_where_the_network_is_certain(gamma):
    logits = torch.tensor([[200.0, -200.0], [200.0, -200.0]], requires_grad=True)
    loss = focal_loss(logits, torch.tensor([0, 1]), gamma)
    loss.backward()
    assert loss.item() == pytest.approx(200)  # 0 and 400
    assert torch.isfinite(logits.grad).all()
