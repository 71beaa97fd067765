import os
import subprocess
import sys
from pathlib import Path

import pytest

from dcbench.config.paths import data_root, files_in, folders_in, results_root
from dcbench.errors import UsageError


@pytest.mark.parametrize("root", [data_root, results_root])
def test_tilde_is_the_users_home_wherever_it_comes_from(monkeypatch, root):
    monkeypatch.setenv("HOME", "/home/a")
    assert root("~/there") == Path("/home/a/there")
    monkeypatch.setenv("DCBENCH_RESULTS", "~/there")
    monkeypatch.setenv("DCBENCH_DATA", "~/there")
    assert root() == Path("/home/a/there")


@pytest.mark.parametrize("root", [data_root, results_root])
def test_home_that_is_not_there_is_named(root):
    with pytest.raises(UsageError, match="~nobody-of-this-name/there: there is no such home"):
        root("~nobody-of-this-name/there")


def test_hidden_files_and_folders_are_left_out(tmp_path):
    for name in ("b.csv", "a.csv", "._a.csv", "c.txt"):
        (tmp_path / name).touch()
    for name in ("v1", ".git"):
        (tmp_path / name).mkdir()
    assert [path.name for path in files_in(tmp_path, "*.csv")] == ["a.csv", "b.csv"]
    assert [path.name for path in folders_in(tmp_path)] == ["v1"]


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="cores cannot be taken away here")
def test_cores_are_those_that_the_process_may_use():
    code = (
        "import os; os.sched_setaffinity(0, [min(os.sched_getaffinity(0))]); "
        "from dcbench.runs.machine import count_devices; print(count_devices('cpu'))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "1\n"
