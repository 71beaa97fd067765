"""Compiled passes: one compilation for all seeds of a process, near to the eager ones."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy
from typer.testing import CliRunner

from dcbench.cli import app
from dcbench.config.recipe import Recipe
from dcbench.errors import RunError, UsageError
from dcbench.methods import Method, build_method
from dcbench.training.augment import DeviceImages
from dcbench.training.compiled import CompiledPasses, prepare_compilation
from dcbench.training.loop import Training, train_together
from dcbench.training.trainer import Trainer

CPU = torch.device("cpu")
IMAGES, BATCH, CLASSES = 23, 5, 4
"""Four full batches an epoch and one of three."""


def a_trainer(seed: int = 0, method: str | Method = "erm", *, compiled: bool = True) -> Trainer:
    given = {"model": "digits-cnn", "epochs": 2, "batch_size": BATCH, "learning_rate": 0.05}
    recipe = Recipe(**given, momentum=0.9, weight_decay=5e-4, schedule="cosine")
    generator = np.random.default_rng(0)
    pixels = generator.integers(0, 256, (IMAGES, 8, 8, 3), dtype=np.uint8)
    labels = generator.integers(0, CLASSES, IMAGES)
    mean, std = np.float32([0.5, 0.4, 0.3]), np.float32([0.2, 0.3, 0.25])
    images = DeviceImages(pixels, mean=mean, std=std, device=CPU)
    chosen = build_method(method, {}) if isinstance(method, str) else method
    return Trainer(images, labels, CLASSES, chosen, recipe, seed, compiled=compiled)


def weights_after_training(*trainers: Trainer) -> list[torch.Tensor]:
    """All weights of each trainer in a row, when they have been trained in turns."""
    assert not train_together({number: Training(each) for number, each in enumerate(trainers)})
    states = [trainer.network.state_dict().values() for trainer in trainers]
    return [torch.cat([each.flatten() for each in state]) for state in states]


@pytest.fixture
def compiling(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A process that compiles into a cache of its own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    for name in ("TORCHINDUCTOR_CACHE_DIR", "TORCHINDUCTOR_COMPILE_THREADS"):
        monkeypatch.setenv(name, "")  # so that it is taken back, whatever sets it
        monkeypatch.delenv(name)
    prepare_compilation(CPU)
    yield
    assert (tmp_path / "dcbench/compiled").is_dir()
    torch.compiler.reset()


@pytest.mark.usefixtures("compiling")
def test_one_compilation_serves_all_seeds_which_pack_and_resume_to_the_bit():
    # One test, for a compilation takes seconds.
    from torch._dynamo.utils import counters

    counters.clear()
    first, second = weights_after_training(a_trainer(0), a_trainer(1))
    (eager,) = weights_after_training(a_trainer(0, compiled=False))
    assert counters["stats"]["unique_graphs"] == 1
    torch.testing.assert_close(first, eager, rtol=1e-3, atol=1e-4)
    assert not torch.equal(first, second)

    measured = a_trainer(1)
    measured.measure_step()
    half = a_trainer(7)
    events = measured.events()
    for _ in range(7):  # into the second epoch
        next(events)
    half.restore(measured.state())
    half.seed = 1
    assert torch.equal(weights_after_training(half)[0], second)
    assert counters["stats"]["unique_graphs"] == 1
    assert not half.progress.global_draws


def test_network_is_as_it_was_outside_of_a_step():
    network = nn.Linear(2, 2)
    passes = CompiledPasses(network, 2, "erm")
    with passes.within():
        assert "forward" in vars(network)
    assert "forward" not in vars(network)
    with contextlib.suppress(ValueError), passes.within():
        raise ValueError
    assert "forward" not in vars(network)


def test_short_last_batch_is_not_compiled():
    trainer = a_trainer()
    sizes: list[int] = []
    calls: list[Any] = []
    network, forward = trainer.network, trainer.network.forward
    passes = trainer.train_step._compiled
    assert passes is not None
    passes._forward = lambda images: (sizes.append(len(images)), forward(images))[1]
    network.register_forward_pre_hook(lambda network, inputs: calls.append(len(inputs[0])))
    weights_after_training(trainer)
    assert sizes == [BATCH] * 8
    assert calls == [*[BATCH] * 4, 3] * 2


@pytest.mark.parametrize("name", ["grad-l2", "manifold-mixup"])
def test_method_that_cannot_be_compiled_is_trained_without(name: str):
    method = build_method(name, {})
    with mock.patch.object(type(method), "network", lambda self, build, task: build()):
        trainer = a_trainer(0, method)
    assert not trainer.compiled
    assert trainer.train_step._compiled is None


class Twice(Method):
    """Differentiates twice, and does not say so."""

    name = "twice"

    def loss(self, network: nn.Module, batch: Any) -> torch.Tensor:
        """What a compiled pass cannot do."""
        images = batch.images.detach().requires_grad_()
        loss = cross_entropy(network(images), batch.labels)
        (gradient,) = torch.autograd.grad(loss, images, create_graph=True)
        return loss + gradient.square().sum()


@pytest.mark.usefixtures("compiling")
def test_method_that_differentiates_twice_ends_in_one_line_that_says_what_to_do():
    with pytest.raises(RunError) as caught:
        a_trainer(0, Twice()).measure_step()
    message = str(caught.value)
    assert "method twice, compiled: " in message
    assert "double backward" in message
    assert message.endswith("leave --compile out, or let the method say `compilable = False`")
    assert "\n" not in message


def test_no_compiler_is_one_line_and_wrong_use(monkeypatch, tmp_path: Path):
    monkeypatch.setenv("CXX", "no-such-compiler")
    asked = ["run", "--method", "erm", "--split", "digits", "--results", str(tmp_path)]
    result = CliRunner().invoke(app, [*asked, "--compile"])
    assert result.exit_code == 2
    said = result.output.strip()
    assert "--compile needs a C++ compiler, and there is no no-such-compiler" in said
    assert len(said.splitlines()) == 1


def test_gpu_is_refused():
    with pytest.raises(UsageError, match="captured as CUDA graphs"):
        prepare_compilation(torch.device("cuda"))
