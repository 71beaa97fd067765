import copy
import hashlib
import io
import struct
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any, ClassVar
from unittest import mock

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from dcbench.config.recipe import Recipe
from dcbench.errors import RunError
from dcbench.methods import Method, Task, build_method
from dcbench.methods.mixup import ERM
from dcbench.training import loop
from dcbench.training.augment import DeviceImages
from dcbench.training.initial import initial_weights
from dcbench.training.loop import Training, train_together
from dcbench.training.stages import new_network
from dcbench.training.trainer import Trainer

CPU = torch.device("cpu")
CLASSES, IMAGES, BATCH = 4, 23, 5
STEPS = 5  # four batches of five images and one of three


def a_trainer(
    method: str | Method = "erm", seed: int = 0, device: torch.device = CPU, **changes: Any
) -> Trainer:
    given = {
        "model": "digits-cnn",
        "epochs": 3,
        "batch_size": BATCH,
        "learning_rate": 0.05,
        "momentum": 0.9,
        "weight_decay": 5e-4,
        "schedule": "cosine",
        "padding": 1,
        "flip": True,
    }
    recipe = Recipe.model_validate({**given, **changes})
    generator = np.random.default_rng(0)
    pixels = generator.integers(0, 256, (IMAGES, 8, 8, 3), dtype=np.uint8)
    labels = generator.integers(0, CLASSES - 1, IMAGES)  # the last class has no image
    images = DeviceImages(
        pixels,
        mean=np.float32([0.5, 0.4, 0.3]),
        std=np.float32([0.2, 0.3, 0.25]),
        device=device,
        padding=recipe.padding,
        border=recipe.border,
    )
    if isinstance(method, str):
        method = build_method(method, {})
    return Trainer(images, labels, CLASSES, method, recipe, seed)


def keeping(trainer: Trainer, save: Callable[[dict[str, Any]], None]) -> Training:
    """A training whose states go to a function."""
    return Training(trainer, SimpleNamespace(write=save))


def train(
    trainer: Trainer,
    save: Callable[[dict[str, Any]], None] = lambda state: None,
    save_interval: Callable[[float], float] = loop.save_interval,
) -> None:
    """Train one alone; what goes wrong is raised."""
    with mock.patch.object(loop, "save_interval", save_interval):
        for failure in train_together({0: keeping(trainer, save)}).values():
            raise failure


def assert_in_turns_as_alone(alone: list[Trainer], together: list[Trainer]) -> None:
    """Train the one list one by one and its twins in turns: they end as one another."""
    for trainer in alone:
        train(trainer)
    assert train_together({key: Training(each) for key, each in enumerate(together)}) == {}
    for one, other in zip(alone, together, strict=True):
        assert_same(weights(one), weights(other))
        assert losses(one) == losses(other)


def weights(trainer: Trainer) -> dict[str, torch.Tensor]:
    return {key: value.cpu().clone() for key, value in trainer.network.state_dict().items()}


def assert_resumes(whole: Trainer, again: Callable[[], Trainer], steps: int) -> None:
    """That a run that is stopped after some steps and goes on ends as the whole one has."""
    resumed = again()
    resumed.restore(read(stored_after(again(), steps)))
    train(resumed)
    assert_same(weights(whole), weights(resumed))
    assert losses(whole) == losses(resumed)


def assert_same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> None:
    assert one.keys() == other.keys()
    for key, value in one.items():
        assert torch.equal(value, other[key]), key


def losses(trainer: Trainer) -> list[tuple[int, float, float]]:
    return [(row.epoch, row.loss, row.learning_rate) for row in trainer.progress.history]


def digits_network(num_classes: int = 10, seed: int = 0) -> nn.Module:
    recipe = a_trainer().recipe
    return new_network(ERM(), recipe, Task((8, 8), (5,) * num_classes), seed)


class StopError(Exception):
    """What ends a training where a test wants it to."""


