"""Trials that cannot be trained as they were drawn, or not from where they were cut off."""

from __future__ import annotations

import hashlib
import logging
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dcbench.config.tuned import TunedRecipe
from dcbench.data.new_split import new_split
from dcbench.data.source import open_source
from dcbench.data.splits import load_split
from dcbench.errors import RunError
from dcbench.records import checkpoint as checkpoint_module
from dcbench.records.checkpoint import Checkpoint
from dcbench.tuning import trial as trial_module
from dcbench.tuning.plan import Search
from dcbench.tuning.tune import Found, TrialFacts, recipe_of
from tests.data.test_own_datasets import npz
from tests.tuning.test_tune import search, tuned

ORDERED = """
from typing import ClassVar

from pydantic import model_validator
from torch.nn.functional import cross_entropy
from dcbench.methods import Method

class Ordered(Method):
    '''Two settings, of which the first is not above the second.'''
    low: float = 0.0
    high: float = 1.0
    ranges: ClassVar = {"low": [0.0, 0.5], "high": [0.25, 1.0]}

    @model_validator(mode="after")
    def ordered(self):
        if self.low > self.high:
            raise ValueError(f"low={self.low} is above high={self.high}")
        return self

    def loss(self, network, batch):
        return cross_entropy(network(batch.images), batch.labels)
"""


@pytest.fixture
def ordered(tmp_path: Path) -> str:
    file = tmp_path / "method.py"
    file.write_text(ORDERED)
    return f"{file}:Ordered"


def test_trial_whose_settings_do_not_go_together_has_failed_and_the_others_go_on(
    ordered: str, tmp_path: Path
):
    found = tuned(tmp_path, search(method=ordered, trials=8, epochs=1))
    for each in found.trials:
        together = each.values["low"] <= each.values["high"]
        assert each.state == ("complete" if together else "failed")
        assert each.problem == ("" if together else "method ordered: low=0.5 is above high=0.25")
    assert {each.state for each in found.trials} == {"complete", "failed"}
    assert found.recipe is not None


def test_search_whose_trials_all_failed_says_so_each_time(ordered: str, tmp_path: Path):
    ranges = ["low=0.5..0.9", "high=0.1..0.4"]
    asked = search(method=ordered, trials=5, epochs=1, ranges=ranges)
    for _ in range(2):
        with pytest.raises(RunError, match="none of 5 trials could be trained to its") as caught:
            tuned(tmp_path, asked)
    assert str(caught.value).count("method ordered: low=0.") == 3
    assert str(caught.value).endswith("; and 2 other problems")


def cut_off(results: Path) -> Path:
    """The checkpoint of a search that was interrupted at the first rung of its first trial."""

    def interrupted(*given: object) -> None:
        signal.raise_signal(signal.SIGTERM)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(trial_module, "_score", interrupted)
        with pytest.raises(KeyboardInterrupt):
            tuned(results)
    [path] = results.rglob("checkpoint.pt")
    return path


def one_bit_less(checkpoint: Checkpoint) -> None:
    content = bytearray(checkpoint.path.read_bytes())
    content[len(content) // 2] ^= 1
    checkpoint.path.write_bytes(content)


def a_link(checkpoint: Checkpoint) -> None:
    checkpoint.path.rename(checkpoint.folder / "elsewhere")
    checkpoint.path.symlink_to("elsewhere")


def another_version(checkpoint: Checkpoint) -> None:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(checkpoint_module, "CHECKPOINT_VERSION", 1)
        checkpoint.write({})


def another_state(checkpoint: Checkpoint) -> None:
    checkpoint.write({"progress": {"epoch": 1}})


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Found:
    return tuned(tmp_path_factory.mktemp("undisturbed"))


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (one_bit_less, "the checkpoint is damaged"),
        (a_link, "is a link, and links are not followed here"),
        (another_version, "written by another version"),
        (another_state, "does not fit the run: 'network'"),
    ],
)
def test_trial_whose_checkpoint_cannot_be_used_begins_again_and_the_study_is_kept(
    undisturbed: Found,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    spoil: Callable[[Checkpoint], None],
    told: str,
):
    path = cut_off(tmp_path)
    spoil(Checkpoint(path.parent, search().plan(undisturbed.trials[0].values).identity))
    found = tuned(tmp_path)
    assert (found.trials, found.recipe) == (undisturbed.trials, undisturbed.recipe)
    warned = [each.getMessage() for each in caplog.records if each.levelno == logging.WARNING]
    assert warned == [f"{path}: {told}; trial 0 begins again"]


def test_recipe_says_which_images_of_ones_own_and_which_file_it_is_of(ordered: str, tmp_path: Path):
    data = npz(tmp_path, images=np.zeros((80, 8, 8), np.uint8), labels=np.arange(80) % 2)
    rule = {"kind": "by-position", "train": 25, "val": 5}
    given = (f"{data}[test=0.1,size=8]", rule, open_source(tmp_path / "data"), tmp_path / "splits")
    path = str(new_split("mine", *given))

    def recipe(values: dict[str, Any], asked: Search) -> TunedRecipe:
        trial = TrialFacts(0, "complete", values, score=1, nll=0, epochs=1, problem="")
        return recipe_of(asked, [trial], images=10)

    values = {"learning_rate": 0.1, "weight_decay": 0.1}
    ranges = ["learning_rate=0.1", "weight_decay=0.1"]
    asked = search(method=ordered, split=path, protocol="v1", ranges=ranges)
    own = recipe({**values, "low": 0.5, "high": 1.0}, asked)
    assert own.data_sha256 == load_split(path).data_sha256 is not None
    assert own.method_sha256 == hashlib.sha256(ORDERED.encode()).hexdigest()
    ours = recipe(values, search(method="erm", ranges=ranges))
    assert (ours.data_sha256, ours.method_sha256) == (None, None)
