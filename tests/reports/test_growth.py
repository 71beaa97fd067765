"""Tables of every age: reports show a metric as soon as it is known, and miss none that is not."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from dcbench.leaderboard.boards import Board, load_board
from dcbench.leaderboard.statistics import differences_to
from dcbench.metrics.table import METRICS, SHIFT_METRICS
from dcbench.reports.against_reported import comparison_rows, side_by_side
from dcbench.reports.figures import draw_figures
from dcbench.reports.latex import to_latex
from dcbench.reports.page import write_page
from dcbench.reports.paper import paper_table
from dcbench.reports.reported import load_reported
from dcbench.reports.terminal import difference_rows, display_rows

SPLIT = "cifair10-common"
KEPT = {"subset", "method", "seed", "accuracy", "predictions_sha256", "finished"}
"""Columns of the rows that no report can do without."""


def without(table: pd.DataFrame, kept: set[str]) -> pd.DataFrame:
    """A table without the columns of metrics, costs and origins that are not `kept`."""
    parts = ("_mean", "_sd", "_ci95")
    summary = {"subsets", "n", "asked", "state", "rank", "tied"}
    named = {f"accuracy{part}" for part in parts}
    return table[[name for name in table.columns if name in kept | summary | named]]


@pytest.fixture(scope="module")
def bare() -> Board:
    """A leaderboard as it would be if accuracy were the first and only metric."""
    board = load_board(SPLIT, "v1-lite")
    return replace(board, runs=without(board.runs, KEPT), summary=without(board.summary, KEPT))


def test_page_of_a_table_without_newer_columns_shows_what_is_there(bare: Board, tmp_path: Path):
    page = write_page([bare], load_reported(), tmp_path).read_text(encoding="utf-8")
    measured = page.partition('class="sortable reported"')[0]
    assert "Accuracy %" in measured
    assert "NLL" not in measured
    assert "AUROC" not in measured
    assert all(f'data-name="{method}"' in measured for method in set(bare.runs["method"]))


def test_terminal_shows_a_table_without_newer_columns(bare: Board):
    columns, rows = display_rows(bare.summary)
    assert columns == ["subsets", "rank", "method", "runs", "accuracy %"]
    assert len(rows) == len(bare.summary)


def test_paper_and_differences_of_a_table_without_newer_columns(bare: Board):
    assert "Accuracy" in to_latex(paper_table([bare], ["accuracy"], reported=load_reported()))
    _, rows = difference_rows(differences_to(bare, "erm"))
    choices = set(bare.summary["subsets"])
    assert len(rows) == len(choices) * (len(set(bare.runs["method"])) - 1)


def test_figures_of_a_table_without_costs_leave_those_out(bare: Board, tmp_path: Path):
    files = draw_figures([bare], tmp_path / "nowhere", tmp_path / "out", ["svg"])
    assert [path.stem.rpartition("-")[2] for path in files] == ["accuracy"]


def test_reported_numbers_of_a_metric_that_was_not_measured_stand_alone(bare: Board):
    calibration = next(each for each in load_reported() if each.of_the_poster)
    calibration = calibration.model_copy(update={"split": SPLIT, "method": "erm", "metric": "nll"})
    calibration = calibration.model_copy(update={"value": 1.5})
    columns, [row] = comparison_rows(side_by_side([calibration], {SPLIT: bare.runs}))
    assert dict(zip(columns, row, strict=True)) == {
        "split": SPLIT,
        "method": "erm",
        "metric": "NLL",
        "runs": "none yet",
        "measured": "–",
        "reported": "1.500",
        "difference": "–",
        "covered": "–",
    }


def test_definitions_on_the_page_are_named_as_the_columns_are(tmp_path: Path):
    page = write_page([load_board(SPLIT, "v1-lite")], (), tmp_path).read_text(encoding="utf-8")
    terms = re.findall(r"<dt>(.*?)</dt>", page.partition("<h4>Metrics</h4>")[2])
    known = {metric.title for metric in (*METRICS, *SHIFT_METRICS)} | {"AUROC"}
    assert {"Accuracy", "NLL", "AUROC"} <= {term for each in terms for term in each.split("; ")}
    assert all(term in known for each in terms for term in each.split("; "))


NEW_METRIC = """
import json, sys
from pathlib import Path

from dcbench.metrics import table

def wrongness(logits, labels):
    '''Share of the wrong, said anew.'''

row = table.Metric(
    key="wrongness", compute=wrongness, takes="logits", title="Wrongness",
    short_title="Wrong", meaning="share of the wrong", best="lowest", decimals=1,
)
table.METRICS += (row,)
table._BY_KEY[row.key] = row

from dataclasses import replace

from dcbench.leaderboard.boards import load_board
from dcbench.leaderboard.statistics import differences_to
from dcbench.reports.latex import to_latex
from dcbench.reports.page import write_page
from dcbench.reports.paper import paper_table
from dcbench.reports.terminal import difference_rows

board = load_board("cifair10-common", "v1-lite")
runs = board.runs.assign(wrongness=1 - board.runs["accuracy"])
means = {
    "wrongness_mean": 1 - board.summary["accuracy_mean"],
    "wrongness_sd": board.summary["accuracy_sd"],
    "wrongness_ci95": board.summary["accuracy_ci95"],
}
board = replace(board, runs=runs, summary=board.summary.assign(**means))
page = write_page([board], (), Path(sys.argv[1])).read_text(encoding="utf-8")
latex = to_latex(paper_table([board], ["wrongness"]))
differences = difference_rows(differences_to(board, "erm", "wrongness"))[1]
print(json.dumps([page, latex, differences]))
"""


def test_metric_that_is_added_to_the_table_reaches_every_report(tmp_path: Path):
    done = subprocess.run(
        [sys.executable, "-c", NEW_METRIC, tmp_path], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    page, latex, differences = json.loads(done.stdout)
    assert '["Wrong %", ""]' in page  # a title of the runs' table, which the page makes
    assert "Share of the wrong, said anew." in page
    assert "Wrongness (\\%)" in latex
    # Accuracy of mixup minus that of erm is 54.42 - 51.64 = 2.78 points on the leaderboard.
    assert next(row for row in differences if row[1] == "mixup")[3] == "-2.78%"
    # The lowest is the best: regmixup has the highest accuracy of the leaderboard, 55.73.
    assert "regmixup & \\textbf{44.3}" in latex
