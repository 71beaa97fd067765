import json
import logging
import re
import sys
from dataclasses import replace
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from typer.testing import CliRunner

from dcbench.cli import app
from dcbench.leaderboard.across import Across, compare_across
from dcbench.leaderboard.boards import Board, load_boards
from dcbench.reports.across import across_rows, across_sentences, across_table
from dcbench.reports.figures import draw_figures
from dcbench.reports.figures.critical import draw_critical_difference
from dcbench.reports.figures.pareto import draw_pareto
from dcbench.reports.page import write_page
from tests.leaderboard.across_boards import single_runs
from tests.reports.page import made

SPLITS = ("cifair10-common", "cifair100-common", "cifar10-lt-10", "cifar10-lt-100", "digits")


def command(*arguments: object) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, ["leaderboard", *map(str, arguments)])
    assert result.exception is None or isinstance(result.exception, SystemExit), (
        f"a traceback reached the user: {result.exception!r}"
    )
    return result.exit_code, result.stdout, result.stderr


def boards_of(splits: tuple[str, ...], protocol: str = "v1-lite") -> list[Board]:
    """Boards as the page takes them: on each split `mixup` is better than `erm` by 0.05."""
    values = {"erm": (0.5, 0.6), "mixup": (0.55, 0.65)}
    return [made.board(values, {}, split=split, protocol=protocol) for split in splits]


@pytest.fixture(scope="module")
def shipped() -> list[Board]:
    """The leaderboards that ship, of one protocol."""
    return [board for board in load_boards() if board.protocol == "v1-lite"]


@pytest.fixture(scope="module")
def found() -> Across:
    boards = single_runs(
        {
            "erm": (0.50, 0.51, 0.52, 0.53, 0.54, 0.55, 0.56),
            "a": (0.61, 0.63, 0.65, 0.67, 0.69, 0.71, 0.73),
            "b": (0.49, 0.52, 0.51, 0.54, 0.53, 0.56, 0.55),
        }
    )
    for board in boards:
        board.runs["model_flops"] = board.runs["method"].map({"erm": 2, "a": 4, "b": 1})
    return compare_across(boards)


def test_show_without_a_split_has_the_mean_ranks_of_the_rows(shipped: list[Board]):
    common = set.intersection(*(set(board.runs["method"]) for board in shipped))
    ranks = []
    for board in shipped:
        runs = board.runs[board.runs["method"].isin(common)]
        wide = runs.set_index(["subset", "seed", "method"])["accuracy"].unstack().dropna()
        ranks.append(wide.mean().rank(ascending=False))
    expected = pd.concat(ranks, axis=1).mean(axis=1)
    code, said, _ = command("show", "--protocol", "v1-lite")
    assert code == 0
    table = said[said.index("across splits, protocol v1-lite") :]
    lines = [line.split() for line in table.splitlines()]
    shown = {line[0]: line[1] for line in lines if line and line[0] in common}
    assert shown == {method: f"{rank:.2f}" for method, rank in expected.items()}
    assert f"the {len(common)} methods that have rows on all of them" in table
    assert "weak: " in table or len(shipped) > 9


def test_json_of_show_has_the_block_and_every_number():
    code, said, _ = command("show", "--protocol", "v1-lite", "--json")
    assert code == 0
    [across] = json.loads(said)["across"]
    assert across["protocol"] == "v1-lite"
    assert {"subset": 0, "seed": 0} in across["splits"]["digits"]
    by_method = {row["method"]: row for row in across["methods"]}
    assert by_method["erm"]["wins"] is None
    assert 0 <= by_method["ic-mixup"]["wins"]["low"] <= by_method["ic-mixup"]["wins"]["high"] <= 1
    assert by_method["ic-mixup"]["p_holm"]["erm"] == by_method["erm"]["p_holm"]["ic-mixup"]


def test_too_few_splits_are_told_and_shown_nowhere(tmp_path: Path):
    boards = boards_of(SPLITS[:4])
    [line] = across_sentences(compare_across(boards))
    assert line.startswith("nothing is shown across splits:")
    assert "on 4 splits (cifair10-common, " in line
    assert "it takes 5 splits" in line
    page = write_page(boards, (), tmp_path / "page").read_text()
    assert "Protocol <code>v1-lite</code>: nothing is shown across splits" in page
    assert "across splits</a>" not in page
    code, _, said = command("latex", "--across", "--protocol", "v1-lite", *SPLITS[:2])
    assert code == 2
    assert "on 2 splits (cifair10-common, cifair100-common)" in said


