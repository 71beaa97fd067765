"""Standard streams that are closed when a command starts, as a shell's `>&-` leaves them."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

import dcbench

SOURCE = Path(dcbench.__file__).parents[1]
FULL = Path("/dev/full")


def shell(words: str, streams: str) -> subprocess.CompletedProcess:
    command = f"{sys.executable} -m dcbench {words} {streams}"
    return subprocess.run(["sh", "-c", command], cwd=SOURCE, capture_output=True, text=True)


@pytest.mark.parametrize(
    ("words", "streams", "code", "said"),
    [
        ("--help", ">&-", 0, ""),
        ("--version", ">&- 2>&-", 0, ""),
        ("methods nothing", "2>&-", 2, ""),
        ("methods nothing", ">&-", 2, "error: there is no"),
        ("methods nothing", "<&-", 2, "error: there is no"),
    ],
)
def test_closed_stream_changes_no_exit_code(words: str, streams: str, code: int, said: str):
    done = shell(words, streams)
    assert done.returncode == code
    assert done.stdout == ""
    assert done.stderr.startswith(said) if said else done.stderr == ""
    assert "Traceback" not in done.stderr


@pytest.mark.skipif(not FULL.exists(), reason="needs /dev/full")
@pytest.mark.parametrize("words", ["--help", "--version", "splits --help"])
def test_full_disk_under_help_is_one_line_and_exit_code_1(words: str):
    done = shell(words, f"> {FULL}")
    assert done.returncode == 1
    assert done.stderr == "error: cannot write to standard output: No space left on device\n"


@pytest.mark.skipif(not FULL.exists(), reason="needs /dev/full")
def test_wrong_use_that_cannot_be_told_is_wrong_use():
    assert shell("methods --nothing", f"2> {FULL}").returncode == 2


def test_workers_of_a_sweep_have_the_streams_that_their_driver_lacks(tmp_path: Path):
    words = "sweep --methods erm --splits digits --seeds 0 --set epochs=1 --device cpu"
    done = shell(f"{words} --engine loky --jobs 1 --json --results {tmp_path}", "2>&-")
    assert done.returncode == 0, done.stdout
    assert json.loads(done.stdout)["counts"]["done"] == 1


def test_what_a_library_writes_to_a_closed_stream_ends_in_no_file(tmp_path: Path):
    code = (
        "import os, dcbench_vision; dcbench_vision._open_closed_streams(); "
        f"file = open({str(tmp_path / 'record')!r}, 'w'); "
        "os.write(1, b'to the user'); os.write(2, b'a warning'); "
        "assert file.fileno() > 2; file.close()"
    )
    command = ["sh", "-c", f'{sys.executable} -c "{code}" >&- 2>&-']
    assert subprocess.run(command, cwd=SOURCE).returncode == 0
    assert (tmp_path / "record").read_bytes() == b""
