"""Dishonest and careless edits of a published folder: each is caught, or is named in the docs."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from dcbench import run
from dcbench.data.source import open_source
from dcbench.leaderboard.checks import check
from dcbench.runs.evidence import WeightsCheck
from tests.leaderboard.edits import EDITS, PATCH, Edit
from tests.leaderboard.published import Published, publish


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Published:
    return publish(tmp_path_factory.mktemp("published"), run)


@pytest.fixture
def published(first: Published, tmp_path: Path) -> Iterator[Published]:
    shutil.copytree(first.root, tmp_path / "copy")
    yield Published(tmp_path / "copy")
    PATCH.undo()


def problems(board: Published, given: str) -> list[str]:
    if given == "rows":
        return check(board.board).problems
    verify = WeightsCheck(open_source(None)) if given == "weights" else None
    options = {"predictions": board.results, "require_predictions": True, "verify": verify}
    return check(board.board, **options).problems


@pytest.mark.parametrize("given", ["rows", "predictions", "weights"])
def test_folder_that_nobody_has_edited_is_called_wrong(published: Published, given: str):
    assert problems(published, given) == []


@pytest.mark.parametrize(
    "edit",
    [pytest.param(edit, id=edit.name) for edit in EDITS if not edit.tier],
)
def test_edit_is_caught_by_nothing(published: Published, edit: Edit):
    edit.do(published)
    found = problems(published, edit.given)
    assert [line for line in found if re.search(edit.said, line)], found


@pytest.mark.parametrize("edit", [pytest.param(edit, id=edit.name) for edit in EDITS if edit.tier])
def test_edit_that_no_check_sees_is_not_named_in_the_documentation(
    published: Published, edit: Edit
):
    edit.do(published)
    assert problems(published, "weights") == []
    page = (Path(__file__).parents[2] / "docs/leaderboards.md").read_text(encoding="utf-8")
    [line] = [line for line in page.splitlines() if line.startswith(f"| {edit.name}")]
    assert f"`{edit.tier}`" in line


def test_there_are_fewer_than_forty_edits():
    assert len({edit.name for edit in EDITS}) >= 40
