"""Dishonest and careless edits of a published folder: each is caught, or is named in the docs."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from dcbench import run
from dcbench.leaderboard.checks import check
from tests.leaderboard.edits import EDITS, PATCH, Edit
from tests.leaderboard.published import Published, publish

CAUGHT = {
    "a frozen rule changed",
    "a mean that the runs do not give",
    "a rank",
    "a run under another seed",
    "a seed that is not asked",
    "a bad seed of a published method deleted",
    "a better run in a published row's place",
    "accuracies of two seeds swapped",
    "accuracy raised in record and row",
    "another method's predictions",
    "images of another subset",
    "predictions of two seeds swapped",
    "raised accuracy of a new row",
    "raised accuracy of a published row",
    "rows of two methods swapped",
}
"""What is caught so far."""


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
    return check(board.board, predictions=board.results).problems


@pytest.mark.parametrize("given", ["rows", "predictions"])
def test_folder_that_nobody_has_edited_is_called_wrong(published: Published, given: str):
    assert problems(published, given) == []


@pytest.mark.parametrize(
    "edit",
    [
        pytest.param(
            edit,
            id=edit.name,
            marks=[] if edit.name in CAUGHT else pytest.mark.xfail(reason="caught by nothing yet"),
        )
        for edit in EDITS
        if not edit.tier
    ],
)
def test_edit_is_caught_by_nothing(published: Published, edit: Edit):
    edit.do(published)
    found = problems(published, edit.given)
    assert [line for line in found if re.search(edit.said, line)], found
