"""What `dcbench selftest` tries: the installation, and with faults all that may befall it."""

from __future__ import annotations

from dcbench.selftest import (
    at_once,
    damaged_maps,
    damaged_runs,
    disks,
    installation,
    readers,
    signals,
    streams,
)
from dcbench.selftest.trial import Trial

_A_DISK, _A_RUN = 40, 100
"""Signals for each disk that fills, and damaged files for each command that meets one."""


def trials_of_installation() -> list[Trial]:
    """A few short runs, whether they do what every installation should."""
    return installation.trials()


def trials_of_faults(num_signals: int, num_files: int) -> list[Trial]:
    """Faults: so many signals, so many damaged files, and of the others as many as fit to that."""
    disks_that_fill = max(2, num_signals // _A_DISK)
    damaged = max(4, num_files // _A_RUN)
    return [
        *signals.trials(num_signals),
        *at_once.trials(disks_that_fill),
        *disks.trials(disks_that_fill),
        *streams.trials(),
        *damaged_runs.trials(damaged),
        *damaged_maps.trials(damaged),
        *readers.trials(num_files),
    ]
