"""The path that only a GPU takes: graphs, streams, reduced precision."""

from typing import ClassVar

import numpy as np
import pytest
import torch
from scipy import stats
from torch.nn.functional import cross_entropy

from dcbench.data.source import Folder
from dcbench.errors import RunError
from dcbench.methods import Method, method_names
from dcbench.records.store import Store
from dcbench.runs.execute import execute, execute_together
from dcbench.runs.plan import plan_run
from dcbench.runs.session import Session
from dcbench.training.trainer import Trainer
from tests.training.test_trainer import (
    BATCH,
    a_trainer,
    assert_in_turns_as_alone,
    assert_same,
    losses,
    train,
    weights,
)

pytestmark = pytest.mark.gpu


def eager(trainer: Trainer) -> Trainer:
    trainer._capture = trainer.train_step._capture = False
    return trainer


@pytest.mark.parametrize("method", method_names())
@pytest.mark.parametrize("precision", ["float32", "tf32", "bf16"])
def test_graphs_train_to_the_weights_of_eager_steps(cuda, method, precision):
    changes = {"device": cuda, "precision": precision, "rotation": 15}
    captured, taken = a_trainer(method, **changes), eager(a_trainer(method, **changes))
    train(captured)
    train(taken)
    assert len(captured.train_step._graphs) == 2
    assert not taken.train_step._graphs
    assert_same(weights(captured), weights(taken))
    assert losses(captured) == losses(taken)


@pytest.mark.parametrize("method", ["erm", "ic-regmixup"])
def test_first_losses_on_a_gpu_are_those_on_a_cpu(cuda, method):
    """Float32 differs in the order of its sums; TF32 keeps ten bits of a factor, bf16 seven."""
    found = {}
    for name, device, precision in [
        ("cpu", torch.device("cpu"), "float32"),
        ("float32", cuda, "float32"),
        ("tf32", cuda, "tf32"),
        ("bf16", cuda, "bf16"),
    ]:
        trainer = a_trainer(method, device=device, precision=precision)
        trainer.network.train()
        trainer.load(0)
        steps = []
        for _ in range(3):
            trainer.train_step.loss_sum.zero_()
            trainer.train_step.advance(BATCH)
            steps.append(trainer.train_step.loss_sum.item() / BATCH)
        found[name] = steps
    assert found["float32"] == pytest.approx(found["cpu"], rel=1e-4)
    assert found["tf32"] == pytest.approx(found["cpu"], rel=1e-2)
    assert found["bf16"] == pytest.approx(found["cpu"], rel=5e-2)


def test_no_step_of_an_epoch_waits_for_the_device(cuda):
    trainer = a_trainer("ic-regmixup", device=cuda)
    trainer.network.train()
    trainer.load(0)
    trainer.train_step.advance(BATCH)
    trainer.train_step.advance(3)
    draws = trainer.draws(1)
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        trainer.load(1, draws=draws)
        for step in range(trainer.steps_per_epoch):
            trainer.train_step.advance(trainer.size_of(step))
    finally:
        torch.cuda.set_sync_debug_mode("default")


def test_trainings_on_streams_of_their_own_end_as_each_does_alone(cuda):
    asked = [(method, seed) for method in ("erm", "ic-regmixup") for seed in range(3)]
    alone = [a_trainer(method, seed=seed, device=cuda) for method, seed in asked]
    together = [a_trainer(method, seed=seed, device=cuda) for method, seed in asked]
    assert_in_turns_as_alone(alone, together)


def test_captured_trainer_that_begins_again_is_as_a_new_one(cuda):
    new, used = a_trainer(seed=5, device=cuda), a_trainer(seed=2, device=cuda)
    train(used)
    graphs = dict(used.train_step._graphs)
    used.begin_again(seed=5)
    train(new)
    train(used)
    assert used.train_step._graphs == graphs
    assert_same(weights(used), weights(new))


class ReadsBack(Method):
    """ERM that looks at its loss."""

    def loss(self, network, batch):
        loss = cross_entropy(network(batch.images), batch.labels)
        return loss * (1 if loss.item() > 0 else 2)


class ReadsBackAndSaysSo(ReadsBack):
    """The same, declared."""

    capturable: ClassVar[bool] = False


def test_method_that_cannot_be_captured_is_told_what_to_declare(cuda):
    with pytest.raises(RunError, match="capturable = False"):
        train(a_trainer(ReadsBack(), device=cuda))
    declared, erm = a_trainer(ReadsBackAndSaysSo(), device=cuda), a_trainer(device=cuda)
    train(declared)
    train(erm)
    assert_same(weights(declared), weights(erm))


def test_packed_runs_have_the_records_of_runs_alone(cuda, tmp_path):
    plans = [
        plan_run(method, "digits", seed=seed, settings={"epochs": 3})
        for method in ("erm", "ic-mixup")
        for seed in (0, 1)
    ]
    alone = [
        execute(plan, Store(tmp_path / "alone"), Session(Folder(tmp_path), cuda)) for plan in plans
    ]
    packed = execute_together(plans, Store(tmp_path / "packed"), Session(Folder(tmp_path), cuda))
    for one, other in zip(alone, packed, strict=True):
        assert one.predictions.sha256 == other.ended.predictions.sha256
        assert one.model.sha256 == other.ended.model.sha256


def test_accuracy_of_five_seeds_is_that_of_eager_float32(cuda, tmp_path):
    """Paired over seeds, graphs under TF32 against eager float32 steps on a CPU."""
    scores = {"gpu": [], "cpu": []}
    for seed in range(5):
        for name, device, precision in (
            ("gpu", cuda, "tf32"),
            ("cpu", torch.device("cpu"), "float32"),
        ):
            settings = {"epochs": 20, "precision": precision}
            plan = plan_run("ic-regmixup", "digits", seed=seed, settings=settings)
            record = execute(plan, Store(tmp_path / name), Session(Folder(tmp_path), device))
            scores[name].append(record.metrics.accuracy)
    gap = np.subtract(scores["gpu"], scores["cpu"])
    assert np.abs(gap).max() < 0.03
    assert stats.ttest_rel(scores["gpu"], scores["cpu"]).pvalue > 0.01 or np.abs(gap).mean() < 0.01
