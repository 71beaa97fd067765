"""What holds for every method, whatever it does."""

from __future__ import annotations

import builtins
import inspect
import json
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from dcbench.draws import BetaMixing, draw_epoch
from dcbench.methods import Batch, Method, Task, build_method, method_class, method_names
from dcbench.models import build_model

CLASSES = 3
EVERY_METHOD = pytest.mark.parametrize("name", method_names())


@pytest.fixture
def network(name: str) -> nn.Module:
    """The network that a method trains, where the recipe's is the one for digits."""
    return a_network(name)


def a_network(name: str) -> nn.Module:
    if name == "scattering":
        pytest.importorskip("kymatio")
    torch.manual_seed(0)
    task = Task((8, 8), (30, 9, 2))
    return build_method(name, {}).network(lambda: build_model("digits-cnn", CLASSES), task)


def a_batch(name: str, size: int = 8) -> Batch:
    """A batch, with what the method's own laws draw for it."""
    generator = torch.Generator().manual_seed(1)
    [drawn] = draw_epoch(0, 0, size, size, laws=build_method(name, {}).draws, owner=name).batches(
        size
    )
    own = {**drawn.per_sample, **drawn.per_batch}
    return Batch(
        images=torch.randn(size, 3, 8, 8, generator=generator),
        labels=torch.arange(size) % CLASSES,
        partners=torch.randperm(size, generator=generator),
        coefficients=torch.rand(size, generator=generator),
        class_counts=torch.tensor([30.0, 9, 2]),
        draws={key: torch.from_numpy(values) for key, values in own.items()},
    )


def gradients(method: Method, network: nn.Module, batch: Batch) -> list[Tensor]:
    loss = method.loss(network, batch)
    return [loss.detach(), *torch.autograd.grad(loss, list(network.parameters()))]


@EVERY_METHOD
def test_loss_is_a_finite_scalar_that_reaches_every_weight(name, network):
    loss = build_method(name, {}).loss(network, a_batch(name))
    assert loss.shape == ()
    assert loss.dtype == torch.float32
    assert torch.isfinite(loss)
    assert loss > 0
    loss.backward()
    for key, weight in network.named_parameters():
        assert weight.grad is not None, key
        assert torch.isfinite(weight.grad).all(), key
        assert weight.grad.abs().max() > 0, key


@EVERY_METHOD
@pytest.mark.parametrize("size", [1, 2])
def test_loss_of_a_very_short_last_batch_is_finite(name, size, network):
    network.eval()
    for value in gradients(build_method(name, {}), network, a_batch(name, size)):
        assert torch.isfinite(value).all()


@EVERY_METHOD
@pytest.mark.parametrize("coefficient", [0.0, 1.0])
def test_loss_at_the_ends_of_the_coefficients_is_finite(name, coefficient, network):
    batch = replace(a_batch(name), coefficients=torch.full((8,), coefficient))
    for value in gradients(build_method(name, {}), network, batch):
        assert torch.isfinite(value).all()


@EVERY_METHOD
def test_the_same_weights_batch_and_draws_give_the_same_step(name):
    steps = []
    for seed in (3, 4):
        network = a_network(name)
        torch.manual_seed(seed)
        np.random.seed(seed)  # noqa: NPY002 - no global generator may matter
        steps.append(gradients(build_method(name, {}), network, a_batch(name)))
    assert all(torch.equal(one, other) for one, other in zip(*steps, strict=True))


@EVERY_METHOD
def test_no_random_number_is_drawn(name, network):
    torch_state, numpy_state = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    build_method(name, {}).loss(network, a_batch(name))
    assert torch.equal(torch.get_rng_state(), torch_state)
    assert np.array_equal(np.random.get_state()[1], numpy_state)  # noqa: NPY002


@EVERY_METHOD
def test_the_batch_is_left_as_it_was(name, network):
    batch, untouched = a_batch(name), a_batch(name)
    build_method(name, {}).loss(network, batch).backward()
    for field in fields(Batch):
        if isinstance(getattr(batch, field.name), Tensor):
            now, before = getattr(batch, field.name), getattr(untouched, field.name)
            assert torch.equal(now, before), field.name
    for key, values in batch.draws.items():
        assert torch.equal(values, untouched.draws[key]), key


@EVERY_METHOD
def test_a_network_is_all_that_can_be_called_and_neither_optimizer_nor_file_is_touched(
    name, network, monkeypatch
):
    method, batch = build_method(name, {}), a_batch(name)
    assert list(inspect.signature(type(method).loss).parameters) == ["self", "network", "batch"]

    def refuse(*arguments: object, **options: object) -> None:
        pytest.fail("a method reached beyond its batch")

    monkeypatch.setattr(builtins, "open", refuse)
    monkeypatch.setattr(Path, "open", refuse)
    monkeypatch.setattr(torch.optim.Optimizer, "__init__", refuse)
    before = [weight.detach().clone() for weight in network.parameters()]

    shapes = []
    network.register_forward_pre_hook(
        lambda _, inputs: shapes.extend(each.shape for each in inputs)
    )
    method.loss(network, batch).backward()
    assert shapes
    assert {shape[1:] for shape in shapes} == {batch.images.shape[1:]}
    for weight, old in zip(network.parameters(), before, strict=True):
        assert torch.equal(weight, old)


@EVERY_METHOD
def test_mixing_law_is_one_that_can_be_drawn(name):
    mixing = build_method(name, {}).mixing
    assert mixing is None or (type(mixing) is BetaMixing and mixing.alpha > 0)


@EVERY_METHOD
def test_settings_are_plain_and_build_the_same_method_again(name):
    method = build_method(name, {})
    written = json.loads(json.dumps(method.settings, allow_nan=False))
    assert written == method.settings
    assert build_method(name, written) == method
    assert set(written) == set(type(method).model_fields)


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("mixup", {"alpha": 0.2, "coefficient": "sample"}),
        ("remix", {"alpha": 1.0, "coefficient": "batch", "kappa": 2.5, "tau": 0.25}),
        ("regmixup", {"alpha": 10.0, "coefficient": "batch", "eta": 0.5, "forward": "joint"}),
        (
            "ic-mixup",
            {
                "alpha": 0.2,
                "coefficient": "batch",
                "axes": "pair",
                "duplicates": "share",
                "temperature": 0.5,
                "prior": -1.0,
                "queue": 64,
            },
        ),
    ],
)
def test_settings_that_are_not_the_defaults_are_kept(name, settings):
    method = build_method(name, settings)
    assert method.settings == settings
    assert build_method(name, method.settings) == method
    assert method != build_method(name, {})


@EVERY_METHOD
def test_every_method_and_setting_says_what_it_is(name):
    method = method_class(name)
    assert method.__doc__ != Method.__doc__
    assert inspect.getdoc(method)
    assert all(field.description for field in method.model_fields.values())


def test_a_method_without_a_loss_says_so():
    with pytest.raises(NotImplementedError, match="Method has no loss"):
        Method().loss(a_network("erm"), a_batch("erm"))
