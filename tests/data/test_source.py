from __future__ import annotations

import hashlib
import pickle
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from dcbench.config.paths import data_root
from dcbench.data.catalogue import DATASETS, get_dataset
from dcbench.data.parts import MissingData, UnverifiedData
from dcbench.data.source import Folder
from dcbench.data.splits import split_config
from dcbench.errors import DataError, UsageError
from tests.data import fakes

TEST_BATCH = "cifar-10-batches-py/test_batch"


@pytest.fixture
def cifar10(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A data folder with a small CIFAR-10: two training batches of 3 and 2 images, 4 to test."""
    fakes.place(
        monkeypatch,
        tmp_path,
        "cifar10",
        {
            "cifar-10-batches-py/data_batch_1": (
                fakes.python2_batch(fakes.cifar_rows(3, seed=1), [0, 1, 2]),
                3,
            ),
            "cifar-10-batches-py/data_batch_2": (
                fakes.python2_batch(fakes.cifar_rows(2, seed=2), [3, 9]),
                2,
            ),
            TEST_BATCH: (fakes.python2_batch(fakes.cifar_rows(4, seed=3), [5, 6, 7, 8]), 4),
        },
    )
    return tmp_path


def test_batches_are_joined_in_official_order(cifar10: Path):
    train = Folder(cifar10).part("cifar10", "train")
    rows = np.vstack([fakes.cifar_rows(3, seed=1), fakes.cifar_rows(2, seed=2)])
    assert train.name == "cifar10/train"
    assert train.official
    assert train.labels.tolist() == [0, 1, 2, 3, 9]
    assert (train.images[:, 0, 0, 1] == rows[:, 1024]).all()
    assert train.images.dtype == np.uint8
    assert train.images.flags.c_contiguous


def test_image_hash_is_that_of_the_bytes_in_order(cifar10: Path):
    test = Folder(cifar10).part("cifar10", "test")
    pixels = fakes.cifar_rows(4, seed=3).reshape(4, 3, 32, 32).transpose(0, 2, 3, 1)
    assert test.take().sha256() == hashlib.sha256(pixels.tobytes()).hexdigest()


def test_missing_file_is_named_with_its_hash_and_where_to_get_it(cifar10: Path):
    (cifar10 / TEST_BATCH).unlink()
    with pytest.raises(MissingData) as caught:
        Folder(cifar10).part("cifar10", "test")
    message = str(caught.value)
    assert caught.value.exit_code == 3
    assert str(cifar10 / TEST_BATCH) in message
    assert get_dataset("cifar10").parts["test"][0].md5 in message
    assert "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz" in message
    assert "dcbench data fetch cifar10" in message
    assert "\n" not in message


def _rows(count: int) -> np.ndarray:
    return fakes.cifar_rows(count)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (fakes.python2_batch(_rows(4), [1] * 4)[:-500], "not a readable pickle"),
        (b"", "not a readable pickle"),
        (b"<html>404</html>", "not a readable pickle"),
        (fakes.python2_batch(_rows(3), [1] * 3), "3 images instead of 4"),
        (fakes.python2_batch(_rows(4), [1] * 3), "3 labels instead of 4"),
        (fakes.python2_batch(_rows(4), [1, 2, 3, 10]), "labels from 1 to 10 instead of 0 to 9"),
        (fakes.python2_batch(_rows(4)[:, :3000], [1] * 4), "instead of uint8 [N, 3072]"),
        (fakes.python3_batch(_rows(4) / 255.0, [1] * 4), "float64"),
        (fakes.python2_batch(_rows(4), [1] * 4, key="fine_labels"), "no 'labels'"),
        (pickle.dumps(Path("x")), "asks for"),
    ],
)
@pytest.mark.parametrize("allow_unverified", [False, True])
def test_damaged_file_is_refused_by_name_whatever_is_allowed(
    cifar10: Path, content: bytes, problem: str, allow_unverified: bool
):
    (cifar10 / TEST_BATCH).write_bytes(content)
    with pytest.raises(DataError) as caught:
        Folder(cifar10, allow_unverified=allow_unverified).part("cifar10", "test")
    message = str(caught.value)
    assert type(caught.value) is DataError
    assert caught.value.exit_code == 3
    assert "damaged" in message
    assert str(cifar10 / TEST_BATCH) in message
    assert get_dataset("cifar10").parts["test"][0].md5 in message
    assert fakes.md5(content) in message
    assert problem in message


def test_file_with_the_official_hash_is_checked_all_the_same(monkeypatch, tmp_path: Path):
    content = fakes.python2_batch(fakes.cifar_rows(2), [0, 11])
    fakes.place(monkeypatch, tmp_path, "cifar10", {TEST_BATCH: (content, 2)})
    with pytest.raises(DataError, match="labels from 0 to 11"):
        Folder(tmp_path).part("cifar10", "test")


def test_whole_but_unofficial_file_is_taken_only_when_allowed(cifar10: Path):
    content = fakes.python3_batch(fakes.cifar_rows(4, seed=3), [5, 6, 7, 0])
    (cifar10 / TEST_BATCH).write_bytes(content)
    with pytest.raises(UnverifiedData, match="--allow-unverified-data") as caught:
        Folder(cifar10).part("cifar10", "test")
    assert str(cifar10 / TEST_BATCH) in str(caught.value)
    assert fakes.md5(content) in str(caught.value)
    test = Folder(cifar10, allow_unverified=True).part("cifar10", "test")
    assert not test.official
    assert test.labels.tolist() == [5, 6, 7, 0]
    assert Folder(cifar10, allow_unverified=True).part("cifar10", "train").official


def test_one_unofficial_file_of_several_makes_the_set_unofficial(cifar10: Path):
    batch = fakes.python2_batch(fakes.cifar_rows(2), [4, 4])
    (cifar10 / "cifar-10-batches-py/data_batch_2").write_bytes(batch)
    assert not Folder(cifar10, allow_unverified=True).part("cifar10", "train").official


def test_damage_is_told_before_absence(cifar10: Path):
    (cifar10 / "cifar-10-batches-py/data_batch_1").write_bytes(b"?")
    (cifar10 / "cifar-10-batches-py/data_batch_2").unlink()
    with pytest.raises(DataError, match="damaged") as caught:
        Folder(cifar10).part("cifar10", "train")
    assert not isinstance(caught.value, MissingData)


@pytest.mark.parametrize("folder", ["ciFAIR-100", "cifar-100-python"])
def test_cifair_trains_on_the_cifar_file_from_either_folder(monkeypatch, tmp_path, folder):
    content = fakes.python2_batch(fakes.cifar_rows(2), [99, 0], "fine_labels")
    fakes.expect(monkeypatch, "cifair100", {"ciFAIR-100/train": (content, 2)})
    (tmp_path / folder).mkdir()
    (tmp_path / folder / "train").write_bytes(content)
    train = Folder(tmp_path).part("cifair100", "train")
    assert train.name == "cifair100/train"
    assert train.official
    assert train.labels.tolist() == [99, 0]


def test_cifair_prefers_its_own_folder(monkeypatch, tmp_path: Path):
    own = fakes.python2_batch(fakes.cifar_rows(1), [1], "fine_labels")
    fakes.place(monkeypatch, tmp_path, "cifair100", {"ciFAIR-100/train": (own, 1)})
    (tmp_path / "cifar-100-python").mkdir()
    (tmp_path / "cifar-100-python/train").write_bytes(b"another")
    assert Folder(tmp_path).part("cifair100", "train").labels.tolist() == [1]


def test_mnist_joins_its_images_with_its_labels(monkeypatch, tmp_path: Path):
    grey = np.zeros((2, 28, 28), dtype=np.uint8)
    grey[1, 13, 13] = 9
    files = {
        "MNIST/raw/t10k-images-idx3-ubyte.gz": (fakes.mnist_images(grey), 2),
        "MNIST/raw/t10k-labels-idx1-ubyte.gz": (fakes.mnist_labels([7, 2]), 2),
    }
    fakes.place(monkeypatch, tmp_path, "mnist", files)
    test = Folder(tmp_path).part("mnist", "test")
    assert test.images[1, 15, 15].tolist() == [9, 9, 9]
    assert test.labels.tolist() == [7, 2]
    labels = tmp_path / "MNIST/raw/t10k-labels-idx1-ubyte.gz"
    labels.write_bytes(fakes.mnist_labels([7]))
    with pytest.raises(DataError, match=f"{labels.name}.*1 labels instead of 2"):
        Folder(tmp_path).part("mnist", "test")


def test_svhn_bytes_that_are_not_official_never_reach_the_matlab_reader(monkeypatch, tmp_path):
    pixels = np.zeros((32, 32, 3, 3), dtype=np.uint8)
    content = fakes.svhn_file(pixels, [10, 2, 3])
    fakes.place(monkeypatch, tmp_path, "svhn", {"SVHN/test_32x32.mat": (content, 3)})
    assert Folder(tmp_path).part("svhn", "test").labels.tolist() == [0, 2, 3]
    (tmp_path / "SVHN/test_32x32.mat").write_bytes(fakes.svhn_file(pixels, [1, 2, 3]))
    monkeypatch.setattr("scipy.io.loadmat", lambda *_, **__: pytest.fail("it was read"))
    with pytest.raises(DataError, match=r"damaged: .*not the official file"):
        Folder(tmp_path, allow_unverified=True).part("svhn", "test")


def test_digits_need_no_data_folder(tmp_path: Path):
    train = Folder(tmp_path / "nowhere").part("digits", "train")
    test = Folder(tmp_path / "nowhere").part("digits", "test")
    assert train.official
    assert (len(train.images), len(test.images)) == (600, 1197)
    assert test.images.shape == (1197, 8, 8, 3)
    assert Folder(tmp_path).inventory(["digits"]) == []


def test_unknown_names_are_answered_with_near_ones(tmp_path: Path):
    with pytest.raises(UsageError, match="did you mean cifar10"):
        Folder(tmp_path).part("cifar-10", "train")
    with pytest.raises(UsageError, match="there are: test"):
        Folder(tmp_path).part("mnist", "x")
    with pytest.raises(UsageError, match="svhn"):
        Folder(tmp_path).inventory(["svnh"])


def test_data_folder_is_the_option_then_the_variable_then_the_cache(monkeypatch, tmp_path: Path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("DCBENCH_DATA", str(tmp_path / "variable"))
    assert data_root(tmp_path / "option") == tmp_path / "option"
    assert data_root(str(tmp_path / "option")) == tmp_path / "option"
    assert data_root(None) == tmp_path / "variable"
    monkeypatch.setenv("DCBENCH_DATA", "")
    assert data_root(None) == tmp_path / "cache/dcbench/data"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert data_root(None) == Path.home() / ".cache/dcbench/data"
    assert data_root("~/data") == Path.home() / "data"
    assert data_root("here").is_absolute()


def test_status_tells_every_state_apart(cifar10: Path):
    folder = cifar10 / "cifar-10-batches-py"
    (folder / "data_batch_2").unlink()
    (folder / "test_batch").write_bytes(b"?")
    states = [s.state for s in Folder(cifar10).inventory(["cifar10"], hashing=True)]
    assert states == ["official", "missing", "damaged"]
    content = fakes.python2_batch(fakes.cifar_rows(4), [1] * 4)
    (folder / "test_batch").write_bytes(content)
    last = Folder(cifar10).inventory(["cifar10"], hashing=True)[-1]
    assert (last.state, last.found_md5) == ("unverified", fakes.md5(content))
    assert (last.dataset, last.part, last.path) == ("cifar10", "test", folder / "test_batch")
    states = [s.state for s in Folder(cifar10).inventory(["cifar10"])]
    assert states == ["present", "missing", "present"]


def test_status_of_all_datasets_covers_every_file(tmp_path: Path):
    statuses = Folder(tmp_path).inventory()
    assert {s.dataset for s in statuses} == set(DATASETS) - {"digits"}
    assert all(s.state == "missing" and s.expected_md5 for s in statuses)
    assert len(statuses) == 6 + 2 + 6 + 2 + 2 + 1 + 1 + 1 + 1 + 2 + 2 + 1


def test_status_imports_no_heavy_library():
    code = (
        "import sys, pathlib; from dcbench.data.source import Folder;"
        "Folder(pathlib.Path('nowhere')).inventory();"
        "print([m for m in ('torch', 'torchvision', 'scipy', 'sklearn') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.data
def test_real_cifar10_is_official_balanced_and_as_torchvision_reads_it(real_data: Path):
    from torchvision.datasets import CIFAR10

    start = time.perf_counter()
    sets = {part: Folder(real_data).part("cifar10", part) for part in ("train", "test")}
    print(f"CIFAR-10 read and checked in {time.perf_counter() - start:.2f} s")  # noqa: T201
    for part, count in (("train", 5000), ("test", 1000)):
        theirs = CIFAR10(real_data, train=part == "train")
        assert sets[part].official
        assert np.bincount(sets[part].labels).tolist() == [count] * 10
        assert np.array_equal(sets[part].images, theirs.data)
        assert sets[part].labels.tolist() == theirs.targets
        assert tuple(theirs.classes) == split_config("cifar10-lt-10").class_names


@pytest.mark.data
def test_real_cifar100_is_balanced_and_official_as_its_hash_says(real_data: Path):
    for part, count in (("train", 500), ("test", 100)):
        status = Folder(real_data).inventory(["cifar100"], hashing=True)[part == "test"]
        loaded = Folder(real_data, allow_unverified=True).part("cifar100", part)
        assert np.bincount(loaded.labels).tolist() == [count] * 100
        assert loaded.official == (status.found_md5 == status.expected_md5)
    with (real_data / "cifar-100-python/meta").open("rb") as file:
        names = pickle.load(file, encoding="latin1")["fine_label_names"]
    assert tuple(names) == split_config("cifar100").class_names


@pytest.mark.data
def test_real_cifair_trains_on_the_very_images_of_cifar(real_data: Path):
    cifar, cifair = (Folder(real_data).part(name, "train") for name in ("cifar10", "cifair10"))
    assert cifar.take().sha256() == cifair.take().sha256()


def test_file_that_is_far_larger_than_its_images_is_not_read(tiny: Path):
    path = tiny / fakes.TEST_BATCH
    with path.open("ab") as file:
        file.truncate(10**9)
    (found,) = [
        each for each in Folder(tiny).inventory(["cifar10"], hashing=True) if each.path == path
    ]
    assert found.state == "damaged"
    assert found.problem == "is larger than the 16 MiB that such a file may have"
