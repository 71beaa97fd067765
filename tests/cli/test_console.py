import io
import json
import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

import dcbench
from dcbench.cli import console as display
from dcbench.cli.console import ConsoleProgress, hushed, show, speak
from dcbench.cli.report import Report, Table
from dcbench.cli.tables import laid_out
from dcbench.sweep.engines.serial import Serial
from dcbench.sweep.grid import Block, requests_of
from dcbench.sweep.scheduler import sweep
from tests.sweep.test_scheduler import a_site

SOURCE = Path(dcbench.__file__).parents[1]
SHORT = {"epochs": 4}


@pytest.fixture(autouse=True)
def every_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(display, "_LINE_EVERY", 0.0)
    speak(quiet=False)


def counts_shown(capsys: pytest.CaptureFixture[str]) -> list[str]:
    lines = capsys.readouterr().err.splitlines()
    return [line.partition(" epochs")[0].split()[-1] for line in lines if line.startswith("train ")]


@pytest.mark.parametrize("pack", [1, 2])
def test_run_that_failed_no_longer_counts_in_the_progress_of_the_next(tmp_path: Path, capsys, pack):
    blocks = [
        Block(methods=("erm",), splits=("digits",), settings=settings)
        for settings in ({**SHORT, "learning_rate": 1e6}, SHORT)
    ]
    with ConsoleProgress() as progress, hushed("dcbench.runs"):
        site = a_site(tmp_path, progress=progress)
        outcomes = sweep(requests_of(blocks), site, Serial(), pack=pack)
    assert [outcome.state for outcome in outcomes] == ["failed", "done"]
    assert counts_shown(capsys) == ["1/4", "2/4", "3/4", "4/4"]


def test_time_left_follows_from_what_was_done_here_and_not_before(monkeypatch, capsys):
    clock = [100.0]
    monkeypatch.setattr(display.time, "monotonic", lambda: clock[0])
    with ConsoleProgress() as progress:
        task = progress.task("train", 20, done=2, unit="epochs")
        clock[0] += 30
        task.advance(2, "loss 1.23")
    # 15 s an epoch, 16 epochs to go
    assert capsys.readouterr().err == "train 4/20 epochs  loss 1.23, 4 min 00 s left\n"


def test_lines_of_a_task_are_at_least_ten_seconds_apart(monkeypatch, capsys):
    monkeypatch.setattr(display, "_LINE_EVERY", 10.0)
    clock = [0.0]
    monkeypatch.setattr(display.time, "monotonic", lambda: clock[0])
    with ConsoleProgress() as progress:
        task = progress.task("predict", 100, unit="images")
        for _ in range(100):
            clock[0] += 1
            task.advance()
        task.close()
        task.close()
    said = capsys.readouterr().err.splitlines()
    assert [line.split()[1] for line in said] == [f"{count}/100" for count in range(10, 101, 10)]


def test_quiet_shows_neither_progress_nor_what_is_logged_but_warnings(capsys):
    speak(quiet=True)
    with ConsoleProgress() as progress:
        progress.task("train", 2).advance()
    logging.getLogger("dcbench.runs").info("begun")
    logging.getLogger("dcbench.runs").warning("look out: [red]")
    assert capsys.readouterr().err == "look out: [red]\n"


def test_library_that_sets_up_the_root_log_doubles_no_line(monkeypatch, capsys):
    monkeypatch.setattr(logging.root, "handlers", [logging.StreamHandler(sys.stderr)])
    logging.getLogger("dcbench.runs").info("said once")
    assert capsys.readouterr().err.count("said once") == 1


def test_progress_is_shown_where_nobody_has_set_up_the_log_as_in_a_notebook(monkeypatch, capsys):
    monkeypatch.setattr(logging.getLogger("dcbench"), "level", logging.NOTSET)
    with ConsoleProgress() as progress:
        progress.task("train", 2).advance()
    assert capsys.readouterr().err.startswith("train 1/2")


def test_tasks_at_once_have_a_bar_each_and_leave_the_terminal_as_it_was(monkeypatch):
    terminal = io.StringIO()
    monkeypatch.setattr(display, "_DRAW_EVERY", 0.0)
    monkeypatch.setattr(
        display,
        "stderr",
        Console(file=terminal, force_terminal=True, width=80, legacy_windows=False),
    )
    with ConsoleProgress() as progress:
        one, other = progress.task("train erm", 3), progress.task("train mixup", 5)
        one.advance(detail="loss 1.5")
        other.advance()
        drawn = terminal.getvalue().split("train erm")[-1]
        assert "1/3  loss 1.5" in drawn
        assert "train mixup" in drawn
        assert "1/5" in drawn
        one.close()
        other.close()
    assert terminal.getvalue().rstrip("\r").endswith("\x1b[2K\x1b[?25h")


class Broken(io.StringIO):
    def write(self, text: str) -> int:
        raise OSError("gone")


