"""Draws from the process's generators are noted wherever a method's code makes them."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from dcbench.methods import Method, Stage
from dcbench.training.ending import finish_training, predict_by_method
from dcbench.training.generators import draws_noted
from dcbench.training.trainer import Trainer
from tests.training.test_trainer import CPU, a_trainer, read, stored_after, train

DRAW = {
    "torch": lambda: torch.rand(1),
    "numpy": lambda: np.random.rand(1),  # noqa: NPY002 - the global generator is what is meant
    "random": random.random,
}
IMAGES = np.zeros((4, 8, 8, 3), np.uint8), np.zeros(3, np.float32), np.ones(3, np.float32)


class Drawing(Method):
    """Draws in one of its hooks."""

    hook: str
    generator: str = "numpy"

    def at(self, hook: str) -> None:
        if hook == self.hook:
            DRAW[self.generator]()

    def network(self, build, task):
        self.at("network")
        return build()

    @property
    def draws(self):
        self.at("draws")
        return {}

    @property
    def stages(self):
        self.at("stages")
        return (Stage(recipe={"epochs": 1}, reset=("fc",)),)

    def loss(self, network, batch):
        self.at("loss")
        return cross_entropy(network(batch.images), batch.labels)

    def finish(self, network, images):
        self.at("finish")

    def logits(self, network, images):
        self.at("logits")
        return super().logits(network, images)


def noted(trainer: Trainer) -> set[str]:
    """What a training, what follows it and its predictions have drawn from."""
    train(trainer)
    finish_training(trainer, *IMAGES)
    predict_by_method(trainer, *IMAGES)
    return trainer.progress.global_draws


@pytest.mark.parametrize("name", DRAW)
def test_generator_that_is_drawn_from_is_noted_and_no_other(name):
    drawn: set[str] = set()
    with draws_noted(drawn, CPU):
        pass
    assert drawn == set()
    with draws_noted(drawn, CPU):
        DRAW[name]()
    assert drawn == {name}


@pytest.mark.parametrize("hook", ["network", "draws", "stages", "loss", "finish", "logits"])
def test_draw_in_a_hook_is_noted(hook):
    assert noted(a_trainer(Drawing(hook=hook))) == {"numpy"}


def test_draws_of_weights_from_torch_are_the_seeds_and_not_noted():
    assert noted(a_trainer(Drawing(hook="network", generator="torch"))) == set()
    assert noted(a_trainer(Drawing(hook="no", generator="torch"))) == set()


def test_draw_in_the_network_of_another_seed_or_of_a_stage_is_noted():
    trainer = a_trainer(Drawing(hook="network"))
    trainer.progress.global_draws.clear()
    trainer._enter(1)
    assert trainer.progress.global_draws == {"numpy"}
    trainer.progress.global_draws.clear()
    trainer.begin_again(1)
    assert trainer.progress.global_draws == {"numpy"}


def test_draws_stay_noted_in_a_run_that_goes_on_from_its_checkpoint():
    state = read(stored_after(a_trainer(Drawing(hook="loss", generator="torch")), 2))
    assert state["progress"]["global_draws"] == ["torch"]
    resumed = a_trainer(Drawing(hook="network"))
    resumed.restore(state)
    assert resumed.progress.global_draws == {"numpy", "torch"}
    del state["progress"]["global_draws"]  # as of an earlier version
    resumed = a_trainer("erm")
    resumed.restore(state)
    assert resumed.progress.global_draws == set()
