"""Archives of photographs and digits of other sizes, on small files of the official forms."""

from __future__ import annotations

import bz2
import hashlib
import io
import os
import tarfile
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from PIL import Image

from dcbench.data import archives
from dcbench.data.archives import read_places365, read_textures, read_tin, read_usps
from dcbench.data.catalogue import DATASETS
from dcbench.data.formats import FormatError
from dcbench.data.source import Folder
from dcbench.errors import DataError
from tests.data.fakes import expect, mnist_images, mnist_labels


def jpeg(width: int, height: int, seed: int = 0, mode: str = "RGB") -> bytes:
    drawn = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(drawn).convert(mode).save(file, "JPEG", quality=95)
    return file.getvalue()


def as_openood(photo: bytes) -> np.ndarray:
    """Resize the shorter side to 32 by Pillow's bilinear filter, and crop the middle."""
    picture = Image.open(io.BytesIO(photo)).convert("RGB")
    factor = 32 / min(picture.size)
    size = tuple(int(side * factor) for side in picture.size)
    picture = picture.resize(size, Image.Resampling.BILINEAR)
    left, top = round((size[0] - 32) / 2), round((size[1] - 32) / 2)
    return np.asarray(picture)[top : top + 32, left : left + 32]


def tin_zip(photos: dict[str, bytes], classes: dict[str, str]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("tiny-imagenet-200/wnids.txt", "n03\nn01\nn02\n")
        lines = [f"{name}\t{classes[name]}\t0\t0\t63\t63\n" for name in photos]
        archive.writestr("tiny-imagenet-200/val/val_annotations.txt", "".join(lines))
        for name, photo in photos.items():
            archive.writestr(f"tiny-imagenet-200/val/images/{name}", photo)
    return file.getvalue()


def test_tiny_imagenet_comes_in_the_order_of_its_numbers():
    names = ["val_0.JPEG", "val_10.JPEG", "val_2.JPEG"]
    photos = {
        name: jpeg(64, 64, seed, "L" if seed == 1 else "RGB") for seed, name in enumerate(names)
    }
    piece = read_tin(tin_zip(photos, dict(zip(names, ["n01", "n02", "n03"], strict=True))))
    assert piece.images is not None
    assert piece.labels is not None
    assert piece.labels.tolist() == [1, 0, 2]
    for image, name in zip(piece.images, ["val_0.JPEG", "val_2.JPEG", "val_10.JPEG"], strict=True):
        assert np.array_equal(image, as_openood(photos[name]))


def photo_tar(photos: dict[str, bytes], mode: Literal["w:gz", "w"] = "w:gz") -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode=mode) as archive:
        for name, content in photos.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return file.getvalue()


def test_textures_are_the_middle_squares_of_photographs_of_any_shape():
    photos = {
        "dtd/images/dotted/dotted_0002.jpg": jpeg(90, 40, 1),
        "dtd/images/banded/banded_0001.jpg": jpeg(51, 77, 2),
        "dtd/images/dotted/dotted_0001.jpg": jpeg(32, 32, 3),
    }
    others = {"dtd/labels/test1.txt": b"words", "dtd/images/banded/._x": b"words"}
    piece = read_textures(photo_tar({**photos, **others}))
    assert piece.images is not None
    assert piece.labels is not None
    assert piece.labels.tolist() == [0, 1, 1]
    for image, name in zip(piece.images, sorted(photos), strict=True):
        assert np.array_equal(image, as_openood(photos[name]))


def test_places_come_in_the_order_of_their_numbers():
    photos = {
        f"val_256/Places365_val_{number:08}.jpg": jpeg(*size, seed=number)
        for number, size in ((3, (256, 256)), (1, (256, 256)), (2, (300, 256)))
    }
    piece = read_places365(photo_tar({"val_256": b"", **photos, "val_256/._x.jpg": b"x"}, "w"))
    assert piece.images is not None
    assert piece.labels is not None
    assert piece.labels.tolist() == [0, 0, 0]
    for image, name in zip(piece.images, sorted(photos), strict=True):
        assert np.array_equal(image, as_openood(photos[name]))


