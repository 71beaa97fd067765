"""What a method may own beside its loss, tried with methods from a file outside the package."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import dcbench
from dcbench.draws import Beta, Categorical, Normal, Permutation, Uniform, draw_epoch
from dcbench.errors import RunError, UsageError
from dcbench.methods import Stage, Task, registry
from dcbench.models import build_model
from tests.methods import outside
from tests.training.test_trainer import (
    a_trainer,
    assert_in_turns_as_alone,
    assert_resumes,
    assert_same,
    train,
    weights,
)

METHODS = {
    "cosine-head": outside.CosineHead,
    "deferred": outside.Deferred,
    "cut-mixed": outside.CutMixed,
    "moving-average": outside.MovingAverage,
    "two-stages": outside.TwoStages,
    "sharpness": outside.Sharpness,
}


@pytest.fixture(autouse=True)
def registry_as_it_was(monkeypatch):
    monkeypatch.setattr(registry, "_methods", dict(registry._methods))


@pytest.mark.parametrize("name", METHODS)
def test_method_resumes_at_any_step_to_the_same_weights(name):
    method = METHODS[name]
    whole, again = a_trainer(method()), a_trainer(method())
    train(whole)
    train(again)
    assert_same(weights(whole), weights(again))
    for steps in (2, 7, 16, whole.epochs * whole.steps_per_epoch):
        assert_resumes(whole, lambda: a_trainer(method()), steps)


def test_methods_in_turns_end_as_each_does_alone():
    made = [method() for method in METHODS.values()]
    assert_in_turns_as_alone([a_trainer(each) for each in made], [a_trainer(each) for each in made])


@pytest.mark.parametrize("name", ["cosine-head", "cut-mixed", "two-stages", "moving-average"])
def test_method_from_a_file_runs_under_the_protocol(name, tmp_path: Path):
    location = f"{Path(outside.__file__)}:{METHODS[name].__name__}"
    record = dcbench.run(location, "digits", protocol="v1-lite", device="cpu", results=tmp_path)
    assert (record.status, record.departures) == ("protocol", ())
    assert record.method_sha256 is not None


def test_network_is_part_of_the_method_and_what_is_counted_is_what_was_built():
    plain, cosine = a_trainer("erm"), a_trainer(outside.CosineHead())
    assert_same(
        {key: value for key, value in weights(plain).items() if not key.startswith("fc")},
        {key: value for key, value in weights(cosine).items() if not key.startswith("fc")},
    )
    assert cosine.network.fc.scale.item() == 10
    assert not hasattr(plain.network.fc, "scale")


def test_average_predicts_and_is_not_trained():
    trainer = a_trainer(outside.MovingAverage(decay=0.5))
    method, network = trainer.method, trainer.network
    before = {key: value.clone() for key, value in network.network.state_dict().items()}
    step = next(trainer.events())
    assert step is not None
    now = network.network.state_dict()
    for name, value in network.average.state_dict().items():
        assert torch.allclose(value, 0.5 * before[name] + 0.5 * now[name])
    images = torch.rand(3, 3, 8, 8)
    network.eval()
    assert torch.equal(method.logits(network, images), network.average(images))


def test_second_stage_trains_the_classifier_alone_on_balanced_classes_from_new_weights():
    one_stage, two = a_trainer("erm"), a_trainer(outside.TwoStages())
    train(one_stage)
    train(two)
    assert two.epochs == 5
    assert [row.epoch for row in two.progress.history] == [0, 1, 2, 3, 4]
    first, second = weights(one_stage), weights(two)
    assert_same(
        {key: value for key, value in first.items() if not key.startswith("fc")},
        {key: value for key, value in second.items() if not key.startswith("fc")},
    )
    assert not torch.equal(first["fc.weight"], second["fc.weight"])
    assert two.progress.history[3].learning_rate < 0.01


def test_balanced_order_takes_every_class_equally_often():
    labels = np.repeat([0, 1, 2], [900, 90, 10])
    order = draw_epoch(0, 3, 1000, 100, balanced=labels).order
    counts = np.bincount(labels[order])
    # Binomial(1000, 1/3): a standard deviation of 15.
    assert np.all(np.abs(counts - 1000 / 3) < 5 * 15)
    assert len(np.unique(order[labels[order] == 2])) == 10


class OneMore(outside.TwoStages):
    """A second training as it is given."""

    more: dict[str, Any]

    @property
    def stages(self):
        return (Stage(**self.more),)


def test_stage_with_an_unknown_key_is_refused_by_name():
    with pytest.raises(UsageError, match=r"unknown key 'epoch'.*'epochs'"):
        a_trainer(OneMore(more={"recipe": {"epoch": 2}}))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("model", "wrn-10-1"),
        ("padding", 0),
        ("border", "reflect"),
        ("normalization", "cifar10"),
        ("precision", "bf16"),
        ("fit", "train"),
    ],
)
def test_stage_does_not_change_what_all_stages_share(key, value):
    with pytest.raises(UsageError, match=f"recipe cannot change {key}; it can change epochs, "):
        a_trainer(OneMore(more={"recipe": {"epochs": 1, key: value}}))
    a_trainer(OneMore(more={"recipe": {"epochs": 1, key: value}}), **{key: value})


@pytest.mark.parametrize("hook", ["trainable", "reset"])
def test_stage_that_names_a_module_which_the_network_lacks_is_refused_at_once(hook):
    with pytest.raises(UsageError, match=r"'head', which network DigitsCNN .* there are: .*fc"):
        a_trainer(OneMore(more={hook: ("fc", "head")}))


@pytest.mark.parametrize(
    ("law", "said"),
    [(Categorical((0.5, 0.6)), "do not sum to 1"), (Normal(0, -1), "scale < 0"), (3, "int")],
)
def test_law_that_cannot_be_drawn_is_told_by_its_method(law, said):
    class Drawing(outside.CosineHead):
        draws = property(lambda self: {"kind": law})

    with pytest.raises(RunError, match=f"^method : .*{said}"):
        a_trainer(Drawing()).draws(0)


def test_laws_are_drawn_by_their_names_and_change_no_other_stream():
    laws = {
        "box": Uniform(2, 4, shape=(4,)),
        "noise": Normal(1.0, 0.5),
        "share": Beta(2.0, 2.0, per="batch"),
        "kind": Categorical((0.25, 0.75)),
        "other": Permutation(),
    }
    plain = draw_epoch(5, 1, 1001, 100)
    drawn = draw_epoch(5, 1, 1001, 100, laws=laws, owner="mine")
    for name in ("order", "offsets", "flips", "angles", "partners", "coefficients"):
        assert np.array_equal(getattr(plain, name), getattr(drawn, name))
    box, noise = drawn.per_sample["box"], drawn.per_sample["noise"]
    assert box.shape == (1001, 4)
    assert box.min() >= 2
    assert box.max() < 4
    assert abs(noise.mean() - 1) < 5 * 0.5 / np.sqrt(1001)
    assert drawn.per_batch["share"].shape == (11,)
    assert abs(drawn.per_sample["kind"].mean() - 0.75) < 5 * np.sqrt(0.75 * 0.25 / 1001)
    assert sorted(drawn.per_sample["other"][:100]) == list(range(100))
    assert sorted(drawn.per_sample["other"][1000:]) == [0]
    again = draw_epoch(5, 1, 1001, 100, laws={"box": laws["box"]}, owner="mine")
    assert np.array_equal(again.per_sample["box"], box)
    others = draw_epoch(5, 1, 1001, 100, laws={"box": laws["box"]}, owner="yours")
    assert not np.array_equal(others.per_sample["box"], box)


def test_batches_of_an_epoch_hold_their_own_draws():
    laws = {"box": Uniform(shape=(2,)), "share": Beta(1.0, 1.0, per="batch")}
    drawn = draw_epoch(0, 0, 25, 10, laws=laws, owner="mine")
    first, second, last = drawn.batches(10)
    assert np.array_equal(second.per_sample["box"], drawn.per_sample["box"][10:20])
    assert last.per_sample["box"].shape == (5, 2)
    assert [float(each.per_batch["share"]) for each in (first, second, last)] == [
        float(each) for each in drawn.per_batch["share"]
    ]


class Watching(outside.CosineHead):
    """Notes what it sees of each batch."""

    def loss(self, network, batch):
        seen.append((batch.epoch.item(), batch.progress.item()))
        return super().loss(network, batch)


seen: list[tuple[int, float]] = []


def test_method_sees_its_epoch_and_the_share_of_training_that_is_done():
    seen.clear()
    train(a_trainer(Watching()))
    assert [epoch for epoch, _ in seen] == [0] * 5 + [1] * 5 + [2] * 5
    assert [share for _, share in seen] == pytest.approx([step / 15 for step in range(15)])


@pytest.mark.parametrize(
    ("method", "generator"),
    [
        *(("Noisy", "torch"), ("NoisyStart", "numpy")),
        *(("NoisyFinish", "torch"), ("NoisyLogits", "random")),
    ],
)
def test_method_that_draws_from_a_global_generator_makes_a_custom_run(
    tmp_path: Path, method, generator
):
    location = f"{Path(outside.__file__)}:{method}"
    options = {"protocol": "v1-lite", "device": "cpu", "results": tmp_path}
    record = dcbench.run(location, "digits", settings={"epochs": 1}, **options)
    assert record.status == "custom"
    few, drawn = record.departures
    assert few.startswith("epochs=1 ")
    assert drawn.endswith(f" draws from the generator of {generator}")


def test_task_counts_its_classes():
    assert Task((32, 32), (3, 1, 2)).num_classes == 3
    assert build_model("digits-cnn", 3).fc.out_features == 3
