import io
import json
from pathlib import Path

import pytest
from rich.console import Console
from scipy import stats
from typer.testing import CliRunner

from dcbench.cli import app
from dcbench.cli import console as display
from dcbench.cli.report import Table
from dcbench.cli.tables import laid_out
from dcbench.leaderboard.boards import load_board
from dcbench.reports.terminal import display_rows
from tests.leaderboard.tampering import SEEDS, edit, rows_of, runs, set_cell, summary


@pytest.fixture(autouse=True)
def wide(monkeypatch) -> None:
    monkeypatch.setattr(display.stdout, "width", 200)


def show(board: Path, *arguments: str) -> tuple[int, str, str]:
    command = ["leaderboard", "show", "digits", "--from", str(board), *arguments]
    result = CliRunner().invoke(app, command)
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result.exit_code, result.stdout, result.stderr


def accuracies(board: Path, method: str) -> list[float]:
    return [float(row["accuracy"]) for row in rows_of(runs(board)) if row["method"] == method]


def test_shared_rank_is_marked_and_explained(whole: Path):
    code, said, _ = show(whole)
    lines = [line.split() for line in said.splitlines() if line.strip().startswith("0")]
    assert code == 0
    assert {" ".join(line[1:3]) for line in lines} == {"1 ="}
    means = {name: sum(accuracies(whole, name)) for name in ("erm", "mixup", "remix")}
    best = max(means, key=means.__getitem__)
    others = [name for name in sorted(means, key=lambda name: -means[name]) if name != best]
    assert f"not significantly different from {best}, the best: {', '.join(others)}" in said


def test_differences_have_interval_and_both_p(whole: Path):
    code, said, _ = show(whole, "--against", "erm", "--json")
    rows = {row["method"]: row for row in json.loads(said)}
    expected = stats.ttest_rel(accuracies(whole, "mixup"), accuracies(whole, "erm"))
    interval = expected.confidence_interval()
    assert code == 0
    assert set(rows) == {"mixup", "remix"}
    assert rows["mixup"]["p"] == pytest.approx(expected.pvalue, abs=1e-6)
    assert rows["mixup"]["low"] == pytest.approx(interval.low, abs=1e-6)
    # erm and mixup, erm and remix with the same p, mixup and remix with p = 1
    assert rows["mixup"]["p_holm"] == pytest.approx(min(3 * expected.pvalue, 1), abs=1e-6)
    code, said, _ = show(whole, "--against", "erm")
    words = " ".join(said.split())
    assert code == 0
    assert f"{interval.low:+.2%} to {interval.high:+.2%}" in words
    assert f"{expected.pvalue:.4f}" in words


def test_metric_that_is_no_fraction_is_not_shown_in_percent(whole: Path):
    code, said, _ = show(whole, "--against", "mixup", "--metric", "nll")
    assert code == 0
    assert "%" not in said.replace("95 % interval", "")
    assert "nll minus that of mixup" in said


@pytest.mark.parametrize("split", ["cifar10-lt-100", "cifair10-common"])
def test_nothing_of_a_summary_is_lost_at_80_columns(split: str):
    table = Table("", *display_rows(load_board(split, "v1-lite").summary))

    console = Console(width=80, file=io.StringIO())
    with console.capture() as capture:
        console.print(laid_out(table, 80))
    said = capture.get()
    # Too many wide columns stand below one another, with the titles again in each row.
    titles = list(table.columns) * (len(table.rows) if said.startswith("\n") else 1)
    cells = [*titles, *(str(cell) for row in table.rows for cell in row)]
    assert sorted("".join(said.replace("─", "").split())) == sorted("".join(cells).replace(" ", ""))
    assert max(map(len, said.splitlines())) <= 80


@pytest.mark.parametrize("metric", ["temperature", "nll_ts", "ood.gaussian.msp.auroc"])
def test_any_metric_of_the_table_can_be_compared(whole: Path, metric: str):
    code, said, _ = show(whole, "--against", "erm", "--metric", metric, "--json")
    assert code == 0
    assert {row["metric"] for row in json.loads(said)} == {metric}


def test_metric_that_no_run_has_is_wrong_use(whole: Path):
    for row in range(3 * len(SEEDS)):
        set_cell(runs(whole), row, nll_ts="")
    code, said, error = show(whole, "--against", "erm", "--metric", "nll_ts")
    assert (code, said) == (2, "")
    assert "error: metric nll_ts: no run of digits has it" in error


@pytest.mark.parametrize("option", [("--against", "erms"), ("--against", "erm", "--metric", "acc")])
def test_unknown_method_or_metric_is_wrong_use(whole: Path, option):
    code, said, error = show(whole, *option)
    assert (code, said) == (2, "")
    assert "error: unknown m" in error


def invoked(*arguments: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, ["leaderboard", "show", *arguments])
    return result.exit_code, result.stdout, result.stderr


def test_without_a_protocol_the_one_that_has_rows_is_shown_and_named(whole: Path):
    (whole / "v1").rename(whole / "v1-lite")
    code, said, noted = show(whole)
    assert code == 0
    assert "digits, protocol v1-lite" in said
    assert "v1 has no rows of digits yet: these are of v1-lite" in " ".join(noted.split())
    code, _, noted = show(whole, "--protocol", "v1")
    assert code == 2
    assert "there is one under v1-lite" in noted


def test_without_a_split_all_of_them_are_shown_at_a_glance(whole: Path):
    code, said, _ = invoked("--from", str(whole))
    assert code == 0
    assert said.startswith("accuracy %, protocol v1")
    lines = {line.split()[0]: line.split()[1:] for line in said.splitlines() if line.strip()}
    mean = 100 * sum(accuracies(whole, "erm")) / len(SEEDS)
    assert lines["erm"] == [f"{mean:.1f}*"]
    assert "v1-lite: no rows yet" in said
    code, said, _ = invoked("--from", str(whole), "--json")
    rows, [across] = json.loads(said)["splits"], json.loads(said)["across"]
    assert {row["method"] for row in rows} == {"erm", "mixup", "remix"}
    assert (across["methods"], list(across["splits"])) == ([], ["digits"])


def test_split_without_a_run_of_subset_0_is_named_and_not_just_left_out(whole: Path):
    edit(runs(whole), lambda rows: [row.update(subset="1") for row in rows])
    edit(summary(whole), lambda rows: [row.update(subsets="all") for row in rows])
    code, said, _ = invoked("--from", str(whole), "--protocol", "v1")
    assert code == 0
    assert said.startswith("digits: left out: no run of subset 0, which this table is of\n")
    assert "no rows yet" not in said


def test_differences_are_of_one_split(whole: Path):
    code, _, noted = invoked("--from", str(whole), "--against", "erm")
    assert code == 2
    assert "--against compares on one split" in noted