def test_usps_is_scaled_as_torchvision_does_it():
    levels = np.linspace(-1, 1, 256).reshape(16, 16)
    line = "10 " + " ".join(f"{place}:{value:.6f}" for place, value in enumerate(levels.flat, 1))
    piece = read_usps(bz2.compress(f"{line}\n".encode()))
    assert piece.images is not None
    assert piece.labels is not None
    gray = ((levels.astype(np.float32) + 1) / 2 * 255).astype(np.uint8)
    enlarged = Image.fromarray(gray).convert("RGB").resize((32, 32), Image.Resampling.BILINEAR)
    assert np.abs(piece.images[0].astype(int) - np.asarray(enlarged)).max() <= 1
    assert piece.labels.tolist() == [9]


GOOD = tin_zip({"val_0.JPEG": jpeg(64, 64)}, {"val_0.JPEG": "n01"})


@pytest.mark.parametrize(
    ("read", "content"),
    [
        (read_tin, b""),
        (read_tin, GOOD[:-30]),
        (read_tin, tin_zip({"val_0.JPEG": b"no picture"}, {"val_0.JPEG": "n01"})),
        (read_tin, tin_zip({"val_0.JPEG": jpeg(64, 64)}, {"val_0.JPEG": "n99"})),
        (read_textures, b"words"),
        (read_textures, photo_tar({"dtd/labels/x.txt": b"words"})),
        (read_textures, photo_tar({"dtd/images/a/b.jpg": b"words"})),
        (read_places365, b"words"),
        (read_places365, photo_tar({}, "w")),
        (read_places365, photo_tar({"val_256/Places365_val_00000002.jpg": jpeg(9, 9)}, "w")),
        (read_places365, photo_tar({"val_256/Places365_val_00000001.jpg": b"no photo"}, "w")),
        (read_usps, b"words"),
        (read_usps, bz2.compress(b"1 1:0.5 2:x\n")),
    ],
)
def test_damaged_archive_is_an_error_of_its_format(read, content):
    with pytest.raises(FormatError):
        read(content)


def test_member_that_would_fill_the_memory_is_not_unpacked(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(archives, "_MOST_BYTES", 100)
    with pytest.raises(FormatError, match="is larger than 100 bytes"):
        read_tin(GOOD)
    monkeypatch.undo()
    monkeypatch.setattr(archives, "_MOST_PIXELS", 1000)
    with pytest.raises(FormatError, match="a picture of 64 x 64 pixels"):
        read_tin(GOOD)


def test_file_with_the_same_content_is_official_however_it_is_packed(tmp_path, monkeypatch):
    images = np.arange(2 * 28 * 28, dtype=np.uint8).reshape(2, 28, 28)
    packed = mnist_images(images)
    folder = tmp_path / "FashionMNIST/raw"
    folder.mkdir(parents=True)
    names = [Path(file.path).name for file in DATASETS["fashion-mnist"].parts["test"]]
    small = expect(
        monkeypatch,
        "fashion-mnist",
        {
            f"FashionMNIST/raw/{names[0]}": (packed, 2),
            f"FashionMNIST/raw/{names[1]}": (mnist_labels([1, 2]), 2),
        },
    )
    of_images = small.parts["test"][0]
    read = of_images.read(packed).images
    assert read is not None
    right = hashlib.sha256(read.tobytes()).hexdigest()
    other = packed[:4] + b"\x01\x02\x03\x04" + packed[8:]  # another time in the header
    (folder / names[0]).write_bytes(other)
    (folder / names[1]).write_bytes(mnist_labels([1, 2]))

    def state(sha256: str) -> str:
        parts = {"test": (replace(of_images, content_sha256=sha256), small.parts["test"][1])}
        monkeypatch.setitem(DATASETS, "fashion-mnist", replace(small, parts=parts))
        return Folder(tmp_path).inventory(["fashion-mnist"], hashing=True)[0].state

    assert state(right) == "official"
    assert state("") == "unverified"
    assert state("0" * 64) == "unverified"


@pytest.mark.data
def test_tiny_imagenet_is_read_to_the_recorded_bytes():
    path = Path(os.environ.get("DCBENCH_DATA", ""), "tiny-imagenet-200-val.zip")
    if not path.is_file():
        pytest.skip("Tiny ImageNet is not under DCBENCH_DATA")
    piece = read_tin(path.read_bytes())
    [file] = DATASETS["tin"].parts["test"]
    assert piece.images is not None
    assert hashlib.sha256(piece.images.tobytes()).hexdigest() == file.content_sha256


def test_wrong_number_of_images_is_damage(tmp_path: Path):
    (tmp_path / "tiny-imagenet-200.zip").write_bytes(GOOD)
    with pytest.raises(DataError, match="1 images instead of 10,000"):
        Folder(tmp_path).part("tin", "test")
