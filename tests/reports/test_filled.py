"""Numbers in pages: filled from boards, words left alone."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from dcbench.cli import app
from dcbench.errors import UsageError
from dcbench.reports import filled as module
from dcbench.reports.filled import filled
from tests.reports.test_latex import a_board, of_later_subsets

SPACE = "\N{NO-BREAK SPACE}"
PAGE = """Words before.

<!-- measured: v1 cifair10 -->
| method | runs | accuracy % | NLL | few % | − erm | − `mixup` | remark |
|---|---|---|---|---|---|---|---|
| `mixup` | ? | 1.0 | ? | ? | ? | ? | stays, | as | it is |

Words after: | `erm` | 99.9 |
"""


@pytest.fixture
def board(monkeypatch) -> None:
    monkeypatch.setattr(module, "load_board", lambda *_: a_board())


def row(text: str, first: str) -> list[str]:
    line = next(line for line in text.split("\n") if line.startswith(f"| {first} |"))
    return [cell.strip(" ").replace(SPACE, " ") for cell in line.strip("|").split("|")]


@pytest.mark.usefixtures("board")
def test_cells_under_known_titles_are_filled_and_others_kept():
    page = PAGE.replace("stays, | as | it is", "stays")
    text = filled(page, "page.md")
    # mixup: (0.600 + 0.612 + 0.598 + 0.610 + 0.605) / 5 = 0.605; minus erm's 0.51. Their five
    # differences 10, 9.2, 8.8, 8.0, 11.5 have mean 9.5, deviation 1.330, and t(4) = 2.776:
    # half of the interval is 1.652.
    found = row(text, "`mixup`")
    assert found == ["`mixup`", "5", "60.5 ± 1.2", "1.395 ± 0.012", "–", "+9.5 ± 1.7", "–", "stays"]
    assert text.split("\n")[:5] == page.split("\n")[:5]
    assert text.endswith("Words after: | `erm` | 99.9 |\n")
    assert filled(text, "page.md") == text


@pytest.mark.usefixtures("board")
def test_a_column_of_a_split_says_how_few_the_runs_are_and_dashes_where_there_is_none():
    page = "<!-- measured: v1 -->\n| method | `cifair10` % |\n|---|---|\n"
    page += "| `new` | |\n| `erm` | |\n| `sam` | |\n"
    text = filled(page, "page.md")
    assert row(text, "`new`")[1] == "90.0 ± 1.2 (2)"
    assert row(text, "`erm`")[1] == "51.0 ± 1.2"
    assert row(text, "`sam`")[1] == "–"


def test_a_twin_is_that_of_the_method_and_a_row_may_name_its_split(monkeypatch):
    # Differences 2 and 4: mean 3, deviation 1.414, and t(1) = 12.706.
    pairs = a_board({"mixup": [0.60, 0.61], "ic-mixup": [0.62, 0.65]})
    monkeypatch.setattr(module, "load_board", lambda *_: pairs)
    page = "<!-- measured: v1 -->\n| split, method | − twin |\n|---|---|\n"
    page += "| `cifair10`, `mixup` | |\n| `cifair10`, `ic-mixup` | |\n"
    text = filled(page, "page.md")
    assert row(text, "`cifair10`, `ic-mixup`")[1] == "+3.0 ± 12.7"
    assert row(text, "`cifair10`, `mixup`")[1] == "–"


def test_twin_of_a_method_with_settings_is_that_of_the_method(monkeypatch):
    # Minus mixup 2 and 4, minus ic-mixup 1 and 1.
    rows = {"mixup": [0.60, 0.61], "ic-mixup": [0.61, 0.64], "ic-mixup[axes=class]": [0.62, 0.65]}
    monkeypatch.setattr(module, "load_board", lambda *_: a_board(rows))
    page = "<!-- measured: v1 cifair10 -->\n| method | − twin | − `ic-mixup` |\n|---|---|---|\n"
    text = filled(page + "| `ic-mixup[axes=class]` | | |\n", "page.md")
    assert row(text, "`ic-mixup[axes=class]`")[1:] == ["+3.0 ± 12.7", "+1.0 ± 0.0"]


def test_methods_that_share_no_run_have_a_dash_and_stop_no_page(monkeypatch):
    board = a_board({"erm": [0.5, 0.5], "mixup": [0.6, 0.6], "ic-mixup": [0.7, 0.7]})
    elsewhere = board.runs["seed"].where(board.runs["method"] != "ic-mixup", board.runs["seed"] + 2)
    apart = replace(board, runs=board.runs.assign(seed=elsewhere))
    monkeypatch.setattr(module, "load_board", lambda *_: apart)
    page = "<!-- measured: v1 cifair10 -->\n| method | − erm | − twin |\n|---|---|---|\n"
    text = filled(f"{page}| `ic-mixup` | | |\n| `mixup` | | |\n", "page.md")
    assert row(text, "`ic-mixup`")[1:] == ["–", "–"]
    assert row(text, "`mixup`")[1:] == ["+10.0 ± 0.0", "–"]


def test_board_without_subset_0_is_named_by_the_line_of_its_table(monkeypatch):
    monkeypatch.setattr(module, "load_board", lambda *_: of_later_subsets(a_board()))
    said = "page.md, line 3: cifair10 under v1 has no run of subset 0, which the table is of"
    with pytest.raises(UsageError, match=f"^{said}$"):
        filled(PAGE.replace("stays, | as | it is", "stays"), "page.md")


@pytest.mark.usefixtures("board")
@pytest.mark.parametrize(
    ("page", "said"),
    [
        (PAGE, "page.md, line 3: a row of 10 cells under 8 titles"),
        ("<!-- measured: v1 cifair10 -->\n\nno table", "page.md, line 1: a table has to follow"),
        ("<!-- measured: -->", "page.md, line 1: write <!-- measured: PROTOCOL"),
        (
            "<!-- measured: v1 cifair10 -->\n| m | runs |\n|---|---|\n| `mixpu` | |",
            "'mixpu'.*did you mean mixup",
        ),
        ("<!-- measured: v1 -->\n| m | runs |\n|---|---|\n| `erm` | |", "name the split"),
        ("<!-- measured: v1 a -->\n| m | runs |\n|---|---|\n| erm | |", "should name a method"),
    ],
)
def test_what_cannot_be_filled_is_named_by_its_line(page: str, said: str):
    with pytest.raises(UsageError, match=said):
        filled(page, "page.md")


def test_a_table_of_reported_numbers_has_those_with_runs_and_says_how_many_lack(monkeypatch):
    monkeypatch.setattr(module, "load_boards", lambda *_: [a_board()])
    text = filled("Before.\n\n<!-- reported: v1 -->\n| gone |\n\nAfter.", "page.md")
    # The deviation of 0.50, 0.52, 0.51, 0.53 and 0.49 is 1.58 points, and t(4) = 2.776: 1.96. The
    # poster has erm's 58.22, and no mixup there; of its 36 numbers one is measured.
    assert text.split("\n") == [
        "Before.",
        "",
        "<!-- reported: v1 -->",
        "| split | method | runs | measured % | reported % | difference | covered |",
        "|---|---|---|---|---|---|---|",
        "| `cifair10` | `erm` | 5 | 51.00 ± 1.96 | 58.22 | −7.22 | no |",
        "| no run yet of 35 of the 36 numbers | – | – | – | – | – | – |",
        "",
        "After.",
    ]


@pytest.mark.parametrize(
    ("mark", "said"),
    [
        ("<!-- reported: v1 cifair10 -->", "page.md, line 1: write <!-- reported: PROTOCOL -->"),
        ("<!-- reported: v7 -->", "page.md, line 1: .*'v7'"),
    ],
)
def test_a_mark_of_reported_numbers_that_cannot_be_read_is_named_by_its_line(
    monkeypatch, mark, said
):
    monkeypatch.setattr(module, "load_boards", lambda *_: [a_board()])
    with pytest.raises(UsageError, match=said):
        filled(mark, "page.md")


def fill(*arguments: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, ["leaderboard", "fill", *arguments])
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result.exit_code, result.stdout, result.stderr


def test_check_writes_nothing_and_ends_with_1_where_a_number_is_another_one(tmp_path: Path):
    page = tmp_path / "page.md"
    text = "<!-- measured: v1-lite digits -->\n| m | accuracy % |\n|---|---|\n| `erm` | 99.9 |\n"
    page.write_text(text)
    code, out, _ = fill(str(page), "--check", "--json")
    assert code == 1
    assert json.loads(out)[0]["file"] == str(page)
    assert page.read_text() == text
    assert fill(str(page))[0] == 0
    assert "| `erm` | 82.0" in page.read_text()
    assert fill(str(page), "--check")[0] == 0


def test_a_page_that_is_not_there_is_named(tmp_path: Path):
    code, _, said = fill(str(tmp_path / "no.md"))
    assert code in (2, 3)
    assert "no.md" in said
