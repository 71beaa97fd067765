"""Datasets of one's own: folders of pictures, npz files, those of torchvision and packages."""

from __future__ import annotations

import hashlib
import io
import json
import os
import struct
import zipfile
import zlib
from importlib.metadata import EntryPoint
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

import dcbench
from dcbench.cli import app
from dcbench.data import catalogue, maps
from dcbench.data.catalogue import get_dataset
from dcbench.data.derive import verify_split
from dcbench.data.formats import Piece
from dcbench.data.load import load_images
from dcbench.data.new_split import new_split
from dcbench.data.own import beside, is_own
from dcbench.data.own_images import held_out
from dcbench.data.pictures import in_size
from dcbench.data.published import Dataset
from dcbench.data.source import open_source
from dcbench.data.splits import load_split, split_config
from dcbench.errors import DataError, MissingData, UsageError

FEW = {"kind": "by-position", "train": 2, "val": 1}
CLASSES = ("ant", "bee")


def picture(path: Path, level: int, size: tuple[int, int] = (8, 8), mode: str = "RGB") -> None:
    """One level of gray; PNG keeps it as it is."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, (size[1], size[0]), level if mode == "L" else (level,) * 3).save(path)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Eight pixels square: 4 + 2 pictures of two classes, each with a level of its own."""
    folder = tmp_path / "photos"
    for part, count in (("train", 4), ("test", 2)):
        for label, name in enumerate(CLASSES):
            for number in range(count):
                level = 100 * label + 10 * number + (part == "test")
                picture(folder / part / name / f"{number}.png", level)
    settle(folder)
    return folder


def settle(folder: Path) -> None:
    """Let files be as old as a map needs them to be."""
    for path in folder.rglob("*"):
        os.utime(path, (1_700_000_000, 1_700_000_000))


def split_of(dataset: str, folder: Path, **changes: object) -> Path:
    return new_split("mine", dataset, FEW, source(folder), folder / "splits", changes=changes)


def source(folder: Path):
    return open_source(folder / "data")


def levels(images: np.ndarray) -> list[int]:
    assert (images == images[:, :1, :1, :1]).all()
    return images[:, 0, 0, 0].tolist()


# --- names ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "own"),
    [
        ("cifar10", False),
        ("./photos", True),
        ("photos/", True),
        ("set.npz", True),
        ("set.npz[size=8]", True),
        ("torchvision:SVHN", True),
        ("photos", False),
    ],
)
def test_path_is_told_from_a_name(name: str, own: bool):
    assert is_own(name) is own


def test_path_goes_on_from_the_folder_that_names_it():
    assert beside("../p[size=8]", Path("/a/b")) == "/a/p[size=8]"
    assert beside("/c/p.npz[test=0.2,size=8]", Path("/a/b")) == "/c/p.npz[test=0.2,size=8]"
    assert beside("torchvision:SVHN[size=32]", Path("/a")) == "torchvision:SVHN[size=32]"
    assert beside("cifar10", Path("/a")) == "cifar10"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("./p", r"dataset .*p: say the size in pixels .* as in .*\[size=32\]"),
        ("./p[size=65]", "size=65: should be pixels, 4 to 64"),
        ("./p[size=0]", "size=0: should be pixels"),
        ("./p[size=32x]", "size=32x"),
        ("./p[size=8,test=1]", "test=1: should be the share of each class"),
        ("./p[size=8,test=yes]", "test=yes: should be the share"),
        ("./p[size=8,shape=3]", "setting 'shape': there are size, test"),
        ("torchvision:../x[size=8]", "write torchvision:NAME"),
    ],
)
def test_wrong_setting_of_a_dataset_is_told(name: str, message: str):
    with pytest.raises(UsageError, match=message):
        get_dataset(name)


def test_folder_without_a_slash_is_told_how_to_be_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").mkdir()
    with pytest.raises(UsageError, match=r"unknown dataset 'photos'.*write \./photos"):
        split_of("photos", tmp_path)


# --- sizes and shares ----------------------------------------------------------------------------