def stored_after(trainer: Trainer, steps: int) -> bytes:
    """Train for `steps` steps, and give the state as a file holds it."""
    taken: list[bytes] = []

    def save(state: dict[str, Any]) -> None:
        content = io.BytesIO()
        torch.save(state, content)
        taken.append(content.getvalue())
        if len(taken) == steps:
            raise StopError

    with pytest.raises(StopError):
        train(trainer, save=save, save_interval=lambda saving: 0)
    return taken[-1]


def read(content: bytes) -> dict[str, Any]:
    return torch.load(io.BytesIO(content), weights_only=True)


@pytest.mark.parametrize("method", ["erm", "ic-regmixup"])
def test_one_seed_gives_one_set_of_weights_and_another_seed_others(method):
    runs = [a_trainer(method, seed=seed) for seed in (3, 3, 4)]
    for run in runs:
        train(run)
    assert_same(weights(runs[0]), weights(runs[1]))
    assert losses(runs[0]) == losses(runs[1])
    assert not torch.equal(runs[0].network.fc.weight, runs[2].network.fc.weight)


def test_methods_with_one_seed_share_initial_weights_order_and_crops():
    one, other = a_trainer("erm", seed=5), a_trainer("ic-regmixup", seed=5)
    assert_same(weights(one), weights(other))
    for epoch in (0, 2):
        for field in ("order", "offsets", "flips", "angles", "partners"):
            ours, theirs = (getattr(each.draws(epoch), field) for each in (one, other))
            assert np.array_equal(ours, theirs), field


def test_networks_that_two_threads_build_have_the_weights_of_their_seeds():
    recipe = a_trainer().recipe.model_copy(update={"model": "resnet-8"})
    task = Task((32, 32), (5,) * 10)
    alone = {seed: new_network(ERM(), recipe, task, seed).state_dict() for seed in range(8)}
    with ThreadPoolExecutor(4) as threads:
        built = threads.map(lambda seed: new_network(ERM(), recipe, task, seed), range(8))
    for seed, network in enumerate(built):
        assert_same(alone[seed], network.state_dict())


def test_initial_weights_neither_feel_nor_move_the_callers_generator():
    torch.manual_seed(1)
    before = torch.get_rng_state()
    one = digits_network(seed=2).state_dict()
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(99)
    assert_same(one, digits_network(seed=2).state_dict())


def test_training_neither_feels_nor_moves_the_callers_generators():
    one, other = a_trainer("ic-regmixup"), a_trainer("ic-regmixup")
    torch.manual_seed(1)
    np.random.seed(1)  # noqa: NPY002 - the global generator is what is meant
    before = torch.get_rng_state()
    expected = np.random.RandomState(1).random_sample()
    train(one)
    assert torch.equal(torch.get_rng_state(), before)
    assert np.random.random_sample() == expected  # noqa: NPY002
    torch.manual_seed(99)
    train(other)
    assert_same(weights(one), weights(other))


@pytest.mark.parametrize("stop", [1, 3, STEPS, STEPS + 1, 2 * STEPS, 3 * STEPS - 1, 3 * STEPS])
@pytest.mark.parametrize("method", ["erm", "ic-regmixup"])
def test_run_that_was_stopped_at_any_step_ends_with_the_same_weights(method, stop):
    whole = a_trainer(method)
    train(whole)
    state = read(stored_after(a_trainer(method), stop))
    resumed = a_trainer(method)
    resumed.restore(state)
    assert (resumed.progress.epoch, resumed.progress.step) == divmod(stop, STEPS) or (
        resumed.progress.step == STEPS and stop % STEPS == 0
    )
    train(resumed)
    assert_same(weights(whole), weights(resumed))
    assert losses(whole) == losses(resumed)


