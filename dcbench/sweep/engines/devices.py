"""Which GPU a worker takes, where several workers of one machine choose for themselves.

A GPU is known by its UUID: its number depends on `CUDA_VISIBLE_DEVICES`.
"""

from __future__ import annotations

import functools
import itertools
import os
import stat
import tempfile
from pathlib import Path

import filelock
import torch

from dcbench.errors import RunError

_held: list[filelock.BaseFileLock] = []
"""Locks on devices that this process holds for as long as it lives."""


@functools.lru_cache(maxsize=1)
def claim_device(device: str) -> str:
    """The device that this process is to use.

    With `auto` on a machine with GPUs: the one that the fewest processes of this user have claimed.
    """
    if device != "auto" or not torch.cuda.is_available():
        return device
    return f"cuda:{claim(visible_uuids(), lock_folder())}"


def visible_uuids() -> list[str]:
    """The UUIDs of the GPUs that this process sees, in the order of their numbers."""
    count = torch.cuda.device_count()
    return [str(torch.cuda.get_device_properties(number).uuid) for number in range(count)]


def claim(uuids: list[str], folder: Path) -> int:
    """Claim one of the devices until this process ends; return its number.

    A device has as many places as are asked for. All first places are tried before any second.
    """
    for place in itertools.count():
        for number, uuid in enumerate(uuids):
            lock = filelock.FileLock(folder / f"{uuid}-{place}")
            try:
                lock.acquire(timeout=0)
            except filelock.Timeout:
                continue
            _held.append(lock)
            return number
    raise AssertionError("unreachable")


def lock_folder() -> Path:
    """The folder of this user's locks on devices of this machine.

    Raises
    ------
    RunError
        Somebody else has made it, or may write to it.
    """
    folder = Path(tempfile.gettempdir(), f"dcbench-devices-{os.getuid()}")
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.lstat()
    own = stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid()
    if not own or stat.S_IMODE(found.st_mode) & 0o077:
        raise RunError(f"{folder}: is not a folder of yours alone; remove it, or set TMPDIR")
    return folder
