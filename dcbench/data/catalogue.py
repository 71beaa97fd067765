"""The catalogue: which official files make up each dataset, where they lie and come from."""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

from dcbench.config.plugins import load_each
from dcbench.data import formats
from dcbench.data.catalogue_ood import FASHION_MNIST, KMNIST, PLACES365, TEXTURES, TIN, USPS
from dcbench.data.own import is_own, own_dataset
from dcbench.data.published import DataFile, Dataset, Download
from dcbench.errors import UsageError, unknown

_CIFAR10_TRAIN = {
    "data_batch_1": "c99cafc152244af753f735de768cd75f",
    "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
    "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
    "data_batch_4": "634d18415352ddfa80567beed471001a",
    "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
}
_CIFAR100_TRAIN_MD5 = "16019d7e3df5f24257cddd939b257f8d"
_CIFAR_PAGE = "https://www.cs.toronto.edu/~kriz/cifar.html"
_CIFAR_LICENCE = "none stated; the authors ask to cite Krizhevsky (2009)"
_CIFAIR_PAGE = "https://cvjena.github.io/cifair/"
_CIFAIR_FILES = "https://github.com/cvjena/cifair/releases/download/v1.0/"
_CIFAIR_LICENCE = "none stated; the authors ask to cite Barz and Denzler (2020)"
_MNIST_FILES = "https://ossci-datasets.s3.amazonaws.com/mnist/"
_SVHN_PAGE = "http://ufldl.stanford.edu/housenumbers/"


def _cifar10_train(folder: str, other: str = "") -> tuple[DataFile, ...]:
    return tuple(
        DataFile(f"{folder}/{name}", md5, 10_000, formats.read_cifar10, other and f"{other}/{name}")
        for name, md5 in _CIFAR10_TRAIN.items()
    )


def _cifar100(path: str, md5: str, count: int, other_path: str = "") -> DataFile:
    return DataFile(path, md5, count, formats.read_cifar100, other_path)


