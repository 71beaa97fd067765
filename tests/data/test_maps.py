"""Decoded parts that are kept as memory maps: used only while they are what was read."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from dcbench.cli import app
from dcbench.data import maps
from dcbench.data.catalogue import get_dataset
from dcbench.data.maps import check_maps, read_map
from dcbench.data.parts import Part, UnverifiedData
from dcbench.data.source import Folder
from tests.data import fakes

BATCH = "cifar-10-batches-py/test_batch"
LONG_AGO = 1_600_000_000


@pytest.fixture
def folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A data folder with the test part of a small CIFAR-10, whose file has long been there."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    content = fakes.python2_batch(fakes.cifar_rows(4, seed=3), [5, 6, 7, 8])
    fakes.place(monkeypatch, tmp_path / "data", "cifar10", {BATCH: (content, 4)})
    _put(tmp_path / "data", content, LONG_AGO)
    return tmp_path / "data"


def _put(root: Path, content: bytes, modified: int) -> None:
    (root / BATCH).write_bytes(content)
    os.utime(root / BATCH, (modified, modified))


def _read(root: Path, *, allow_unverified: bool = False) -> Part:
    return Folder(root, allow_unverified).part("cifar10", "test")


def _is_mapped(part: Part) -> bool:
    base = part.images
    while base is not None and not isinstance(base, np.memmap):
        base = base.base
    return base is not None


def _map(root: Path) -> Path:
    return root / "decoded/cifar10-test.map"


def test_second_reading_maps_what_the_first_one_decoded(folder: Path):
    decoded, mapped = _read(folder), _read(folder)
    assert not _is_mapped(decoded)
    assert _is_mapped(mapped)
    assert np.array_equal(decoded.images, mapped.images)
    assert np.array_equal(decoded.labels, mapped.labels)
    assert (decoded.name, decoded.official, decoded.files) == (
        mapped.name,
        mapped.official,
        mapped.files,
    )
    assert decoded.take().sha256() == mapped.take().sha256()
    some = np.array([3, 1])
    assert decoded.take(some).sha256() == mapped.take(some).sha256() != mapped.take().sha256()


def test_what_is_mapped_cannot_be_written(folder: Path):
    _read(folder)
    with pytest.raises(ValueError, match="read-only"):
        _read(folder).images[0, 0, 0, 0] = 1


def test_other_file_of_the_same_size_and_place_is_read_again(folder: Path):
    _read(folder)
    _put(folder, fakes.python2_batch(fakes.cifar_rows(4, seed=9), [1, 2, 3, 4]), LONG_AGO + 1)
    with pytest.raises(UnverifiedData):
        _read(folder)
    again = _read(folder, allow_unverified=True)
    assert again.labels.tolist() == [1, 2, 3, 4]
    assert not again.official
    # It has a map of its own now, which is refused as the file itself is.
    mapped = _read(folder, allow_unverified=True)
    assert _is_mapped(mapped)
    assert not mapped.official
    assert mapped.files == again.files
    with pytest.raises(UnverifiedData, match="--allow-unverified-data"):
        _read(folder)


@pytest.mark.parametrize("kind", ["edited", "cut", "longer", "header", "empty"])
def test_map_that_was_touched_is_not_used(folder: Path, kind: str):
    expected = _read(folder)
    content = bytearray(_map(folder).read_bytes())
    changed = {
        "edited": content[:-1] + bytes([content[-1] ^ 1]),
        "cut": content[:-100],
        "longer": content + b"\0",
        "header": content.replace(b'"size":', b'"sice":'),
        "empty": b"",
    }[kind]
    _map(folder).write_bytes(changed)
    found = _read(folder)
    assert np.array_equal(found.images, expected.images)
    assert not _is_mapped(found)
    assert _is_mapped(_read(folder)), "it is made again"


def test_file_that_was_just_written_is_not_mapped_yet(folder: Path):
    os.utime(folder / BATCH)
    _read(folder)
    assert not _map(folder).exists()


def test_missing_file_is_missing_though_its_map_is_there(folder: Path):
    _read(folder)
    (folder / BATCH).unlink()
    with pytest.raises(Exception, match="is missing"):
        _read(folder)


def test_folder_that_cannot_be_written_keeps_its_maps_in_the_cache(folder: Path, tmp_path: Path):
    (folder / "decoded").write_text("a file where the folder would be")
    _read(folder)
    assert _is_mapped(_read(folder))
    assert [path.name for path in (tmp_path / "cache").rglob("*.map")] == ["cifar10-test.map"]


def test_nowhere_to_write_is_no_error(folder: Path, tmp_path: Path):
    (folder / "decoded").write_text("")
    (tmp_path / "cache").write_text("")
    assert np.array_equal(_read(folder).images, _read(folder).images)


def test_maps_written_at_once_are_whole(folder: Path):
    expected = _read(folder)
    origins = maps.origins_of(folder, get_dataset("cifar10"), "test")
    writers = [
        threading.Thread(target=maps.write_map, args=(folder, expected, origins)) for _ in range(4)
    ]
    for writer in writers:
        writer.start()
        found = read_map(folder, get_dataset("cifar10"), "test", origins)
        assert found is not None
        assert np.array_equal(found.images, expected.images)
    for writer in writers:
        writer.join()
    assert [path.name for path in (folder / "decoded").iterdir()] == ["cifar10-test.map"]


def test_hashing_finds_a_map_that_was_damaged_without_a_trace(folder: Path):
    _read(folder)
    assert [state for _, state in check_maps(folder)] == ["whole"]
    stat = _map(folder).stat()
    content = bytearray(_map(folder).read_bytes())
    content[-1] ^= 1
    _map(folder).write_bytes(content)
    os.utime(_map(folder), (stat.st_mtime, stat.st_mtime))
    result = CliRunner().invoke(app, ["data", "verify", "--data", str(folder)])
    assert result.exit_code == 3
    assert f"{_map(folder)} is damaged: delete it" in " ".join(result.output.split())


def test_hashing_tells_a_map_of_files_that_have_changed(folder: Path):
    _read(folder)
    os.utime(folder / BATCH, (LONG_AGO + 1, LONG_AGO + 1))
    assert [state for _, state in check_maps(folder)] == ["outdated"]
