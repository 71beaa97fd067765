from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from dcbench.cli import app


def page(*arguments: object) -> tuple[int, str]:
    """Exit code and output of the command."""
    result = CliRunner().invoke(app, ["leaderboard", "page", *map(str, arguments)])
    return result.exit_code, " ".join(result.output.split())


def test_published_leaderboards_become_a_page_whose_place_is_told(tmp_path: Path):
    code, said = page("-o", tmp_path / "page")
    assert (code, "".join(said.split())) == (0, str(tmp_path / "page/index.html"))
    written = (tmp_path / "page/index.html").read_text(encoding="utf-8")
    assert 'id="v1-lite-cifar10-lt-100"' in written


def test_published_numbers_of_its_splits_stand_on_the_page(tmp_path: Path):
    page("-o", tmp_path)
    written = (tmp_path / "index.html").read_text(encoding="utf-8")
    row = written.partition('data-state="reported"')[2].partition("</tbody>")[0]
    assert "https://" in row


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--from", "nowhere"), "nowhere: there is no such folder"),
        (("--figures", "nowhere"), "nowhere: holds no SVG file"),
        (("--results", "nowhere"), "nowhere: there is no such folder of stored runs"),
    ],
)
def test_folder_that_is_not_there_ends_with_2(tmp_path: Path, arguments, message):
    code, said = page("-o", tmp_path / "page", *arguments)
    assert code == 2
    assert message in said