@pytest.mark.parametrize("terminal", [True, False])
def test_display_that_cannot_be_written_ends_no_run(monkeypatch, terminal):
    monkeypatch.setattr(display, "_DRAW_EVERY", 0.0)
    broken = Console(file=Broken(), force_terminal=terminal)
    monkeypatch.setattr(display, "stderr", broken)
    with ConsoleProgress() as progress:
        task = progress.task("train", 3)
        task.advance()
        logging.getLogger("dcbench").info("still there")
        task.close()


WIDE = Table(
    "A title",
    ("method", "accuracy %", "why"),
    [
        ("ic-regmixup[axes=class,eta=0.5]", "55.73 ± 0.52", "a long story " * 9),
        ("erm", None, "results/v1/digits/subset-0/erm,epochs=1/seed-0/record.json"),
    ],
)


def drawn(table: Table, width: int | None) -> str:
    console = Console(file=io.StringIO(), width=width or 10_000)
    console.print(laid_out(table, width))
    return console.file.getvalue()


def letters(text: str) -> list[str]:
    return sorted(each for each in text if each.isalnum() or each in "[]=,/.±–%")


@pytest.mark.parametrize("width", [None, 200, 80, 60, 40, 20])
def test_no_character_of_a_table_is_lost_however_narrow_the_terminal(width):
    said = drawn(WIDE, width)
    cells = [text or "–" for row in WIDE.rows for text in row]
    stacked = said.startswith("\n")
    titles = list(WIDE.columns) * (len(WIDE.rows) if stacked else 1)
    assert letters(said) == letters("".join([*titles, *cells]))
    assert width is None or max(map(len, said.splitlines())) <= width
    assert "…" not in said


def test_table_in_a_pipe_has_a_line_a_row():
    assert len(drawn(WIDE, None).splitlines()) == 2 + len(WIDE.rows)


def test_table_too_narrow_to_fold_is_a_block_a_row():
    said = drawn(Table("", ("accuracy", "loss"), [("first-of-rows", 0.5), ("second", 1)]), 20)
    assert [line.rstrip() for line in said.splitlines()] == [
        "",
        "accuracy  first-of-r",
        "          ows",
        "loss      0.5000",
        "",
        "accuracy  second",
        "loss      1",
    ]


def test_json_is_alone_on_standard_output(capsys):
    report = Report(data={"a": "±"}, tables=[WIDE], lines=["a line"], notes=["a note"])
    show(report, as_json=True)
    said = capsys.readouterr()
    assert (json.loads(said.out), said.err) == ({"a": "±"}, "")
    show(report, as_json=False)
    said = capsys.readouterr()
    assert said.out.startswith("A title\n")
    assert said.out.endswith("\n\na line\n")
    assert said.err == "a note\n"


def program(*arguments: str, **options: object) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "dcbench", *arguments]
    return subprocess.run(command, cwd=SOURCE, capture_output=True, check=False, **options)


def test_output_that_cannot_encode_a_sign_spells_it():
    plain = {**os.environ, "PYTHONIOENCODING": "ascii"}
    for arguments in (("leaderboard", "latex", "--help"), ("methods", "erm")):
        found = program(*arguments, env=plain)
        assert (found.returncode, found.stderr) == (0, b"")
    assert b"+/-" in program("leaderboard", "latex", "--help", env=plain).stdout


def test_columns_stand_below_each_other_where_a_sign_is_spelled():
    plain = {**os.environ, "PYTHONIOENCODING": "ascii"}
    shown = program("leaderboard", "show", "digits", "--protocol", "v1-lite", env=plain).stdout
    _, header, _, *rows = shown.decode("ascii").split("\n\n")[0].splitlines()
    assert "+/-" in rows[0]
    edges = [at for at, character in enumerate(header) if character == "|"]
    assert all(row[at] == "|" for row in rows for at in edges)


def test_reader_that_is_gone_ends_a_command_quietly():
    command = f"{sys.executable} -m dcbench splits | head -0; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(
        ["bash", "-c", command], cwd=SOURCE, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_full_disk_under_standard_output_is_one_line_and_exit_code_1():
    command = [sys.executable, "-m", "dcbench", "splits", "--json"]
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            command, cwd=SOURCE, stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert done.returncode == 1
    assert done.stderr == "error: cannot write to standard output: No space left on device\n"


def test_matrix_that_is_too_wide_goes_on_below_with_its_first_column_again():
    cells = [["erm", "50.0", "60.0", "70.0"], ["mixup", "51.0", "61.0", "71.0"]]
    said = drawn(Table("", ("method", "cifair10", "cifair100", "digits"), cells, matrix=True), 30)
    lines = [line.split() for line in said.splitlines()]
    assert ["method", "cifair10", "cifair100"] in lines
    assert ["method", "digits"] in lines
    assert ["mixup", "51.0", "61.0"] in lines
    assert ["mixup", "71.0"] in lines
