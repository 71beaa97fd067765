from pathlib import Path

import pytest
import torch

from dcbench.bench import meters
from dcbench.bench.meters import busy_seconds, other_load, timed
from dcbench.runs.machine import peak_resident_bytes

#       user nice system idle iowait irq softirq steal guest guest_nice
STAT = "cpu  100 20 30 9000 400 5 6 39 50 7\ncpu0 1 1 1 1 1 1 1 1 1 1\nintr 5\n"
CPU = torch.device("cpu")


def test_busy_time_leaves_out_idle_and_iowait_and_counts_guests_once():
    assert busy_seconds(STAT, 100) == pytest.approx((100 + 20 + 30 + 5 + 6 + 39) / 100)


def test_busy_time_reads_kernels_with_fewer_fields():
    assert busy_seconds("cpu 10 0 10 500\n", 100) == pytest.approx(0.2)


@pytest.mark.parametrize(
    ("seconds", "busy", "own", "load"),
    [(2.0, 3.0, 2.0, 0.5), (1.0, 1.0, 1.004, 0.0), (0.1, 0.5, 0.1, None)],
)
def test_load_of_others_is_what_the_machine_did_beside_us(seconds, busy, own, load):
    assert other_load(seconds, busy, own) == load


def test_load_is_unknown_and_not_zero_where_there_is_no_proc(monkeypatch, tmp_path: Path):
    monkeypatch.setattr(meters, "PROCESSOR_TIMES", tmp_path / "stat")
    monkeypatch.setattr(meters, "SHORTEST_LOAD", 0.0)
    assert timed(lambda: None, CPU).other_load is None


def test_work_is_done_once_and_its_time_is_counted():
    calls: list[int] = []
    block = timed(lambda: calls.append(sum(range(100_000))), CPU)
    assert len(calls) == 1
    assert block.seconds > 0
    assert block.cpu_seconds > 0


def test_peak_memory_is_the_high_water_mark_in_bytes(tmp_path: Path):
    status = tmp_path / "status"
    status.write_text("Name:\tpython\nVmPeak:\t 900 kB\nVmHWM:\t     123 kB\nVmRSS:\t 100 kB\n")
    assert peak_resident_bytes(status) == 123 * 1024


def test_peak_memory_is_unknown_where_the_system_does_not_say(tmp_path: Path):
    assert peak_resident_bytes(tmp_path / "status") is None
    (tmp_path / "status").write_text("Name:\tpython\n")
    assert peak_resident_bytes(tmp_path / "status") is None
