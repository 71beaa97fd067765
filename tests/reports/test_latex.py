import math
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from dcbench.errors import UsageError
from dcbench.leaderboard.boards import Board
from dcbench.metrics.table import METRICS
from dcbench.reports.latex import escape_latex, escape_markdown, to_latex, to_markdown
from dcbench.reports.paper import paper_table
from dcbench.reports.reported import Reported, load_reported

KEYS = [metric.key for metric in METRICS]
ACCURACIES = {
    "erm": [0.50, 0.52, 0.51, 0.53, 0.49],
    "mixup": [0.600, 0.612, 0.598, 0.610, 0.605],
    "regmixup": [0.601, 0.609, 0.602, 0.606, 0.604],
    "new": [0.9, 0.9],
}
"""mixup and regmixup differ by 0.0006 on average, with a spread of 0.003: no significant
difference."""


def a_board(accuracies: dict[str, list[float]] = ACCURACIES, split: str = "cifair10") -> Board:
    runs, summary = [], []
    for method, values in accuracies.items():
        whole = len(values) == 5
        for seed, value in enumerate(values):
            row = {"subset": 0, "method": method, "seed": seed, "finished": "2026-11-23T00:00:00"}
            metrics = dict.fromkeys(KEYS, math.nan) | {"accuracy": value, "nll": 2 - value}
            runs.append(row | metrics)
        columns = {"subsets": "0", "method": method, "n": len(values), "asked": 5}
        columns |= {"state": "ranked" if whole else "provisional", "rank": 1 if whole else pd.NA}
        for metric in KEYS:
            found = pd.Series([run[metric] for run in runs if run["method"] == method])
            columns |= {f"{metric}_mean": found.mean(), f"{metric}_sd": found.std(ddof=1)}
            columns |= {f"{metric}_ci95": 0.0123}
        summary.append(columns)
    return Board("v1", split, pd.DataFrame(runs), pd.DataFrame(summary))


def test_best_and_what_is_not_significantly_different_from_it_are_bold_and_nothing_else():
    text = to_latex(paper_table([a_board()], ["accuracy"]))
    bold = re.findall(r"^ *(\S+) .*textbf", text, flags=re.MULTILINE)
    assert sorted(bold) == ["mixup", "regmixup"]
    assert "\\textbf{60.5} $\\pm$ 1.2" in text


def test_of_a_loss_the_lowest_is_the_best():
    lines = paper_table([a_board()], ["nll"]).measured
    assert {line.method for line in lines if line.cells[0].best} == {"mixup", "regmixup"}


def test_provisional_method_is_marked_and_never_best_though_its_mean_is_highest():
    table = paper_table([a_board()], ["accuracy"])
    new = next(line for line in table.measured if line.method == "new")
    assert new.provisional
    assert new.cells[0].text == "90.0"
    assert not new.cells[0].best
    assert "new$^\\dagger$ & 90.0 $\\pm$ 1.2" in to_latex(table)
    assert "| new† | 90.0 ± 1.2 |" in to_markdown(table)


@pytest.mark.parametrize(
    ("spread", "cell"), [("ci95", "51.0 ± 1.2"), ("sd", "51.0 ± 1.6"), ("none", "51.0")]
)
def test_spread_is_the_one_that_was_asked_for(spread, cell):
    # The standard deviation of 0.49, …, 0.53 with n - 1 is sqrt(0.001 / 4) = 0.0158.
    assert f"| erm | {cell} |" in to_markdown(paper_table([a_board()], ["accuracy"], spread=spread))


def test_method_without_runs_on_a_split_has_an_empty_cell_there():
    other = a_board({"erm": ACCURACIES["erm"]}, "digits")
    table = paper_table([a_board(), other], ["accuracy"])
    mixup = next(line for line in table.measured if line.method == "mixup")
    assert [cell.text for cell in mixup.cells] == ["60.5", ""]