def test_run_that_was_stopped_many_times_ends_with_the_same_weights():
    whole = a_trainer("ic-remix", schedule="steps", milestones=[1, 2], rotation=15)
    train(whole)
    content = None
    for _ in range(3 * STEPS):
        part = a_trainer("ic-remix", schedule="steps", milestones=[1, 2], rotation=15)
        if content is not None:
            part.restore(read(content))
        content = stored_after(part, 1)
    last = a_trainer("ic-remix", schedule="steps", milestones=[1, 2], rotation=15)
    last.restore(read(content))
    train(last)
    assert_same(weights(whole), weights(last))
    assert losses(whole) == losses(last)


def test_state_is_a_copy_of_the_moment_once_it_is_stored():
    trainer = a_trainer()
    content = stored_after(trainer, 2)
    train(trainer)
    assert read(content)["progress"]["step"] == 2
    assert not torch.equal(read(content)["network"]["fc.weight"], trainer.network.fc.weight)


def test_measuring_a_step_leaves_the_run_as_it_was():
    whole, measured = a_trainer("regmixup"), a_trainer("regmixup")
    train(whole)
    before = weights(measured)
    assert measured.measure_step().seconds > 0
    assert_same(before, weights(measured))
    assert (measured.progress.epoch, measured.progress.step, measured.progress.history) == (
        *(0, 0),
        [],
    )
    train(measured)
    assert_same(weights(whole), weights(measured))


def test_measuring_a_step_leaves_a_resumed_run_as_it_was():
    whole = a_trainer("ic-mixup")
    train(whole)
    state = read(stored_after(a_trainer("ic-mixup"), STEPS + 2))
    resumed = a_trainer("ic-mixup")
    resumed.restore(copy.deepcopy(state))
    resumed.measure_step()
    for buffer, stored in zip(resumed.train_step.momentum, state["momentum"], strict=True):
        assert torch.equal(buffer, stored)
    train(resumed)
    assert_same(weights(whole), weights(resumed))
    assert losses(whole) == losses(resumed)


def test_time_before_training_and_while_saving_is_not_counted_as_training(monkeypatch):
    clock = [0.0]
    fake = SimpleNamespace(monotonic=lambda: clock[0], perf_counter=lambda: clock[0])
    monkeypatch.setattr("dcbench.training.trainer.time", fake)
    monkeypatch.setattr("dcbench.training.loop.time", fake)
    trainer = a_trainer(epochs=1)
    clock[0] += 100
    trainer.measure_step()
    clock[0] += 100

    def save(state: dict[str, Any]) -> None:
        clock[0] += 100

    train(trainer, save=save, save_interval=lambda saving: 0)
    assert trainer.progress.seconds == 0
    assert trainer.progress.history[0].seconds == 0


class Ticking(Method):
    """Every step takes ten seconds of a clock."""

    clock: ClassVar[list[float]] = [0.0]

    def loss(self, network, batch):
        self.clock[0] += 10
        return cross_entropy(network(batch.images), batch.labels)


@pytest.mark.parametrize(
    ("saving", "steps"),
    [
        (0.25, [3, 6, 9, 12, 15, 15]),  # every half minute, and at the end
        (1.0, [3, 13, 15]),  # 100 seconds later, of which saving is a hundredth
    ],
)
def test_states_are_saved_every_half_minute_or_as_often_as_takes_a_hundredth(
    saving, steps, monkeypatch
):
    clock = Ticking.clock
    clock[0] = 0.0
    fake = SimpleNamespace(monotonic=lambda: clock[0])
    monkeypatch.setattr("dcbench.training.trainer.time", fake)
    monkeypatch.setattr("dcbench.training.loop.time", fake)
    saved = []

    def save(state: dict[str, Any]) -> None:
        saved.append(state["progress"]["epoch"] * STEPS + state["progress"]["step"])
        clock[0] += saving

    train(a_trainer(Ticking()), save=save)
    assert saved == steps


