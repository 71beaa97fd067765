import numpy as np
import pytest
import torch

from dcbench.config.base import validated
from dcbench.config.recipe import Recipe
from dcbench.errors import UsageError

GIVEN = {
    "model": "digits-cnn",
    "epochs": 20,
    "batch_size": 10,
    "learning_rate": 0.1,
    "momentum": 0.9,
    "weight_decay": 5e-4,
    "schedule": "cosine",
}


def recipe(**changes):
    return validated(Recipe, {**GIVEN, **changes}, "recipe")


def torch_rates(make_scheduler, learning_rate, count):
    """The rates that a scheduler of torch's gives before each of `count` calls of its step."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=learning_rate)
    scheduler = make_scheduler(optimizer)
    rates = []
    for _ in range(count):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return rates


def test_cosine_is_torchs_schedule_stepped_once_a_batch():
    steps_per_epoch, total = 7, 140
    expected = torch_rates(
        lambda optimizer: torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=total),
        4.55e-3,
        total,
    )
    ours = recipe(learning_rate=4.55e-3)
    found = [ours.learning_rate_at(step, steps_per_epoch) for step in range(total)]
    assert found == pytest.approx(expected, rel=1e-6, abs=1e-12)
    assert found[0] == 4.55e-3
    assert found[70] == pytest.approx(4.55e-3 / 2)


def test_steps_are_torchs_schedule_stepped_once_an_epoch():
    epochs, steps_per_epoch = 200, 3
    expected = torch_rates(
        lambda optimizer: torch.optim.lr_scheduler.MultiStepLR(optimizer, [50, 100, 150], 0.2),
        0.1,
        epochs,
    )
    ours = recipe(epochs=epochs, schedule="steps", milestones=[50, 100, 150], factor=0.2)
    for epoch in range(epochs):
        for step in range(steps_per_epoch):
            found = ours.learning_rate_at(epoch * steps_per_epoch + step, steps_per_epoch)
            assert found == pytest.approx(expected[epoch], rel=1e-9)


@pytest.mark.parametrize(
    ("epoch", "expected"),
    [
        (0, 0.02),
        (1, 0.04),
        (2, 0.06),
        (3, 0.08),
        (4, 0.1),
        (5, 0.1),
        (159, 0.1),
        (160, 1e-3),
        (179, 1e-3),
        (180, 1e-5),
        (199, 1e-5),
    ],
)
def test_warm_up_and_drops_of_ldam_come_in_its_epochs(epoch, expected):
    ours = recipe(epochs=200, schedule="steps", milestones=[160, 180], factor=0.01, warmup_epochs=5)
    for step in (0, 96):
        assert ours.learning_rate_at(epoch * 97 + step, 97) == pytest.approx(expected, rel=1e-9)


def test_cosine_after_a_warm_up_goes_on_where_it_would_be_without_one():
    plain, warmed = recipe(), recipe(warmup_epochs=2)
    assert warmed.learning_rate_at(0, 5) == pytest.approx(0.05)
    assert warmed.learning_rate_at(9, 5) == pytest.approx(0.1)
    assert warmed.learning_rate_at(10, 5) == plain.learning_rate_at(10, 5)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"epochs": 0}, "epochs=0"),
        ({"epochs": 1.5}, r"epochs=1\.5"),
        ({"epochs": True}, "epochs=True: input should be a valid integer"),
        ({"epochs": "2"}, "epochs='2'"),
        ({"learning_rate": True}, "learning_rate=True: input should be a valid number"),
        ({"flip": "yes"}, "flip='yes': should be true or false"),
        ({"flip": 1}, "flip=1: should be true or false"),
        ({"schedule": "steps", "milestones": [True, 50]}, r"milestones\.0=True"),
        ({"batch_size": 0}, "batch_size=0"),
        ({"learning_rate": 0}, "learning_rate=0"),
        ({"learning_rate": float("nan")}, "learning_rate"),
        ({"learning_rate": float("inf")}, "learning_rate"),
        ({"weight_decay": -1e-4}, "weight_decay"),
        ({"weight_decay": float("inf")}, "weight_decay"),
        ({"momentum": 1.0}, r"momentum=1\.0"),
        ({"schedule": "linear"}, "'cosine' or 'steps'"),
        ({"schedule": "steps"}, "needs milestones"),
        ({"schedule": "steps", "milestones": [100, 50]}, "rising"),
        ({"schedule": "steps", "milestones": [50, 50]}, "rising"),
        ({"schedule": "steps", "milestones": [0, 50]}, "above 0"),
        ({"factor": 0}, "factor=0"),
        ({"factor": 1.1}, r"factor=1\.1"),
        ({"warmup_epochs": -1}, "warmup_epochs=-1"),
        ({"padding": -1}, "padding=-1"),
        ({"border": "mirror"}, "'zero' or 'reflect'"),
        ({"rotation": 181}, "rotation=181"),
        ({"normalization": "mnist"}, "normalization='mnist'"),
        ({"precision": "float16"}, "precision='float16'"),
        ({"fit": "test"}, "'train' or 'trainval'"),
        ({"weight_deacy": 1e-4}, "did you mean 'weight_decay'"),
    ],
)
def test_recipe_that_cannot_be_trained_is_refused_by_its_key(changes, message):
    with pytest.raises(UsageError, match=message):
        recipe(**changes)


def test_whole_numbers_are_numbers_however_they_are_written():
    ours = recipe(learning_rate=1, epochs=2.0, batch_size=np.int64(3))
    assert (ours.learning_rate, ours.epochs, ours.batch_size) == (1.0, 2, 3)


def test_recipe_without_a_network_is_refused_by_the_missing_key():
    with pytest.raises(UsageError, match="key 'model' is missing"):
        validated(Recipe, {key: GIVEN[key] for key in GIVEN if key != "model"}, "recipe")