CIFAR10 = Dataset(
    name="cifar10",
    title="CIFAR-10",
    num_classes=10,
    parts={
        "train": _cifar10_train("cifar-10-batches-py"),
        "test": (
            DataFile(
                "cifar-10-batches-py/test_batch",
                "40351d587109b95175f43aff81a1287e",
                10_000,
                formats.read_cifar10,
            ),
        ),
    },
    downloads=(
        Download(
            "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",
            "c58f30108f718f92721af3b95e74349a",
        ),
    ),
    source=_CIFAR_PAGE,
    licence=_CIFAR_LICENCE,
)
CIFAR100 = Dataset(
    name="cifar100",
    title="CIFAR-100",
    num_classes=100,
    parts={
        "train": (_cifar100("cifar-100-python/train", _CIFAR100_TRAIN_MD5, 50_000),),
        "test": (_cifar100("cifar-100-python/test", "f0ef6b0ae62326f3e7ffdfab6717acfc", 10_000),),
    },
    downloads=(
        Download(
            "https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz",
            "eb9058c3a382ffc7106e4002c42a8d85",
        ),
    ),
    source=_CIFAR_PAGE,
    licence=_CIFAR_LICENCE,
)
# The training images of ciFAIR are those of CIFAR, byte for byte, so CIFAR's files serve as well.
CIFAIR10 = Dataset(
    name="cifair10",
    title="ciFAIR-10",
    num_classes=10,
    parts={
        "train": _cifar10_train("ciFAIR-10", other="cifar-10-batches-py"),
        "test": (
            DataFile(
                "ciFAIR-10/test_batch",
                "01290e6b622a1977a000eff13650aca2",
                10_000,
                formats.read_cifar10,
            ),
        ),
    },
    downloads=(Download(f"{_CIFAIR_FILES}ciFAIR-10.zip", "ca08fd390f0839693d3fc45c4e49585f"),),
    source=_CIFAIR_PAGE,
    licence=_CIFAIR_LICENCE,
)
CIFAIR100 = Dataset(
    name="cifair100",
    title="ciFAIR-100",
    num_classes=100,
    parts={
        "train": (
            _cifar100("ciFAIR-100/train", _CIFAR100_TRAIN_MD5, 50_000, "cifar-100-python/train"),
        ),
        "test": (_cifar100("ciFAIR-100/test", "8130dae8d6fc6a436437f0ebdb801df1", 10_000),),
    },
    downloads=(Download(f"{_CIFAIR_FILES}ciFAIR-100.zip", "ddc236ab4b12eeb8b20b952614861a33"),),
    source=_CIFAIR_PAGE,
    licence=_CIFAIR_LICENCE,
)
MNIST = Dataset(
    name="mnist",
    title="MNIST",
    num_classes=10,
    parts={
        "test": (
            DataFile(
                "MNIST/raw/t10k-images-idx3-ubyte.gz",
                "9fb629c4189551a2d022fa330f9573f3",
                10_000,
                formats.read_mnist_images,
            ),
            DataFile(
                "MNIST/raw/t10k-labels-idx1-ubyte.gz",
                "ec29112dd5afa0611ce80d1b7f02629c",
                10_000,
                formats.read_mnist_labels,
            ),
        ),
    },
    downloads=(
        Download(
            f"{_MNIST_FILES}t10k-images-idx3-ubyte.gz",
            "9fb629c4189551a2d022fa330f9573f3",
            "MNIST/raw",
        ),
        Download(
            f"{_MNIST_FILES}t10k-labels-idx1-ubyte.gz",
            "ec29112dd5afa0611ce80d1b7f02629c",
            "MNIST/raw",
        ),
    ),
    source="http://yann.lecun.com/exdb/mnist/",
    licence="CC BY-SA 3.0",
)
SVHN = Dataset(
    name="svhn",
    title="SVHN",
    num_classes=10,
    parts={
        "test": (
            DataFile(
                "SVHN/test_32x32.mat",
                "eb5a983be6a315427106f1b164d9cef3",
                26_032,
                formats.read_svhn,
                official_only=True,
            ),
        ),
    },
    downloads=(
        Download(f"{_SVHN_PAGE}test_32x32.mat", "eb5a983be6a315427106f1b164d9cef3", "SVHN"),
    ),
    source=_SVHN_PAGE,
    licence="for non-commercial use only",
)
DIGITS = Dataset(
    name="digits",
    title="digits",
    num_classes=10,
    parts={"train": (), "test": ()},
    downloads=(),
    source="https://scikit-learn.org/stable/modules/generated/sklearn.datasets.load_digits.html",
    licence="CC BY 4.0 (UCI, Optical Recognition of Handwritten Digits)",
    embedded=formats.read_digits,
    image_size=(8, 8),
)
DATASETS = {
    dataset.name: dataset
    for dataset in (
        *(CIFAR10, CIFAR100, CIFAIR10, CIFAIR100, MNIST, SVHN, DIGITS),
        *(TIN, TEXTURES, PLACES365, FASHION_MNIST, KMNIST, USPS),
    )
}


_KIND = "dataset"
_installed: dict[str, Dataset] = {}
"""What packages bring by the entry-point group `dcbench.datasets`, once it was asked for."""


def get_dataset(name: str) -> Dataset:
    """Return the dataset of that name: of the catalogue, of a package, or one's own.

    Raises
    ------
    UsageError
        If there is none; the message has the nearest names.
    """
    if is_own(name):
        return own_dataset(name)
    if name not in DATASETS and name not in _installed:
        _load_entry_points()
    found = DATASETS.get(name) or _installed.get(name)
    if found is None:
        folder = f"; for a folder of that name write ./{name}" if Path(name).is_dir() else ""
        raise UsageError(f"{unknown(_KIND, name, {**DATASETS, **_installed})}{folder}")
    return found


def dataset_names() -> list[str]:
    """The names of the catalogue, then of those that packages bring."""
    _load_entry_points()
    return [*DATASETS, *sorted(_installed)]


def is_pinned(name: str) -> bool:
    """Whether a name stands for the same images everywhere, as those of the catalogue do."""
    return name in DATASETS


def _load_entry_points() -> None:
    found = entry_points(group="dcbench.datasets")
    new = (each for each in found if each.name not in DATASETS and each.name not in _installed)
    load_each(new, _KIND, lambda each: isinstance(each, Dataset), "Dataset", _take)


def _take(entry_point: EntryPoint, found: Dataset) -> None:
    if found.name != entry_point.name:
        raise UsageError(
            f"dataset '{entry_point.name}' cannot be loaded: its name is '{found.name}'"
        )
    _installed[found.name] = found
