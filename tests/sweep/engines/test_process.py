import os
import signal
from pathlib import Path

import pytest

from dcbench.sweep.engines.process import WorkerProcess, _interrupts_wait


def starting(process: int) -> list[int]:
    """The workers among the children of a process, from their first moment on."""
    tasks = Path(f"/proc/{process}/task").iterdir()
    children = [int(child) for task in tasks for child in (task / "children").read_text().split()]
    return [
        child
        for child in children
        if b"resource_tracker" not in Path(f"/proc/{child}/cmdline").read_bytes()
    ]


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="needs Linux's /proc")
def test_worker_that_is_only_starting_does_not_hear_ctrl_c():
    worker, before = WorkerProcess(), set(starting(os.getpid()))
    with _interrupts_wait():
        found = worker._executor.submit(os.getpid)
    (process,) = set(starting(os.getpid())) - before
    os.kill(process, signal.SIGINT)
    assert found.result(timeout=120) == process
    worker.end()
