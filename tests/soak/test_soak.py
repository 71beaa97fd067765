"""Signals at random moments lose nothing. `DCBENCH_SOAK=100` sends so many to each engine."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import dcbench

SIGNALS = int(os.environ.get("DCBENCH_SOAK", "4"))
SOURCE = Path(dcbench.__file__).parents[1]

pytestmark = [
    pytest.mark.soak,
    pytest.mark.timeout(3600),
    pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="needs Linux's /proc"),
]


@pytest.mark.parametrize("engine", ["serial", "loky"])
def test_disturbed_sweep_ends_with_the_records_of_an_undisturbed_one(tmp_path, engine):
    done = subprocess.run(
        [sys.executable, "-m", "tests.soak.disturbed", tmp_path, str(SIGNALS), engine],
        cwd=SOURCE,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    said = (tmp_path / "said.txt").read_text() if (tmp_path / "said.txt").exists() else ""
    assert done.returncode == 0, f"{done.stderr}\n{said}"
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["problems"] == [], said
    assert found["sweeps"] >= 1
    assert sum(found["sent"].values()) == SIGNALS