def test_rows_of_the_terminal_have_interval_and_dashes(found: Across):
    titles, rows = across_rows(found)
    assert titles == [
        *("method", "mean rank", "wins over erm %", "accuracy % − erm", "ECE % − erm"),
        "FLOPs / erm",
    ]
    by_method = {row[0]: row[1:] for row in rows}
    assert list(by_method) == ["a", "erm", "b"]
    assert by_method["erm"][1:] == ["–", "–", "–", "1.00"]
    # On four of seven splits b is below erm: 4 splits of rank 3 and 3 of rank 2.
    assert by_method["b"][0].startswith("2.57 (2.")
    assert by_method["b"][1].startswith("43 (")
    assert by_method["a"][:2] == ["1.00 (1.00 to 1.00)", "100 (100 to 100)"]
    assert by_method["a"][2].startswith("+14.0 (")
    assert by_method["a"][4] == "2.00"


def test_sentences_say_what_is_different_and_where_nothing_can_be(found: Across):
    said = " ".join(across_sentences(found))
    assert said.startswith("weak: 7 splits (fewer than 10)")
    assert "over the runs (subset and seed) that all have: s0 (1), s1 (1)" in said
    assert "a, the best, is significantly different from all others" in said
    few = compare_across(single_runs({"erm": (0.5,) * 5, "a": (0.6,) * 5}))
    said = " ".join(across_sentences(few))
    # 2 of the 2**5 signs are as extreme as five wins of five.
    assert (
        "no difference can be significant, for the smallest p that 5 splits can give is 0.0625"
        in said
    )


def test_paper_marks_what_no_test_distinguishes_from_the_best(found: Across, shipped: list[Board]):
    table = across_table(found)
    best = {line.method for line in table.measured if line.cells[0].best}
    assert best == {"a"}
    assert "Bold: best" in table.caption
    few = across_table(compare_across(single_runs({"erm": (0.5,) * 5, "a": (0.6,) * 5})))
    assert not any(cell.best for line in few.measured for cell in line.cells)
    assert "Bold" not in few.caption


def test_latex_across_is_a_table_that_pastes(tmp_path: Path):
    code, said, _ = command("latex", "--across", "--protocol", "v1-lite")
    assert code == 0
    rows = [line for line in said.splitlines() if line.endswith("\\\\")]
    assert {line.count("&") for line in rows} == {5}
    assert said.count("\\begin{") == said.count("\\end{") == 2
    assert "$-$ erm" in said
    assert not re.search(r"(?<!\$)-\d", "".join(rows)), "a hyphen for a minus sign"
    assert not re.search(r"(?<!\\)%(?! needs)", said)
    code, _, told = command("latex", "--protocol", "v1-lite")
    assert (code, "--across" in told) == (2, True)
    code, _, told = command("latex", "--across", "--protocol", "v1-lite", "--track", "tuned(8)")
    assert (code, "default track" in told) == (2, True)
    code, said, _ = command("latex", *SPLITS, "--across", "--protocol", "v1-lite", "--markdown")
    assert code == 0
    assert "Weak: 5 splits" in said


def test_page_has_a_section_across_splits_before_the_others(tmp_path: Path):
    folder = tmp_path / "figures"
    folder.mkdir()
    figure = Figure()
    figure.subplots()
    figure.savefig(folder / "v1-lite-all-pareto.svg")
    boards = boards_of(SPLITS)
    page = write_page(boards, (), tmp_path / "page", folder).read_text()
    sections = re.findall(r'<section id="(.*?)"', page)
    assert sections[-6:] == ["v1-lite-across-splits", *(f"v1-lite-{split}" for split in SPLITS)]
    across = next(each for each in page.split("<section ") if "v1-lite-across" in each[:30])
    [row] = re.findall(r'<tr>\s*<th scope="row" data-order="mixup">.*?</tr>', across, re.S)
    assert re.findall(r'data-order="([^"]*)"', row)[1:3] == ["1.0", "1.0"]
    assert "<small>100 to 100</small>" in row
    assert 'img src="figures/v1-lite-all-pareto.svg"' in across
    assert 'href="#v1-lite-across-splits"' in page


def drawn_in(folder: Path, boards: list[Board]) -> list[str]:
    paths = draw_figures(boards, folder / "no-results", folder / "out", ["svg"])
    return [path.stem for path in paths if "-all-" in path.stem]


