"""What a worker keeps on its own disk, and what becomes of it."""

from __future__ import annotations

import os
import time
from pathlib import Path

import filelock

from dcbench.records.store import LOCK
from dcbench.sweep.engines.unpack import remove_abandoned


def left_by_a_worker(folder: Path, hours: float) -> Path:
    folder.mkdir()
    (folder / "bundle.zip").write_bytes(b"large")
    (folder / LOCK).touch()
    then = time.time() - 3600 * hours
    os.utime(folder / LOCK, (then, then))
    return folder


def test_folder_of_a_worker_that_was_killed_is_removed_and_no_other(tmp_path: Path):
    killed = left_by_a_worker(tmp_path / "dcbench-worker-killed", hours=2)
    alive = left_by_a_worker(tmp_path / "dcbench-worker-alive", hours=2)
    new = left_by_a_worker(tmp_path / "dcbench-worker-new", hours=0.5)
    others = left_by_a_worker(tmp_path / "results", hours=2)
    (tmp_path / "dcbench-worker-link").symlink_to(others)
    (tmp_path / "dcbench-worker-empty").mkdir()
    with filelock.FileLock(alive / LOCK):
        remove_abandoned(tmp_path)
    assert not killed.exists()
    assert (alive / "bundle.zip").exists()
    assert (new / "bundle.zip").exists()
    assert (others / "bundle.zip").exists()
    assert (tmp_path / "dcbench-worker-empty").exists()