class Odd(Method):
    """A loss that a test sets, step by step."""

    values: ClassVar[list[float]] = []

    def loss(self, network, batch):
        value = self.values.pop(0) if self.values else float(len(batch.labels))
        return 0.0 * network(batch.images).sum() + value


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (float("nan"), "training has diverged: the loss is nan in epoch 1 of 3"),
        (float("inf"), "training has diverged: the loss is inf in epoch 1 of 3"),
        (-float("inf"), "training has diverged: the loss is -inf in epoch 1 of 3"),
        (1e5, r"the loss is high: \S+ in epoch 1 of 3, and a run is given up beyond 1000"),
    ],
)
def test_run_whose_loss_is_no_number_or_high_is_given_up_in_its_epoch(value, said):
    Odd.values[:] = [1.0] * STEPS + [value]
    trainer = a_trainer(Odd())
    with pytest.raises(RunError, match=said) as caught:
        train(trainer)
    Odd.values.clear()
    assert "learning_rate" in str(caught.value)
    assert caught.value.exit_code == 1
    assert len(trainer.progress.history) == 1


def test_too_large_a_learning_rate_is_named():
    with pytest.raises(RunError, match=r"smaller learning_rate than 1e\+06"):
        train(a_trainer(learning_rate=1e6))


def test_loss_of_an_epoch_is_the_mean_over_images_though_the_last_batch_is_short():
    trainer = a_trainer(Odd(), epochs=1)
    shown: list[str] = []
    task = SimpleNamespace(advance=lambda count, detail: shown.append(detail), close=list)
    assert train_together({0: Training(trainer, shown=task)}) == {}
    assert trainer.steps_per_epoch == STEPS
    # Four batches whose loss is 5 and one of three images whose loss is 3.
    assert trainer.progress.history[0].loss == pytest.approx((4 * 5 * 5 + 3 * 3) / IMAGES)
    assert [detail.partition(",")[0] for detail in shown] == ["loss 4.7391"]  # 109 / 23


def test_loss_of_shape_1_trains_as_a_scalar():
    class Kept(Method):
        def loss(self, network, batch):
            return cross_entropy(network(images=batch.images), batch.labels).view(1)

    plain, kept = a_trainer("erm"), a_trainer(Kept())
    assert kept.measure_step().passed == BATCH
    train(plain)
    train(kept)
    assert_same(weights(plain), weights(kept))
    assert losses(plain) == losses(kept)


def test_initial_weights_are_hashed_as_they_lie_row_by_row():
    network = nn.Module()
    network.a = nn.Parameter(torch.tensor([1.0, -2.5], dtype=torch.bfloat16))
    network.b = nn.Parameter(torch.tensor([[0.0, 1.0], [2.0, 3.0]]).t())
    network.register_buffer("c", torch.tensor(7))
    halves = bytes.fromhex("803f20c0")  # 0x3f80 is 1 and 0xc020 is -2.5, lower byte first
    content = (
        b"a\0" + halves + b"b\0" + struct.pack("<4f", 0, 2, 1, 3) + b"c\0" + struct.pack("<q", 7)
    )
    found = initial_weights(network)
    assert found.sha256 == hashlib.sha256(content).hexdigest()
    assert found.total == 1 - 2.5 + 6 + 7


def test_history_has_the_learning_rate_of_the_last_step():
    trainer = a_trainer()
    train(trainer)
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.05)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=3 * STEPS)
    rates = []
    for _ in range(3 * STEPS):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    found = [row.learning_rate for row in trainer.progress.history]
    assert found == pytest.approx(rates[STEPS - 1 :: STEPS])


