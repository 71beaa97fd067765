"""Learning curves and reliability on the pages of methods, from stored runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from dcbench.errors import DataError
from dcbench.leaderboard.boards import load_boards
from dcbench.leaderboard.build import build
from dcbench.reports.page import write_page
from tests.reports.page.test_rendering import Page
from tests.reports.test_figures import SPLIT, put


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("results")
    for method in ("erm", "ic-mixup"):
        for seed in range(2):
            put(folder, method, seed)
    return folder


@pytest.fixture(scope="module")
def leaderboard(results: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("leaderboard")
    build(results, folder)
    return folder


def test_page_of_a_method_shows_the_curves_of_its_stored_runs_alone(
    leaderboard: Path, results: Path, tmp_path: Path
):
    stored = tmp_path / "stored"
    (stored / "erm").mkdir(parents=True)
    (results / "erm" / "seed-0").rename(stored / "erm" / "seed-0")
    try:
        write_page(load_boards(leaderboard), (), tmp_path / "page", results=stored)
    finally:
        (stored / "erm" / "seed-0").rename(results / "erm" / "seed-0")
    page = Page(tmp_path / "page/methods/erm.html")
    names = [f"erm-v1-lite-{SPLIT}-{kind}.svg" for kind in ("learning", "reliability")]
    drawn = [image["src"] for image in page.all("img")]
    assert drawn == [f"../figures/methods/{name}" for name in names]
    for source in drawn:
        text = (tmp_path / "page/methods" / str(source)).read_text()
        assert "erm (n = 1)" in text
        assert "ic-mixup" not in text
    other = Page(tmp_path / "page/methods/ic-mixup.html")
    assert other.all("img") == []
    assert "The stored runs were not at hand" in other.words()


def test_damaged_run_is_refused_by_name(leaderboard: Path, tmp_path: Path):
    folder = put(tmp_path / "results", "erm", 0)
    (folder / "predictions.npz").write_bytes(b"no archive")
    with pytest.raises(DataError, match="predictions"):
        write_page(load_boards(leaderboard), (), tmp_path / "page", results=tmp_path / "results")
