"""The features of a network are what its last layer is given."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import dcbench
from dcbench.data.load import load_images
from dcbench.data.source import open_source
from dcbench.data.splits import load_split
from dcbench.records.files import read_predictions
from dcbench.runs import trained as trained_module
from dcbench.runs.detectors import Fitting
from dcbench.runs.representations import Representation, Tap
from dcbench.runs.trained import TrainedNetwork, load_network


class Attending(nn.Module):
    """Channels weighed by a layer `fc` of a part of the network, then a classifier of some name."""

    def __init__(self, classifier: str) -> None:
        super().__init__()
        self.attention = nn.ModuleDict({"fc": nn.Linear(3, 3)})
        self.classifier = classifier
        self.add_module(classifier, nn.Linear(12, 4))

    def forward(self, images: Tensor) -> Tensor:
        weighed = images * self.attention["fc"](images.mean((2, 3)))[:, :, None, None]
        return getattr(self, self.classifier)(input=weighed.flatten(1))


def seen_of(network: nn.Module) -> Representation:
    given = {"logits": network, "mean": torch.zeros(3), "std": torch.ones(3)}
    images = np.ones((5, 2, 2, 3), np.uint8)
    return Tap(SimpleNamespace(network=network, **given)).represent(images, lambda count: None)


@pytest.mark.parametrize(("classifier", "shape"), [("fc", (5, 12)), ("head", None)])
def test_layer_fc_of_a_part_of_the_network_gives_no_features(classifier, shape):
    features = seen_of(Attending(classifier)).features
    assert (None if features is None else tuple(features.shape)) == shape


@pytest.fixture(scope="module")
def reduced(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run in bfloat16."""
    results = tmp_path_factory.mktemp("reduced")
    settings = {"epochs": 1, "precision": "bf16"}
    dcbench.run("erm", "digits", settings=settings, device="cpu", results=results)
    return results / "v1/digits/subset-0/erm,epochs=1,precision=bf16/seed-0"


def test_logits_after_training_are_in_the_precision_that_the_run_predicted_in(reduced: Path):
    trained = load_network(reduced, "cpu")
    stored = read_predictions(reduced, trained.record).logits
    images = load_images(load_split("digits"), open_source()).test.images
    tap = Tap(trained)
    seen = tap.represent(images, lambda count: None)
    assert np.array_equal(trained.predict(images), stored)
    assert np.array_equal(seen.logits.numpy(), stored)
    assert seen.features is not None
    again = Fitting(tap, seen, torch.empty(0), {}).head_logits(seen.features).detach()
    assert again.equal(again.bfloat16().float()), "products of bfloat16 numbers are rounded to them"
    assert np.abs(again.numpy() - stored).max() <= 2**-7 * np.abs(stored).max()
    logits = trained(torch.tensor(images[:20]).permute(0, 3, 1, 2) / 255)
    assert logits.dtype == torch.float32
    assert logits.equal(logits.bfloat16().float())


def test_every_pass_of_a_loaded_network_is_within_its_recipes_arithmetic(
    reduced: Path, monkeypatch
):
    """On a GPU, another run has set the process to its own precision meanwhile."""
    within: list[str] = []

    @contextmanager
    def noted(recipe: object, device: torch.device) -> Iterator[None]:
        within.append(recipe.precision)
        yield
        within.pop()

    def passes(trained: TrainedNetwork) -> None:
        images = np.zeros((2, 8, 8, 3), np.uint8)
        trained.predict(images)
        trained(torch.zeros(2, 3, 8, 8))
        Tap(trained).represent(images, lambda count: None)

    seen: list[list[str]] = []
    monkeypatch.setattr(trained_module, "arithmetic", noted)
    trained = load_network(reduced, "cpu")
    trained.network.register_forward_pre_hook(lambda *given: seen.append([*within]))
    passes(trained)
    assert seen == [["bf16"]] * 3
    assert within == []
