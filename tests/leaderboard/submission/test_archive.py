"""A submission may come from anybody: it says no more than it holds, and leads nowhere else."""

from __future__ import annotations

import json
import os
import stat
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dcbench.errors import DataError, UsageError
from dcbench.leaderboard.submission import archive, unpacked
from dcbench.leaderboard.submission.manifest import MANIFEST, checked_name
from tests.leaderboard.submission.conftest import Made, command

RECORD = "results/v1-lite/digits/subset-0/halved/seed-1/record.json"


def contents(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as opened:
        return {name: opened.read(name) for name in opened.namelist()}


def written(path: Path, files: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method) as target:
        for name, content in files.items():
            target.writestr(zipfile.ZipInfo(name), content, method)
    return path


def manifest_with(made: Made, change: Callable[[dict[str, Any]], object]) -> dict[str, bytes]:
    files = contents(made.file)
    manifest = json.loads(files[MANIFEST])
    change(manifest)
    return files | {MANIFEST: json.dumps(manifest).encode()}


def refused(path: Path, folder: Path) -> str:
    with pytest.raises(DataError) as problem:
        unpacked(path, folder)
    assert str(path) in str(problem.value)
    assert "\n" not in str(problem.value)
    return str(problem.value)


def test_honest_file_is_not_unpacked_as_it_was(made: Made, tmp_path: Path):
    unpacked(made.file, tmp_path / "x")
    found = {
        path.relative_to(tmp_path / "x").as_posix(): path.read_bytes()
        for path in (tmp_path / "x").rglob("*")
        if path.is_file()
    }
    assert found == contents(made.file)


@pytest.mark.parametrize(
    "name",
    [
        *("../x.py", "/etc/x.py", "source/../x.py", "source/a/b.py", "source/.x.py", "source/x.sh"),
        *("results/x.py", "results/../../x", "source\\x.py", "source/x\n.py", "", "other/x.py"),
        RECORD.replace("record.json", "model.safetensors"),
        RECORD.replace("record.json", ".lock"),
        RECORD.replace("digits", ".."),
        RECORD.replace("digits", ".hidden"),
        RECORD.replace("seed-1", "seed-x"),
        RECORD.replace("record.json", "sets/../../x.json"),
        RECORD.replace("halved", "h" * 201),
    ],
)
def test_name_leads_out_of_the_folder_or_is_no_submissions(made: Made, tmp_path: Path, name: str):
    with pytest.raises(ValueError):
        checked_name(name)
    extra = {"name": name, "bytes": 1, "sha256": "0" * 64}
    files = manifest_with(made, lambda manifest: manifest["files"].append(extra))
    path = written(tmp_path / "x.zip", files | {name or "-": b"x"})
    said = refused(path, tmp_path / "x")
    assert f"files.{len(files) - 1}.name" in said or name in said
    assert {path.name for path in tmp_path.iterdir()} <= {"x", "x.zip"}


def test_member_that_the_manifest_does_not_name_is_unpacked(made: Made, tmp_path: Path):
    files = contents(made.file) | {"source/more.py": b"pass"}
    said = refused(written(tmp_path / "x.zip", files), tmp_path / "x")
    assert f"source/more.py is not in {MANIFEST}" in said
    del files["source/more.py"], files[RECORD]
    said = refused(written(tmp_path / "y.zip", files), tmp_path / "y")
    assert f"{RECORD} is only in {MANIFEST}" in said


def test_other_content_is_unpacked(made: Made, tmp_path: Path):
    files = contents(made.file)
    files[RECORD] = files[RECORD].replace(b'"seed": 1', b'"seed": 2')
    said = refused(written(tmp_path / "x.zip", files), tmp_path / "x")
    assert f"{RECORD} is damaged: SHA-256 is" in said


def test_link_or_folder_is_unpacked(made: Made, tmp_path: Path):
    for number, kind in enumerate((stat.S_IFLNK, stat.S_IFDIR, stat.S_IFIFO)):
        path = tmp_path / f"{number}.zip"
        with zipfile.ZipFile(path, "w") as target:
            for name, content in contents(made.file).items():
                info = zipfile.ZipInfo(name)
                info.external_attr = (kind | 0o777) << 16 if name == RECORD else 0
                target.writestr(info, content)
        assert "should be a regular file" in refused(path, tmp_path / str(number))


def test_file_that_is_there_twice_is_unpacked(made: Made, tmp_path: Path):
    path = written(tmp_path / "x.zip", contents(made.file))
    with zipfile.ZipFile(path, "a") as target, pytest.warns(UserWarning, match="Duplicate"):
        target.writestr(RECORD, b"{}")
    assert "a file is there twice" in refused(path, tmp_path / "x")


def test_names_that_one_disk_takes_for_one_are_unpacked(made: Made, tmp_path: Path):
    def twice(manifest: dict[str, Any]) -> None:
        [source] = [each for each in manifest["files"] if each["name"].startswith("source")]
        manifest["files"].append(source | {"name": source["name"].replace("halved", "Halved")})

    files = manifest_with(made, twice)
    code = next(name for name in files if name.startswith("source"))
    files[code.replace("halved", "Halved")] = files[code]
    assert "twice" in refused(written(tmp_path / "x.zip", files), tmp_path / "x")


def test_bomb_is_unpacked(made: Made, tmp_path: Path, monkeypatch):
    bomb = b"\0" * (17 << 20)
    files = contents(made.file)
    said = refused(written(tmp_path / "x.zip", files | {RECORD: bomb}), tmp_path / "x")
    assert "more than 16,777,216" in said
    predictions = RECORD.replace("record.json", "predictions.npz")
    monkeypatch.setattr(archive, "_LARGEST", 1 << 20)
    said = refused(written(tmp_path / "y.zip", files | {predictions: bomb}), tmp_path / "y")
    assert "bytes that say they hold" in said
    assert not (tmp_path / "y").exists()


def test_size_that_is_a_lie_is_believed(made: Made, tmp_path: Path):
    path = written(tmp_path / "x.zip", contents(made.file))
    content = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as opened:
        size = opened.getinfo(RECORD).file_size
    at = content.rindex(RECORD.encode()) - 46 + 24
    assert int.from_bytes(content[at : at + 4], "little") == size
    content[at : at + 4] = (16).to_bytes(4, "little")
    path.write_bytes(bytes(content))
    refused(path, tmp_path / "x")


def test_later_version_or_unknown_key_is_a_guess(made: Made, tmp_path: Path):
    files = manifest_with(made, lambda manifest: manifest.update(version=2))
    said = refused(written(tmp_path / "x.zip", files), tmp_path / "x")
    assert "version=2: this dcbench reads 1" in said
    files = manifest_with(made, lambda manifest: manifest.update(footnotes=""))
    said = refused(written(tmp_path / "y.zip", files), tmp_path / "y")
    assert "did you mean 'footnote'?" in said


@pytest.mark.parametrize("content", [b"", b"PK", b"not a zip" * 100])
def test_file_that_is_no_archive_is_a_traceback(tmp_path: Path, content: bytes):
    (tmp_path / "x.zip").write_bytes(content)
    code, _, said = command("verify", tmp_path / "x.zip")
    assert code == 3
    assert "not a whole submission" in said


def test_cut_off_file_is_a_traceback(made: Made, tmp_path: Path):
    (tmp_path / "x.zip").write_bytes(made.file.read_bytes()[:-500])
    assert command("verify", tmp_path / "x.zip")[0] == 3


def test_pipe_or_folder_in_the_files_place_hangs(tmp_path: Path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", tmp_path, tmp_path / "none"):
        with pytest.raises(UsageError, match=r"no (regular|such) file"):
            unpacked(path, tmp_path / "x")
