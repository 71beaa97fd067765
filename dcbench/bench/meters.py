"""What is read off the machine: time, CPU time, the load of others."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import torch

from dcbench.config.base import Config
from dcbench.runs.machine import synchronize

PROCESSOR_TIMES = Path("/proc/stat")

SHORTEST_LOAD = 0.2
"""Seconds below which the load of others is not read: /proc/stat counts in steps of 10 ms."""

_IDLE_FIELDS = (3, 4)
_COUNTED_FIELDS = 8


class TimedBlock(Config):
    """A number of steps, timed together.

    Attributes
    ----------
    seconds : float
        Wall time.
    cpu_seconds : float
        CPU time of this process, over all threads.
    other_load : float or None
        Cores that were busy with anything else, on average; None where it cannot be read.
    """

    seconds: float
    cpu_seconds: float
    other_load: float | None


def busy_seconds(stat: str, ticks_per_second: int) -> float:
    """CPU time that the machine has spent, from the content of /proc/stat.

    Everything but idle and iowait counts: also interrupts, and what a hypervisor took away. Guest
    time, the last two fields, is part of user time already.
    """
    counts = [int(text) for text in stat.splitlines()[0].split()[1 : 1 + _COUNTED_FIELDS]]
    busy = sum(count for index, count in enumerate(counts) if index not in _IDLE_FIELDS)
    return busy / ticks_per_second


def other_load(seconds: float, busy: float, own: float) -> float | None:
    """Cores busy with other processes, from the machine's busy seconds and this process's own."""
    if seconds < SHORTEST_LOAD:
        return None
    return max(0.0, (busy - own) / seconds)


def timed(work: Callable[[], object], device: torch.device) -> TimedBlock:
    """Do the work and say what it took; waits for the device before and after."""
    synchronize(device)
    busy, cpu, wall = _machine_busy(), time.process_time(), time.perf_counter()
    work()
    synchronize(device)
    seconds = time.perf_counter() - wall
    own = time.process_time() - cpu
    after = _machine_busy()
    load = None if busy is None or after is None else other_load(seconds, after - busy, own)
    return TimedBlock(seconds=seconds, cpu_seconds=own, other_load=load)


def _machine_busy() -> float | None:
    if not PROCESSOR_TIMES.exists():
        return None
    return busy_seconds(PROCESSOR_TIMES.read_text(), os.sysconf("SC_CLK_TCK"))
