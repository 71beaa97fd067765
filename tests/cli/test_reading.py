"""Commands that only read: each in a process of its own, which must not have imported torch."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import dcbench
from tests.records.test_collect import put

SOURCE = Path(dcbench.__file__).parents[1]

CODE = """
import sys
from typer.testing import CliRunner
from dcbench.cli import app
forbidden, *arguments = sys.argv[1:]
result = CliRunner().invoke(app, arguments)
heavy = set(forbidden.split()) & sys.modules.keys()
print(result.exit_code, *sorted(heavy), result.output if result.exit_code else "")
"""


@pytest.mark.parametrize(
    "command",
    [
        "leaderboard show cifair10-common --protocol v1-lite",
        "leaderboard show cifair10-common --protocol v1-lite --against erm",
        "leaderboard show --against-reported",
        "leaderboard check",
        "leaderboard page -o {out}/page",
        "leaderboard latex cifair10-common --protocol v1-lite",
        "leaderboard migrate {out}/board",
        "splits",
        "splits show cifair10",
        "splits verify digits",
        "protocols",
        "data status",
        "--version",
    ],
)
def test_command_that_reads_what_ships_imports_no_torch(command: str, tmp_path: Path):
    shutil.copytree(SOURCE / "leaderboard", tmp_path / "board")
    assert ended(command, tmp_path) == "0"


@pytest.mark.parametrize(
    "command",
    [
        "measure {out}/v1/digits/subset-0/erm/seed-0",
        "collect {out} --results {out}-collected",
        "leaderboard build --results {out} -o {out}-board",
    ],
)
def test_command_that_reads_records_imports_no_torch(command: str, tmp_path: Path):
    put(tmp_path / "results")
    assert ended(command, tmp_path / "results") == "0"


def test_methods_are_listed_without_torch(tmp_path: Path):
    assert ended("methods", tmp_path) == "0"


@pytest.mark.parametrize(
    "command",
    [
        "leaderboard show cifair10-common --protocol v1-lite",
        "splits",
        "methods",
    ],
)
def test_command_that_computes_no_statistics_does_not_wait_for_scipy(command: str, tmp_path: Path):
    assert ended(command, tmp_path, forbidden="scipy") == "0"


def ended(command: str, out: Path, forbidden: str = "torch torchvision seaborn") -> str:
    """The exit code of a command, and the packages that it has imported and should not."""
    arguments = command.format(out=out).split()
    done = subprocess.run(
        [sys.executable, "-c", CODE, forbidden, *arguments],
        cwd=SOURCE,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()
