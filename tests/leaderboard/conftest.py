"""A whole leaderboard, made once and copied for each test that breaks it."""

import shutil
from pathlib import Path

import pytest

from dcbench.leaderboard.build import build
from tests.leaderboard.tampering import SEEDS, put


@pytest.fixture(scope="session")
def made(tmp_path_factory) -> Path:
    """Results of three methods on `digits` and the leaderboard of them; remix is mixup there."""
    folder = tmp_path_factory.mktemp("made")
    for seed in SEEDS:
        put(folder / "results", "erm", seed, seed)
        put(folder / "results", "mixup", seed, 100 + seed)
        put(folder / "results", "remix", seed, 100 + seed)
    build(folder / "results", folder / "leaderboard")
    return folder


@pytest.fixture
def whole(made: Path, tmp_path: Path) -> Path:
    shutil.copytree(made / "leaderboard", tmp_path / "leaderboard")
    return tmp_path / "leaderboard"
