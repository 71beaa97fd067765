"""The optimizer beside PyTorch's own, bit for bit, over a training."""

import copy
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

import dcbench
from dcbench.training.sgd import SGD
from tests.training.test_trainer import a_trainer

SOURCE = Path(dcbench.__file__).parents[1]


@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize(
    ("momentum", "nesterov", "weight_decay"),
    [(0.9, False, 5e-4), (0.9, True, 5e-4), (0.9, False, 0.0), (0.0, False, 1e-3), (0.0, False, 0)],
)
def test_steps_are_those_of_pytorch_to_the_bit(momentum, nesterov, weight_decay, fused):
    torch.manual_seed(0)
    ours = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 4, 3))
    theirs = copy.deepcopy(ours)
    recipe = a_trainer().recipe.model_copy(
        update={"momentum": momentum, "nesterov": nesterov, "weight_decay": weight_decay}
    )
    rate = torch.zeros((), dtype=torch.float32 if fused else torch.float64)
    optimizer = SGD(ours, recipe, rate, fused=fused)
    reference = torch.optim.SGD(
        theirs.parameters(),
        lr=torch.zeros(()) if fused else 0.0,
        momentum=momentum,
        nesterov=nesterov,
        weight_decay=weight_decay,
        fused=fused,
    )
    for step in range(20):
        rate.fill_(0.1 / (1 + step))
        reference.param_groups[0]["lr"] = rate.clone() if fused else rate.item()
        images = torch.randn(5, 3, 8, 8)
        for network, each in ((ours, optimizer), (theirs, reference)):
            each.zero_grad()
            network(images).square().mean().backward()
            each.step()
    for one, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert torch.equal(one, other)
    if momentum:
        for one, state in zip(optimizer.momentum, reference.state.values(), strict=True):
            assert torch.equal(one, state["momentum_buffer"])


def test_parameters_that_do_not_learn_or_have_no_gradient_stay():
    network = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2), nn.Linear(2, 2))
    network[0].requires_grad_(False)
    before = copy.deepcopy(network)
    optimizer = SGD(network, a_trainer().recipe, torch.tensor(0.1), fused=False)
    network[2](torch.ones(1, 2)).sum().backward()
    optimizer.step()
    for kept in (0, 1):
        assert torch.equal(network[kept].weight, before[kept].weight)
    assert not torch.equal(network[2].weight, before[2].weight)


def test_run_imports_no_compiler(tmp_path: Path):
    compiler = {"torch._dynamo", "torch._inductor"}
    # Older ones, such as 2.6, import sympy themselves in every `torch._check`.
    if tuple(map(int, torch.__version__.split(".")[:2])) >= (2, 15):
        compiler.add("sympy")
    code = f"""
import sys, dcbench
dcbench.run("erm", "digits", settings={{"epochs": 1}}, device="cpu", results={str(tmp_path)!r})
print({compiler!r} & sys.modules.keys())
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=SOURCE, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "set()"