def test_picture_is_scaled_to_cover_and_its_middle_is_taken():
    # 40 x 20 pixels (width x height), left half black and right half white.
    whole = np.zeros((20, 40, 3), np.uint8)
    whole[:, 20:] = 255
    found = in_size(Image.fromarray(whole), (10, 10))
    assert found.shape == (10, 10, 3)
    assert found[:, :4].max() == 0
    assert found[:, 6:].min() == 255
    same = in_size(Image.fromarray(whole), (20, 40))
    assert np.array_equal(same, whole)
    assert in_size(Image.fromarray(whole), (16, 8)).shape == (16, 8, 3)


def test_share_of_each_class_is_held_out_by_the_hash_of_its_names():
    names = [f"{label}/{number}" for label in "ab" for number in range(10)]
    labels = np.repeat([0, 1], 10)
    chosen = held_out(names, labels, 0.3)
    for label in (0, 1):
        digests = {
            name: hashlib.sha256(name.encode()).hexdigest()
            for name, each in zip(names, labels, strict=True)
            if each == label
        }
        first = sorted(digests, key=digests.__getitem__)[:3]
        found = [name for name, test in zip(names, chosen, strict=True) if test]
        assert sorted(first) == [name for name in sorted(found) if name in digests]
    backwards = held_out(names[::-1], labels[::-1], 0.3)
    assert np.array_equal(backwards[::-1], chosen)


@pytest.mark.parametrize(("share", "tested"), [(0.01, 1), (0.99, 1), (0.5, 1)])
def test_both_sides_of_a_share_have_an_image(share: float, tested: int):
    assert held_out(["a", "b"], np.zeros(2, np.int64), share).sum() == tested
    with pytest.raises(DataError, match="class 0 has one image"):
        held_out(["a"], np.zeros(1, np.int64), share)


# --- a folder ------------------------------------------------------------------------------------


def test_split_of_a_folder_has_its_pictures_by_class_and_name(photos: Path, tmp_path: Path):
    path = split_of(f"{photos}", tmp_path)
    config = split_config(str(path))
    assert config.class_names == CLASSES
    assert config.dataset == f"{photos}[size=8]"
    assert config.ood == ("gaussian", "uniform")
    images = load_images(load_split(str(path)), source(tmp_path))
    assert levels(images.fit.images) == [0, 10, 100, 110, 20, 120]
    assert images.fit.labels.tolist() == [0, 0, 1, 1, 0, 1]
    assert levels(images.test.images) == [1, 11, 101, 111]
    assert images.ood["gaussian"].images.shape[1:] == (8, 8, 3)
    assert [each.state for each in verify_split(str(path), source(tmp_path))] == ["same"]


