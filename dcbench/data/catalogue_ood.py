"""The catalogue's datasets that serve out-of-distribution detection alone."""

from __future__ import annotations

from dcbench.config.reading import GIB, MIB
from dcbench.data import archives, formats
from dcbench.data.formats import Reader
from dcbench.data.published import DataFile, Dataset, Download

_TIN_MD5 = "90528d7ca1a48142e341f4ef8d21d0de"
_DTD_PAGE = "https://www.robots.ox.ac.uk/~vgg/data/dtd/"
_DTD_MD5 = "fff73e5086ae6bdbea199a49dfb8a4c1"
_PLACES_FILES = "http://data.csail.mit.edu/places/places365/"
_PLACES_MD5 = "e27b17d8d44f4af9a78502beb927f808"
_FASHION_FILES = "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/"
_KMNIST_FILES = "http://codh.rois.ac.jp/kmnist/dataset/kmnist/"
_USPS_PAGE = "https://www.csie.ntu.edu.tw/~cjlin/libsvmtools/datasets/multiclass/"
_USPS_MD5 = "8ea070ee2aca1ac39742fdd1ef5ed118"

TIN = Dataset(
    name="tin",
    title="Tiny ImageNet",
    num_classes=200,
    parts={
        "test": (
            DataFile(
                "tiny-imagenet-200.zip",
                _TIN_MD5,
                10_000,
                archives.read_tin,
                other_path="tiny-imagenet-200-val.zip",
                content_sha256="c042d7ada59c8a2b69dda8460a46b695d546b50bc90e6affb73c4f18d8ff27fb",
                most_bytes=512 * MIB,
            ),
        ),
    },
    downloads=(
        Download("http://cs231n.stanford.edu/tiny-imagenet-200.zip", _TIN_MD5, unpack=False),
    ),
    source="http://cs231n.stanford.edu/tiny-imagenet-200.zip",
    licence="ImageNet's terms: for non-commercial research and education only",
)
TEXTURES = Dataset(
    name="textures",
    title="Describable Textures",
    num_classes=47,
    parts={
        "test": (
            DataFile(
                "dtd-r1.0.1.tar.gz",
                _DTD_MD5,
                5_640,
                archives.read_textures,
                most_bytes=GIB,
            ),
        ),
    },
    downloads=(Download(f"{_DTD_PAGE}download/dtd-r1.0.1.tar.gz", _DTD_MD5, unpack=False),),
    source=_DTD_PAGE,
    licence="for research purposes only",
)
PLACES365 = Dataset(
    name="places365",
    title="Places365",
    num_classes=365,
    parts={
        "test": (
            DataFile(
                "places365/val_256.tar",
                _PLACES_MD5,
                36_500,
                archives.read_places365,
                most_bytes=GIB,
            ),
        ),
    },
    downloads=(Download(f"{_PLACES_FILES}val_256.tar", _PLACES_MD5, "places365", unpack=False),),
    source="http://places2.csail.mit.edu/",
    licence="for research and education only; the photographs are their owners'",
)


def _like_mnist(
    name: str,
    title: str,
    folder: str,
    address: str,
    sums: dict[str, tuple[str, str]],
    source: str,
    licence: str,
) -> Dataset:
    """A dataset of 10,000 gray test images in MNIST's format.

    `sums` are the MD5 sum and the SHA-256 of the content, of images and labels.
    """
    files: dict[str, Reader] = {
        "t10k-images-idx3-ubyte.gz": formats.read_mnist_images,
        "t10k-labels-idx1-ubyte.gz": formats.read_mnist_labels,
    }
    return Dataset(
        name=name,
        title=title,
        num_classes=10,
        parts={
            "test": tuple(
                DataFile(
                    f"{folder}/{file}", sums[file][0], 10_000, read, content_sha256=sums[file][1]
                )
                for file, read in files.items()
            )
        },
        downloads=tuple(Download(f"{address}{file}", sums[file][0], folder) for file in files),
        source=source,
        licence=licence,
    )


FASHION_MNIST = _like_mnist(
    "fashion-mnist",
    "Fashion-MNIST",
    "FashionMNIST/raw",
    _FASHION_FILES,
    {
        "t10k-images-idx3-ubyte.gz": (
            "bef4ecab320f06d8554ea6380940ec79",
            "f8d50c372b3e2ce3dfc8924d6d23d84464789c7f70ebb34bd0b86b4ddb6ba90c",
        ),
        "t10k-labels-idx1-ubyte.gz": (
            "bb300cfdad3c16e7a12a480ee83cd310",
            "d51d859896c55775b9e9e219b77ff03bcec1b6ac322f313544dc3f9e7bc94fae",
        ),
    },
    "https://github.com/zalandoresearch/fashion-mnist",
    "MIT",
)
KMNIST = _like_mnist(
    "kmnist",
    "Kuzushiji-MNIST",
    "KMNIST/raw",
    _KMNIST_FILES,
    {
        "t10k-images-idx3-ubyte.gz": (
            "5c965bf0a639b31b8f53240b1b52f4d7",
            "4a854931435875c9b4d22dc1e5ab5390f318d620aa6b2f952c31a195ece8ed3c",
        ),
        "t10k-labels-idx1-ubyte.gz": (
            "7320c461ea6c1c855c0b718fb2a4b134",
            "abcffed0a805f339618f508496981b403291f5892b2b296266954ba989e1e3ba",
        ),
    },
    "http://codh.rois.ac.jp/kmnist/",
    "CC BY-SA 4.0",
)
USPS = Dataset(
    name="usps",
    title="USPS",
    num_classes=10,
    parts={"test": (DataFile("usps/usps.t.bz2", _USPS_MD5, 2_007, archives.read_usps),)},
    downloads=(Download(f"{_USPS_PAGE}usps.t.bz2", _USPS_MD5, "usps"),),
    source=f"{_USPS_PAGE[:-11]}multiclass.html#usps",
    licence="none stated; the authors ask to cite Hull (1994)",
)