def with_costs(boards: list[Board]) -> list[Board]:
    return [replace(board, runs=board.runs.assign(model_flops=1.0)) for board in boards]


def test_figures_across_splits_are_drawn_from_five_on(tmp_path: Path, caplog):
    caplog.set_level(logging.INFO, "dcbench")
    whole = with_costs(boards_of(SPLITS))
    names = drawn_in(tmp_path, whole)
    assert names == [
        f"v1-lite-all-{name}" for name in ("accuracy", "critical-difference", "pareto")
    ]
    words = (tmp_path / "out/v1-lite-all-critical-difference.svg").read_text()
    assert "Weak: 5 splits" in words
    assert "mixup  1.00" in words
    caplog.clear()
    assert drawn_in(tmp_path, whole[1:]) == ["v1-lite-all-accuracy"]
    assert any("nothing is shown across splits" in message for message in caplog.messages)


def test_diagram_without_its_package_says_what_to_install(tmp_path: Path, monkeypatch, caplog):
    monkeypatch.setitem(sys.modules, "scikit_posthocs", None)
    assert drawn_in(tmp_path, with_costs(boards_of(SPLITS)))[-1] == "v1-lite-all-pareto"
    assert "pip install 'dcbench-vision[critical-difference]'" in caplog.text


def many(methods: int, splits: int) -> Across:
    """Methods that are better and better, the first of which is `erm`."""
    generator = np.random.default_rng(3)
    values = {
        "erm" if number == 0 else f"method-{number}": tuple(
            0.3 + 0.02 * number + generator.normal(0, 0.01, splits)
        )
        for number in range(methods)
    }
    boards = single_runs(values)
    for board in boards:
        board.runs["model_flops"] = 1 + board.runs["accuracy"].rank(method="first") % 3
    return compare_across(boards)


@pytest.mark.parametrize(("methods", "splits"), [(2, 5), (30, 14)])
def test_diagram_shows_every_method_and_joins_those_alone_that_are_not_different(
    methods: int, splits: int
):
    found = many(methods, splits)
    figure = draw_critical_difference(found).figure
    figure.savefig("/dev/null", format="svg")
    [axes] = figure.axes
    words = [text.get_text() for text in axes.texts]
    for each in found.standings:
        assert any(
            set(word.split()) == {each.method, f"{each.mean_rank.value:.2f}"} for word in words
        )
    methods_at = {each.mean_rank.value: each.method for each in found.standings}
    bars = [np.asarray(line.get_xdata()) for line in axes.lines if line.get_marker() == "o"]
    joined = {
        frozenset((methods_at[one], methods_at[other]))
        for bar in bars
        for one in bar
        for other in bar
    }
    if len(methods_at) == methods:
        assert {pair for pair in joined if len(pair) == 2} == {
            pair for pair, p in found.p.items() if p >= 0.05
        }
    assert all((np.diff(bar) >= 0).all() for bar in bars)
    boxes = [text.get_window_extent() for text in axes.texts]
    left, right = figure.bbox.x0, figure.bbox.x1
    assert all(left <= box.x0 and box.x1 <= right for box in boxes)


def test_pareto_line_joins_what_nothing_beats(found: Across):
    figure = draw_pareto(found).figure
    calibration, cost = figure.axes
    lines = [line for line in cost.lines if line.get_drawstyle() == "steps-post"]
    [front] = [np.column_stack(line.get_data()).tolist() for line in lines]
    # b costs half, and its differences to erm are -1 four times and 1 three times; a costs twice.
    assert np.array(front) == pytest.approx(np.array([[0.5, -1 / 7], [1, 0], [2, 14]]))
    # Here ECE is 1 less accuracy, so the most accurate one is best in both.
    [line] = [line for line in calibration.lines if line.get_drawstyle() == "steps-post"]
    assert np.column_stack(line.get_data()).tolist() == [pytest.approx([-14, 14])]


def test_figures_across_splits_are_the_same_bytes_each_time(found: Across, tmp_path: Path):
    from dcbench.reports.figures import write_figures

    def drawn(folder: Path) -> list[bytes]:
        figures = [("cd", draw_critical_difference(found)), ("pareto", draw_pareto(found))]
        return [path.read_bytes() for path in write_figures(iter(figures), folder, ["svg"])]

    with matplotlib.rc_context():
        assert drawn(tmp_path / "one") == drawn(tmp_path / "two")