def test_relative_path_is_written_so_that_both_can_be_moved(photos, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = split_of("./photos", tmp_path)
    assert "dataset: ../photos[size=8]" in path.read_text()
    moved = tmp_path / "elsewhere"
    moved.mkdir()
    photos.rename(moved / "photos")
    path.parent.rename(moved / "splits")
    split = load_split(str(moved / "splits/mine.yaml"))
    assert len(load_images(split, source(tmp_path)).test.labels) == 4


def test_split_may_lie_in_a_folder_of_its_dataset(photos, tmp_path, monkeypatch):
    monkeypatch.chdir(photos)
    path = split_of("./", photos)
    assert "dataset: ./..[size=8]" in path.read_text()
    assert len(load_images(load_split(str(path)), source(tmp_path)).test.labels) == 4


def test_classes_without_train_and_test_are_divided_by_a_share(photos: Path, tmp_path: Path):
    whole = photos / "train"
    with pytest.raises(UsageError, match=r"not divided .*\[test=0.2\]"):
        split_of(str(whole), tmp_path)
    path = split_of(f"{whole}[test=0.25]", tmp_path)
    images = load_images(load_split(str(path)), source(tmp_path))
    everything = sorted(levels(images.fit.images) + levels(images.test.images))
    assert everything == [0, 10, 20, 30, 100, 110, 120, 130]
    assert np.bincount(images.test.labels).tolist() == [1, 1]
    with pytest.raises(UsageError, match="has folders train and test, so that"):
        new_split("other", f"{photos}[test=0.2]", FEW, source(tmp_path), tmp_path)


def test_val_is_tested_on_where_there_is_no_test(photos: Path, tmp_path: Path):
    (photos / "test").rename(photos / "val")
    images = load_images(load_split(str(split_of(str(photos), tmp_path))), source(tmp_path))
    assert levels(images.test.images) == [1, 11, 101, 111]


def test_pictures_of_several_sizes_need_one(photos: Path, tmp_path: Path):
    picture(photos / "train/ant/4.png", 40, (100, 50))
    with pytest.raises(UsageError, match=r"have 8 x 8 to 100 x 50 pixels; say the size .*size=32"):
        split_of(str(photos), tmp_path)
    path = split_of(f"{photos}[size=12x10]", tmp_path)
    images = load_images(load_split(str(path)), source(tmp_path))
    assert images.fit.images.shape[1:] == images.test.images.shape[1:] == (12, 10, 3)


def test_gray_pictures_have_three_equal_channels(photos: Path, tmp_path: Path):
    picture(photos / "train/ant/0.png", 7, mode="L")
    images = load_images(load_split(str(split_of(str(photos), tmp_path))), source(tmp_path))
    assert levels(images.fit.images)[0] == 7


def test_files_that_are_no_pictures_are_left_aside(photos: Path, tmp_path: Path):
    (photos / "train/ant/notes.txt").write_text("hello")
    (photos / "train/ant/._0.png").write_bytes(b"what a Mac leaves")
    (photos / "train/.hidden").mkdir()
    (photos / "train/readme.md").write_text("hello")
    split = load_split(str(split_of(str(photos), tmp_path)))
    assert split.config.class_names == CLASSES


def sixteen_bits(path: Path) -> None:
    Image.fromarray(np.full((8, 8), 4000, np.uint16)).save(path)


def bomb(path: Path) -> None:
    """A PNG that says it has 8,000 x 8,000 pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = struct.pack(">IIBBBBB", 8_000, 8_000, 8, 2, 0, 0, 0)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b"\0" * 1000))
        + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda path: path.write_bytes(b"no picture"), "2.png: not a picture that is read here"),
        (lambda path: path.write_bytes(path.read_bytes()[:40]), "2.png: not a picture"),
        (bomb, "2.png: .*8000 x 8000 pixels"),
        (sixteen_bits, "2.png: .*convert it to 8 bits a channel"),
        (lambda path: (path.unlink(), os.mkfifo(path)), "2.png: is a pipe"),
        (lambda path: (path.unlink(), path.symlink_to("/dev/zero")), "2.png: is a device"),
        (lambda path: (path.unlink(), path.symlink_to("nowhere")), "2.png: no such file"),
    ],
)
def test_picture_that_cannot_be_read_is_named(photos: Path, tmp_path: Path, spoil, message: str):
    spoil(photos / "train/ant/2.png")
    with pytest.raises(DataError, match=message):
        split_of(f"{photos}[size=8]", tmp_path)
    assert not (tmp_path / "splits").exists()


def test_folder_that_is_no_set_of_classes_is_told(photos: Path, tmp_path: Path):
    with pytest.raises(MissingData, match="nowhere: there is no such folder"):
        split_of(f"{tmp_path}/nowhere[size=8]", tmp_path)
    (photos / "test/wasp").mkdir()
    with pytest.raises(DataError, match="test/wasp: is a class that is not trained on"):
        split_of(f"{photos}[size=8]", tmp_path)
    (photos / "test/wasp").rmdir()
    (photos / "train/cicada").mkdir()
    with pytest.raises(DataError, match=r"cicada: has no pictures; \.bmp, \.jpeg"):
        split_of(f"{photos}[size=8]", tmp_path)
    (tmp_path / "lonely/only").mkdir(parents=True)
    with pytest.raises(DataError, match="lonely: has 1 folders; should have one a class"):
        split_of(f"{tmp_path}/lonely[size=8,test=0.5]", tmp_path)


# --- what changes is seen ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("train/ant/1.png", "the images of split mine, subset 0, do not hash"),
        ("test/ant/1.png", "the images that split mine is tested on, or their labels"),
    ],
)
def test_picture_that_was_changed_is_refused(photos: Path, tmp_path: Path, name: str, message: str):
    path = split_of(str(photos), tmp_path)
    load_images(load_split(str(path)), source(tmp_path))
    picture(photos / name, 77)
    with pytest.raises(DataError, match=message):
        load_images(load_split(str(path)), source(tmp_path))
    assert [each.state for each in verify_split(str(path), source(tmp_path))] == ["differs"]


def test_renamed_picture_is_seen_through_the_map(photos: Path, tmp_path: Path):
    path = split_of(str(photos), tmp_path)
    load_images(load_split(str(path)), source(tmp_path))
    assert len(list((tmp_path / "data/decoded").glob("photos-*.map"))) == 2
    (photos / "train/ant/1.png").rename(photos / "train/ant/9.png")
    states = {check.state for check in maps.check_maps(tmp_path / "data")}
    assert states == {"outdated"}
    with pytest.raises(DataError, match="do not hash"):
        load_images(load_split(str(path)), source(tmp_path))


def test_map_is_read_in_place_of_the_pictures(photos: Path, tmp_path: Path, monkeypatch):
    path = split_of(str(photos), tmp_path)
    first = load_images(load_split(str(path)), source(tmp_path))
    monkeypatch.setattr(
        "dcbench.data.image_folder.read_picture", lambda *given: pytest.fail("it was decoded")
    )
    second = load_images(load_split(str(path)), source(tmp_path))
    assert second.fit.sha256() == first.fit.sha256()
    assert np.array_equal(second.test.labels, first.test.labels)
    assert {check.state for check in maps.check_maps(tmp_path / "data")} == {"whole"}


def test_runs_on_other_images_of_one_name_are_refused(photos: Path, tmp_path: Path):
    settings = {"epochs": 1, "batch_size": 3}

    def run(path: Path):
        return dcbench.run(
            "erm",
            str(path),
            settings=settings,
            results=tmp_path / "results",
            data=tmp_path / "data",
        )

    path = split_of(str(photos), tmp_path)
    record = run(path)
    assert record.data_sha256 == load_split(str(path)).data_sha256
    assert record.data["test"].images == 4
    assert run(path).started == record.started
    picture(photos / "test/bee/1.png", 222)
    path.unlink()
    path = split_of(str(photos), tmp_path)
    with pytest.raises(dcbench.errors.RunError, match="was made with another data_sha256"):
        run(path)


# --- an npz file ---------------------------------------------------------------------------------

LABELS = np.array([0, 1] * 4)
IMAGES = (np.arange(8, dtype=np.uint8) * 10)[:, None, None] * np.ones((1, 6, 5), np.uint8)


def npz(folder: Path, **arrays: object) -> Path:
    path = folder / "set.npz"
    np.savez_compressed(path, **arrays)
    os.utime(path, (1_700_000_000, 1_700_000_000))
    return path


@pytest.mark.parametrize(
    "arrays",
    [
        {"train_images": IMAGES, "train_labels": LABELS, "test_images": IMAGES + 1},
        {
            "train_images": IMAGES[..., None],
            "train_labels": LABELS[:, None],
            "test_images": IMAGES + 1,
        },
        {"x_train": np.stack([IMAGES] * 3, axis=3), "y_train": LABELS, "x_test": IMAGES + 1},
    ],
)
def test_npz_file_is_read_gray_or_in_colour(tmp_path: Path, arrays):
    last = "y_test" if "x_train" in arrays else "test_labels"
    path = split_of(str(npz(tmp_path, **arrays, **{last: LABELS})), tmp_path)
    config = split_config(str(path))
    assert config.dataset.endswith("set.npz[size=6x5]")
    assert config.class_names == ("0", "1")
    images = load_images(load_split(str(path)), source(tmp_path))
    assert levels(images.fit.images) == [0, 20, 10, 30, 40, 50]
    assert levels(images.test.images) == [1, 11, 21, 31, 41, 51, 61, 71]
    again = load_images(load_split(str(path)), source(tmp_path))
    assert np.array_equal(again.test.images, images.test.images)


def test_npz_file_is_divided_and_names_its_classes(tmp_path: Path):
    path = npz(tmp_path, images=IMAGES, labels=LABELS, class_names=np.array(["cup", "jug"]))
    split = load_split(str(split_of(f"{path}[test=0.25,size=8]", tmp_path)))
    assert split.config.class_names == ("cup", "jug")
    images = load_images(split, source(tmp_path))
    assert len(images.test.labels) == 2
    assert images.fit.images.shape[1:] == (8, 8, 3)


def unpickled(folder: Path) -> Path:
    path = folder / "set.npz"
    np.savez(path, images=np.array([print, 2], dtype=object), labels=LABELS)
    return path


def swollen(folder: Path) -> Path:
    """An archive of a few kilobytes that would unfold to a gigabyte."""
    path = folder / "set.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        header = io.BytesIO()
        shape = {"descr": "|u1", "fortran_order": False, "shape": (1 << 30,)}
        np.lib.format.write_array_header_1_0(header, shape)
        with archive.open("images.npy", "w", force_zip64=True) as member:
            member.write(header.getvalue())
            for _ in range(64):
                member.write(bytes(1 << 24))
    return path


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda folder: npz(folder, images=IMAGES), "has images; should have images and labels"),
        (lambda folder: npz(folder, images=IMAGES / 2, labels=LABELS), "images is float64"),
        (lambda folder: npz(folder, images=IMAGES[0], labels=LABELS), r"uint8 \[6, 5\]; should be"),
        (lambda folder: npz(folder, images=IMAGES, labels=LABELS / 2), "labels is float64"),
        (lambda folder: npz(folder, images=IMAGES, labels=LABELS[:3]), "should be 8 whole numbers"),
        (lambda folder: npz(folder, images=IMAGES, labels=LABELS - 1), "labels from -1|up to 0"),
        (lambda folder: npz(folder, images=IMAGES, labels=LABELS * 10**6), "labels up to 1000000"),
        (unpickled, "not a readable .npz file: Object arrays cannot be loaded"),
        (swollen, r"not a readable .npz file: \d+ bytes that say they hold 107"),
    ],
)
def test_npz_file_that_is_no_dataset_is_told(tmp_path: Path, make, message: str):
    path = make(tmp_path)
    with pytest.raises(DataError, match=message):
        split_of(f"{path}[test=0.3,size=8]", tmp_path)
    with pytest.raises(MissingData, match=r"none\.npz: there is no such file"):
        split_of(f"{tmp_path}/none.npz[size=8]", tmp_path)


# --- torchvision ---------------------------------------------------------------------------------


def idx(values: np.ndarray) -> bytes:
    header = struct.pack(">I", 0x0800 + values.ndim) + struct.pack(
        f">{values.ndim}I", *values.shape
    )
    return header + values.astype(np.uint8).tobytes()


@pytest.fixture
def mnist(tmp_path: Path) -> Path:
    """A small MNIST, in the files that torchvision reads."""
    raw = tmp_path / "data/torchvision/MNIST/MNIST/raw"
    raw.mkdir(parents=True)
    for part, count in (("train", 40), ("t10k", 20)):
        digits = np.arange(count) % 10
        images = np.repeat(digits * 20 + (part == "t10k"), 28 * 28).reshape(-1, 28, 28)
        (raw / f"{part}-images-idx3-ubyte").write_bytes(idx(images))
        (raw / f"{part}-labels-idx1-ubyte").write_bytes(idx(digits))
    settle(raw)
    return tmp_path


def test_dataset_of_torchvision_with_train_and_test(mnist: Path):
    path = split_of("torchvision:MNIST", mnist)
    config = split_config(str(path))
    assert config.dataset == "torchvision:MNIST[size=28]"
    assert config.class_names[3] == "3 - three"
    images = load_images(load_split(str(path)), source(mnist))
    assert levels(images.fit.images)[:4] == [0, 0, 20, 20]
    assert levels(images.test.images)[:3] == [1, 21, 41]
    assert len(list((mnist / "data/decoded").glob("MNIST-*.map"))) == 2


def test_dataset_of_torchvision_without_parts_is_divided_and_takes_arguments(tmp_path: Path):
    path = split_of("torchvision:FakeData[size=16,test=0.2,num_classes=2]", tmp_path)
    images = load_images(load_split(str(path)), source(tmp_path))
    assert len(images.test.labels) == 200
    assert images.fit.images.shape == (6, 16, 16, 3)


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("torchvision:SVNH[size=32]", UsageError, "unknown dataset of torchvision 'SVNH'; did you"),
        ("torchvision:SVHN[size=32]", MissingData, "run `dcbench data fetch torchvision:SVHN`"),
        ("torchvision:MNIST[size=32,shape=3]", UsageError, "setting 'shape': there are size, test"),
        ("torchvision:EMNIST[size=28]", UsageError, "'split'"),
        ("torchvision:VOCDetection[size=32]", DataError, "VOCDetection"),
    ],
)
def test_dataset_of_torchvision_that_cannot_be_had(tmp_path: Path, name: str, error, message: str):
    with pytest.raises(error, match=message):
        split_of(name, tmp_path)


def test_only_what_lies_elsewhere_is_fetched(photos: Path, tmp_path: Path):
    result = CliRunner().invoke(app, ["data", "fetch", str(photos), "--data", str(tmp_path)])
    assert result.exit_code == 2
    assert "lies there already; there is nothing to fetch" in " ".join(result.stderr.split())


# --- packages ------------------------------------------------------------------------------------


def of_a_package(part: str) -> Piece:
    labels = np.arange(12) % 3
    return Piece(np.full((12, 10, 10, 3), 9, np.uint8), labels.astype(np.int64))


STAMPS = Dataset(
    name="stamps",
    title="Stamps",
    num_classes=3,
    parts={"train": (), "test": ()},
    downloads=(),
    source="a package",
    licence="CC0",
    embedded=of_a_package,
    image_size=(10, 10),
)
NOT_A_DATASET = 3


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [
        EntryPoint(name, f"{__name__}:{value}", "dcbench.datasets")
        for name, value in {"stamps": "STAMPS", "odd": "NOT_A_DATASET", "other": "STAMPS"}.items()
    ]
    monkeypatch.setattr(catalogue, "_installed", {})
    monkeypatch.setattr(catalogue, "entry_points", lambda group: found)


@pytest.mark.usefixtures("installed")
def test_dataset_of_a_package_is_split_as_any_other(tmp_path: Path, caplog):
    split = load_split(str(split_of("stamps", tmp_path)))
    assert (split.config.licence, split.num_classes) == ("CC0", 3)
    assert split.hashes.test_sha256 is not None
    assert len(load_images(split, source(tmp_path)).test.labels) == 12
    assert "dataset 'odd' cannot be loaded: TypeError" in caplog.text
    assert "dataset 'other' cannot be loaded: its name is 'stamps'" in caplog.text
    assert "stamps" in catalogue.dataset_names()


# --- at the command line -------------------------------------------------------------------------


def test_folder_becomes_a_split_a_run_and_a_comparison(photos: Path, tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def invoked(*arguments: str) -> str:
        result = CliRunner().invoke(app, [*arguments])
        assert result.exit_code == 0, result.output
        return result.stdout

    invoked("splits", "new", "few", "--dataset", "./photos", "--per-class", "3", "-o", "splits")
    quick = ("--split", "splits/few.yaml", "--set", "epochs=2", "--set", "batch_size=4")
    where = ("--results", "results", "--data", "data")
    for method in ("erm", "mixup"):
        invoked("run", "--method", method, *quick, *where, "--seeds", "0-1")
    [record] = [
        json.loads(line)
        for line in invoked("run", "--method", "erm", *quick, *where, "--json").splitlines()
    ]
    assert record["normalization"]["mean"][0] == pytest.approx(
        (0 + 10 + 20 + 100 + 110 + 120) / 6 / 255
    )
    assert "few" in invoked(
        "compare", "results", "--against", "erm[batch_size=4,epochs=2]", "--json"
    )
    assert "bee" in invoked("splits", "show", "splits/few.yaml")


def test_bundle_holds_no_images_of_ones_own(photos: Path, tmp_path: Path, monkeypatch):
    path = split_of(str(photos), tmp_path)
    monkeypatch.setenv("DCBENCH_SPLITS", str(path.parent))
    result = CliRunner().invoke(app, ["data", "bundle", "mine", "-o", str(tmp_path / "x.zip")])
    assert result.exit_code == 2
    assert "bundles hold no datasets of one's own" in " ".join(result.stderr.split())


def test_ood_set_is_a_name_and_lists_are_not_shared(photos: Path, tmp_path: Path):
    with pytest.raises(UsageError, match=r"ood.*is no name"):
        split_of(str(photos), tmp_path, ood=("gaussian", "./photos"))
    with pytest.raises(UsageError, match="has lists of its own"):
        split_of(str(photos), tmp_path, subsets_of="digits")
