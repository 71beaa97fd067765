"""Names of files and folders whose bytes are not UTF-8: taken as they are, or refused by name."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from dcbench.cli import app
from dcbench.data import maps
from dcbench.data.derive import verify_split
from dcbench.data.gather import gather
from dcbench.data.new_split import new_split
from dcbench.data.source import open_source
from dcbench.data.splits import load_split
from dcbench.errors import UsageError
from dcbench.methods.registry import forget_files, method_class
from dcbench.records.store import Store
from dcbench.sweep.engines.parcel import CodeFile, Parcel
from dcbench.sweep.engines.runs import Runs
from dcbench.sweep.engines.unpack import request_here
from dcbench.sweep.grid import Request

LATIN = b"caf\xe9"
FEW = {"kind": "by-position", "train": 2, "val": 1}
SHARE = "[size=8,test=0.25]"


@pytest.fixture
def cafe(tmp_path: Path) -> Path:
    """A folder whose name is Latin-1."""
    folder = tmp_path / os.fsdecode(LATIN)
    try:
        folder.mkdir()
    except OSError:
        pytest.skip("this file system takes names in UTF-8 alone")
    return folder


def pictures(folder: Path, names: list[bytes], classes: tuple[bytes, ...] = (b"ant", b"bee")):
    """Gray pictures, each class and each name of another level, as old as a map needs them."""
    for label, each in enumerate(classes):
        place = folder / os.fsdecode(each)
        place.mkdir(parents=True, exist_ok=True)
        for number, name in enumerate(names):
            path = place / os.fsdecode(name)
            Image.new("L", (8, 8), 100 * label + number).save(path)
            os.utime(path, (1_700_000_000, 1_700_000_000))
    return folder


def numbered(count: int = 4) -> list[bytes]:
    return [LATIN + b"%d.png" % number for number in range(count)]


def made(dataset: str, folder: Path, data: Path) -> Path:
    return new_split("mine", dataset, FEW, open_source(data), folder)


def invoked(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, list(arguments))
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result.exit_code, " ".join(result.stderr.split())


def test_pictures_are_held_out_by_the_hash_of_the_bytes_of_their_names(cafe, tmp_path: Path):
    photos = pictures(tmp_path / "photos", numbered())
    path = made(f"{photos}{SHARE}", tmp_path / "splits", tmp_path / "data")
    source, config = open_source(tmp_path / "data"), load_split(str(path)).config
    found = source.part(config.dataset, "test").take().images[:, 0, 0, 0].tolist()
    first = [
        min(range(4), key=lambda each: hashlib.sha256(name + b"/" + numbered()[each]).digest())
        for name in (b"ant", b"bee")
    ]
    assert found == [first[0], 100 + first[1]]
    assert [each.state for each in verify_split(str(path), source)] == ["same"]


def test_picture_that_gets_another_such_name_is_seen_through_the_map(cafe, tmp_path: Path):
    photos = pictures(tmp_path / "photos", numbered())
    before = maps.origin_of(photos)
    (photos / "ant" / os.fsdecode(b"caf\xe90.png")).rename(
        photos / "ant" / os.fsdecode(b"caf\xe80.png")
    )
    assert before is not None
    assert maps.origin_of(photos) != before


def test_class_of_such_a_name_is_refused_before_anything_is_written(cafe, tmp_path: Path):
    photos = pictures(tmp_path / "photos", [b"0.png", b"1.png"], (b"ant", b"be\xe9"))
    for size in (SHARE, "[test=0.5]"):
        options = ["--dataset", f"{photos}{size}", "--per-class", "1", "-o", f"{tmp_path}/own"]
        code, noted = invoked("splits", "new", "mine", *options)
        assert code == 3
        assert r"photos/be\udce9: the name of a class should be UTF-8" in noted
    assert not (tmp_path / "own").exists()


def test_classes_of_an_npz_file_that_no_split_can_name_are_refused(tmp_path: Path):
    images, labels = np.zeros((8, 8, 8), np.uint8), np.arange(8) % 2
    names = np.array(["ant", "be\udce9"])
    np.savez(tmp_path / "set.npz", images=images, labels=labels, class_names=names)
    with pytest.raises(UsageError, match=r"split mine: class_names.1='be\\udce9': should be text"):
        made(f"{tmp_path}/set.npz{SHARE}", tmp_path / "own", tmp_path / "data")
    assert not (tmp_path / "own").exists()


def test_dataset_in_such_a_folder_serves_splits_that_need_not_name_it(cafe, tmp_path, monkeypatch):
    pictures(cafe / "photos", [b"%d.png" % number for number in range(4)])
    monkeypatch.chdir(cafe)
    path = made(f"./photos{SHARE}", Path("splits"), cafe / "data")
    states = [each.state for each in verify_split(str(path), open_source(cafe / "data"))]
    assert states == ["same"]
    with pytest.raises(
        UsageError, match=r"split mine: dataset='\.\./caf\\udce9/.*: should be text"
    ):
        made(f"./photos{SHARE}", tmp_path / "elsewhere", cafe / "data")
    assert not (tmp_path / "elsewhere").exists()


def test_rows_from_a_file_of_such_a_name_are_a_split_that_can_be_read(cafe, tmp_path: Path):
    chosen = cafe.with_suffix(".csv")
    chosen.write_text("index\n7\n3\n")
    options = ["--dataset", "digits", "--indices", str(chosen), "-o", str(tmp_path)]
    assert invoked("splits", "new", "mine", *options)[0] == 0
    split = load_split(str(tmp_path / "mine.yaml"))
    assert split.train.tolist() == [7, 3]
    assert split.config.title == r"mine: the rows of caf\udce9.csv"


def test_metadata_name_no_file_that_they_cannot(cafe, tmp_path: Path):
    path = str(made("digits", cafe, tmp_path))
    assert invoked("splits", "croissant", path)[0] == 0
    assert invoked("splits", "croissant", path, "-o", str(cafe / "mine.json"))[0] == 0
    code, noted = invoked("splits", "croissant", path, "-o", str(tmp_path / "mine.json"))
    assert code == 2
    assert r"caf\udce9/mine.yaml: an address should be UTF-8" in noted
    assert not (tmp_path / "mine.json").exists()


def test_method_is_read_from_such_a_folder_here_and_on_a_worker(cafe, tmp_path, monkeypatch):
    source = b"from dcbench.methods import Method\n\n\nclass OfCafe(Method): ...\n"
    (cafe / "of_cafe.py").write_bytes(source)
    monkeypatch.chdir(cafe)
    assert method_class("of_cafe.py:OfCafe").name == "of-cafe"
    forget_files()
    lacking = f"{cafe}/lacking.py"
    request = Request(f"{lacking}:OfCafe", "digits", 0, 0, "v1", "{}")
    parcel = Parcel(
        *((request,), Runs(), Store(tmp_path), open_source(None), "cpu", 1),
        code={lacking: CodeFile("lacking.py", source)},
    )
    [kept] = request_here(request, parcel).files
    assert Path(kept).read_bytes() == source


def test_data_in_such_a_folder_are_verified(cafe):
    code, _ = invoked("data", "verify", "--data", str(cafe))
    assert code == 0


def test_bundle_says_the_names_of_its_splits_and_not_where_they_lay(tiny, cafe, tmp_path: Path):
    changes = {"test": {"dataset": "cifar10"}}
    path = new_split("mine", "cifar10", FEW, open_source(tiny), cafe, changes=changes)
    contents = gather([str(path)], open_source(tiny, allow_unverified=True))
    contents.write(tmp_path / "bundle.zip")
    assert contents.manifest.splits == ("mine",)
