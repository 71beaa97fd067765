"""Faults at random moments lose nothing. `DCBENCH_SOAK=200` sends so many signals, in all."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import dcbench

SIGNALS = int(os.environ.get("DCBENCH_SOAK", "4"))
FILES = 5 * SIGNALS
SOURCE = Path(dcbench.__file__).parents[1]

pytestmark = [
    pytest.mark.soak,
    pytest.mark.timeout(7200),
    pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="needs Linux's /proc"),
]


def test_faults_lose_nothing(tmp_path):
    done = subprocess.run(
        [
            *(sys.executable, "-m", "dcbench", "selftest", "--faults", "--json"),
            *("--signals", str(SIGNALS), "--files", str(FILES), "--results", tmp_path),
        ],
        cwd=SOURCE,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, f"{done.stderr}\n{done.stdout}"
    rows = json.loads(done.stdout)["trials"]
    counts = {row["what"]: row["times"] for row in rows}
    assert sum(times for what, times in counts.items() if what.startswith("signals")) == SIGNALS
    assert sum(times for what, times in counts.items() if what.startswith("the reader")) == FILES
    untried = [row["what"] for row in rows if not row["times"]]
    assert untried in ([], ["a disk that fills, then has room"])  # to mount one takes root
    assert not list(tmp_path.iterdir())
