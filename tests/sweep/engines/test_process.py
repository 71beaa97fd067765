import os
import signal
import time
from pathlib import Path

import pytest

from dcbench.sweep.engines.dispatch import Dispatch, Sent
from dcbench.sweep.engines.process import WorkerProcess, _carried_out, _interrupts_wait
from tests.sweep.engines.runs import a_site, asked


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


def test_start_of_a_process_is_off_the_time_of_its_job(tmp_path: Path):
    sent = Dispatch(a_site(tmp_path, deadline=time.time() + 100)).sent(tuple(asked()))
    assert isinstance(sent, Sent)
    (outcome,) = _carried_out(sent.parcel, time.time() - 200).outcomes
    assert (outcome.state, outcome.message) == ("left", "no time to begin")
