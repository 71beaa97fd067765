"""Scores of detectors by set: none is lost where another machine has other images."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

import dcbench
from dcbench.data.parts import MissingData
from dcbench.data.source import Folder
from dcbench.errors import DataError
from dcbench.records.files import read_record
from dcbench.records.posthoc import copy_posthoc, read_posthoc
from dcbench.records.schema import ImagesUsed
from dcbench.runs.further import LoadedSet, Request, SetImages
from dcbench.runs.posthoc import PosthocOutcome, posthoc
from tests.records.test_collect import contents

pytest.importorskip("pytorch_ood")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run of `erm` on digits."""
    results = tmp_path_factory.mktemp("trained")
    settings = {"epochs": 1}
    dcbench.run("erm", "digits", device="cpu", settings=settings, results=results)
    return results / "v1/digits/subset-0/erm,epochs=1/seed-0"


@pytest.fixture
def at_hand(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The sets whose images this machine has; a test may change it."""
    names = {"usps", "kmnist"}

    def load(images: SetImages, name: str) -> LoadedSet:
        if name not in names:
            raise MissingData(f"{name} is missing")
        pixels = np.random.default_rng(len(name)).integers(0, 256, (20, 8, 8, 3), dtype=np.uint8)
        used = ImagesUsed(images=20, sha256="0" * 64, official=True)
        return LoadedSet(name, "ood", [pixels], used)

    monkeypatch.setattr(SetImages, "load", load)
    return names


def fit(folder: Path, *sets: str) -> PosthocOutcome:
    request = Request(folder, read_record(folder), sets)
    [found] = posthoc([request], ["knn"], Folder(folder / "nowhere"), torch.device("cpu"))
    return found


@pytest.fixture
def scored(trained: Path, tmp_path: Path, at_hand: set[str]) -> Path:
    """A copy of the run with scores of `usps`."""
    folder = Path(shutil.copytree(trained, tmp_path / "run"))
    assert fit(folder, "usps").state == "fitted"
    return folder


def test_scores_of_a_set_that_is_no_longer_here_stay(scored: Path, at_hand: set[str]):
    before = contents(scored)
    at_hand.remove("usps")
    kept = fit(scored, "kmnist")
    assert (kept.state, set(kept.absent)) == ("there", {"usps"})
    assert contents(scored) == before
    at_hand.add("usps")
    assert fit(scored, "kmnist").state == "fitted"
    [both] = read_posthoc(scored, read_record(scored))
    assert both.ood.keys() == {"usps", "kmnist"}


def test_nothing_is_fitted_for_a_new_set_that_is_not_here(scored: Path, at_hand: set[str]):
    before = contents(scored)
    at_hand.remove("kmnist")
    assert (fit(scored, "kmnist").state, contents(scored)) == ("there", before)


def test_collect_brings_scores_of_further_sets_and_drops_none(
    trained: Path, tmp_path: Path, at_hand: set[str]
):
    lab, home, both = (
        Path(shutil.copytree(trained, tmp_path / name)) for name in ("lab", "home", "both")
    )
    for folder, sets in ((lab, ["usps"]), (home, ["kmnist"]), (both, ["kmnist", "usps"])):
        fit(folder, *sets)
    record = read_record(trained)
    with pytest.raises(DataError, match=r"each of sets that the other lacks \(kmnist, usps\)"):
        copy_posthoc(lab, home, record)
    assert copy_posthoc(home, both, record) == []
    assert copy_posthoc(both, home, record) == ["knn"]
    assert contents(home) == contents(both)
