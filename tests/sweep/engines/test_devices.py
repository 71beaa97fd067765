"""Which GPU a worker takes."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

from dcbench.errors import RunError
from dcbench.sweep.engines import devices
from dcbench.sweep.engines.devices import claim, claim_device, lock_folder, visible_uuids


@pytest.fixture(autouse=True)
def nothing_is_held(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "_held", [])


def test_each_gpu_is_claimed_once_before_any_is_twice(tmp_path: Path):
    assert [claim(["a", "b", "c"], tmp_path) for _ in range(7)] == [0, 1, 2, 0, 1, 2, 0]


def test_gpu_is_the_same_under_another_number(tmp_path: Path):
    assert claim(["a", "b"], tmp_path) == 0
    assert claim(["b", "a"], tmp_path) == 0  # b, which is free
    assert claim(["c", "b", "a"], tmp_path) == 0


def test_gpu_is_free_again_when_its_process_is_gone(tmp_path: Path):
    assert claim(["a", "b"], tmp_path) == 0
    for lock in devices._held:
        lock.release()
    assert claim(["a", "b"], tmp_path) == 0


def test_device_that_was_asked_for_is_not_claimed():
    claim_device.cache_clear()
    assert claim_device("cuda:3") == "cuda:3"


def test_locks_lie_in_a_folder_of_the_user_alone(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    folder = lock_folder()
    assert folder.parent == tmp_path
    assert folder.stat().st_mode & 0o777 == 0o700
    assert lock_folder() == folder


@pytest.mark.parametrize("kind", ["open to others", "link"])
def test_folder_that_others_may_write_to_is_refused(tmp_path: Path, monkeypatch, kind):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    folder = tmp_path / f"dcbench-devices-{os.getuid()}"
    if kind == "link":
        (tmp_path / "elsewhere").mkdir(mode=0o700)
        folder.symlink_to(tmp_path / "elsewhere")
    else:
        folder.mkdir()
        folder.chmod(0o777)
    with pytest.raises(RunError, match="is not a folder of yours alone"):
        lock_folder()


@pytest.mark.gpu
def test_uuids_of_gpus_are_those_that_the_driver_names(cuda):
    found = visible_uuids()
    assert len(set(found)) == len(found) > 0
    assert all(len(each) == 36 for each in found)