@pytest.mark.parametrize("nesterov", [False, True])
def test_steps_are_those_of_sgd_written_out(nesterov):
    trainer = a_trainer(
        padding=0, flip=False, nesterov=nesterov, weight_decay=0.01, schedule="steps",
        milestones=[2],
    )  # fmt: skip
    network = digits_network(CLASSES).train()
    generator = np.random.default_rng(0)
    pixels = generator.integers(0, 256, (IMAGES, 8, 8, 3), dtype=np.uint8)
    labels = torch.from_numpy(generator.integers(0, CLASSES - 1, IMAGES))
    mean, std = torch.tensor([0.5, 0.4, 0.3]), torch.tensor([0.2, 0.3, 0.25])
    images = ((torch.from_numpy(pixels) / 255 - mean) / std).permute(0, 3, 1, 2)
    order = torch.from_numpy(trainer.draws(0).order)
    velocity = {key: torch.zeros_like(value) for key, value in network.named_parameters()}
    for rows in order.split(BATCH):
        network.zero_grad()
        cross_entropy(network(images[rows]), labels[rows]).backward()
        with torch.no_grad():
            for key, value in network.named_parameters():
                gradient = value.grad + 0.01 * value
                velocity[key] = 0.9 * velocity[key] + gradient
                value -= 0.05 * (gradient + 0.9 * velocity[key] if nesterov else velocity[key])
    stored_after(trainer, STEPS)
    for key, value in trainer.network.state_dict().items():
        expected = network.state_dict()[key]
        torch.testing.assert_close(value, expected, rtol=1e-3, atol=1e-5, msg=key)


def test_method_sees_the_class_counts_of_the_whole_training_set():
    seen = []

    class Looks(Method):
        def loss(self, network, batch):
            seen.append(batch)
            return cross_entropy(network(batch.images), batch.labels)

    trainer = a_trainer(Looks(), epochs=1)
    train(trainer)
    generator = np.random.default_rng(0)
    generator.integers(0, 256, (IMAGES, 8, 8, 3), dtype=np.uint8)
    labels = generator.integers(0, CLASSES - 1, IMAGES).tolist()
    expected = [float(labels.count(label)) for label in range(CLASSES)]
    assert expected[-1] == 0
    assert all(batch.class_counts.tolist() == expected for batch in seen)
    assert [len(batch.labels) for batch in seen] == [5, 5, 5, 5, 3]
    assert sorted(label for batch in seen for label in batch.labels.tolist()) == sorted(labels)
    assert all(batch.coefficients.eq(1).all() for batch in seen)


def test_checkpoints_are_made_no_more_often_than_asked_and_at_the_end():
    saved: list[dict[str, Any]] = []
    trainer = a_trainer()
    train(trainer, save=saved.append, save_interval=lambda saving: 3600)
    assert [(state["progress"]["epoch"], state["progress"]["step"]) for state in saved] == [(3, 0)]
    resumed = a_trainer()
    resumed.restore(saved[0])
    train(resumed)
    assert_same(weights(trainer), weights(resumed))
    assert losses(trainer) == losses(resumed)


def test_reduced_precision_changes_the_arithmetic_and_not_the_weights_type():
    full, reduced = a_trainer(), a_trainer(precision="bf16")
    train(full)
    train(reduced)
    assert not torch.equal(full.network.fc.weight, reduced.network.fc.weight)
    assert reduced.network.fc.weight.dtype == torch.float32
    assert full.progress.history[0].loss == pytest.approx(
        reduced.progress.history[0].loss, rel=0.05
    )


@pytest.mark.gpu
def test_initial_weights_on_a_gpu_are_those_on_a_cpu(cuda):
    assert_same(weights(a_trainer(device=cuda)), weights(a_trainer()))


@pytest.mark.gpu
@pytest.mark.parametrize("precision", ["float32", "tf32", "bf16"])
def test_run_that_was_stopped_on_a_gpu_ends_with_the_same_weights(cuda, precision):
    whole = a_trainer("ic-regmixup", device=cuda, precision=precision)
    train(whole)
    state = read(stored_after(a_trainer("ic-regmixup", device=cuda, precision=precision), 7))
    resumed = a_trainer("ic-regmixup", device=cuda, precision=precision)
    resumed.restore(state)
    resumed.measure_step()
    train(resumed)
    assert_same(weights(whole), weights(resumed))