def test_reported_numbers_stand_apart_and_are_never_bold():
    table = paper_table([a_board()], ["accuracy"], reported=load_reported())
    found = {(line.method, line.cells[0].text) for line in table.reported}
    assert {("erm", "58.2"), ("ic-regmixup", "61.8"), ("grad-l2", "51.0")} <= found
    assert not any(cell.best for line in table.reported for cell in line.cells)
    text = to_latex(table)
    assert text.index("Reported") > text.index("regmixup")
    assert "Infinite Class Mixup, BMVC 2023, poster" in text


def reported(value: float, subsets: str, **changes: str) -> Reported:
    content = {"table": "one", "split": "cifair10", "method": "erm", "metric": "accuracy"}
    content |= {"averaged": "", "recipe_differs": "yes", "source": "theirs", "note": ""}
    content |= {"url": "https://example.org", "value": str(value), "subsets": subsets}
    return Reported.model_validate(content | changes)


def test_reported_number_of_other_subsets_is_left_out_and_told():
    numbers = [reported(0.55, "0 1 2"), reported(0.58, "0"), reported(0.57, "", source="another")]
    table = paper_table([a_board()], ["accuracy"], reported=numbers)
    assert [line.cells[0].text for line in table.reported] == ["58.0", "57.0"]
    assert table.caption.endswith("Left out, of other subsets: numbers of theirs.")
    table = paper_table([a_board()], ["accuracy"], reported=numbers[1:])
    assert "Left out" not in table.caption


def test_of_several_reported_numbers_none_is_picked():
    numbers = [reported(0.55, ""), reported(0.58, "0"), reported(1.2, "0", metric="nll")]
    table = paper_table([a_board()], ["accuracy", "nll"], reported=numbers)
    assert [[cell.text for cell in line.cells] for line in table.reported] == [
        ["55.0", "1.200"],
        ["58.0", ""],
    ]
    assert table.sources == ("theirs", "theirs")


def test_caption_says_protocol_runs_and_date():
    caption = paper_table([a_board()], ["accuracy"]).caption
    for part in ("protocol v1,", "2 to 5 on cifair10", "2026-11-23", "95 % interval"):
        assert part in caption


@pytest.mark.parametrize("metric", ["acuracy", "accuracy_few"])
def test_metric_that_is_not_there_is_an_error(metric):
    with pytest.raises(UsageError, match=metric):
        paper_table([a_board()], [metric])


NASTY = "a_b%{$}&#^~\\<script>|\u202e"


def of_later_subsets(board: Board) -> Board:
    """The same board, as if its runs were of subset 1."""
    runs, summary = board.runs.assign(subset=1), board.summary.assign(subsets="all")
    return replace(board, runs=runs, summary=summary)


def test_board_without_subset_0_is_named():
    said = "digits under v1 has no run of subset 0, which the table is of"
    with pytest.raises(UsageError, match=f"^{said}$"):
        paper_table([a_board(), of_later_subsets(a_board(split="digits"))], ["accuracy"])


def test_names_are_text_in_latex():
    assert escape_latex("a_b%&#$") == r"a\_b\%\&\#\$"
    assert escape_latex("\\input{x}") == r"\textbackslash{}input\{x\}"


def test_names_are_text_in_markdown():
    assert escape_markdown("<script>|`x`") == r"&lt;script&gt;\|\`x\`"
    assert escape_markdown("=SUM(A1)") == "'=SUM(A1)"
    table = to_markdown(paper_table([a_board({NASTY: [0.5] * 5})], ["accuracy"]))
    assert "<script>" not in table
    row = next(line for line in table.splitlines() if "script" in line)
    assert len(re.findall(r"(?<!\\)\|", row)) == 3


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="there is no pdflatex")
def test_table_compiles(tmp_path: Path):
    boards = [a_board(), a_board({**ACCURACIES, NASTY: [0.5] * 5}, "cifar10-lt-100")]
    table = to_latex(paper_table(boards, ["accuracy", "nll"], reported=load_reported()))
    source = (
        "\\documentclass{article}\\usepackage{booktabs}\\begin{document}\n"
        f"{table}\\end{{document}}\n"
    )
    (tmp_path / "table.tex").write_text(source)
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "table.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:]
    assert (tmp_path / "table.pdf").stat().st_size > 1000
