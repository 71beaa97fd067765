"""Download a dataset's official files into the data folder; torchvision does the transfer."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path

from dcbench.data.catalogue import get_dataset
from dcbench.data.own import is_own, own_images
from dcbench.data.published import Dataset, Download
from dcbench.data.source import Folder, how_to_get
from dcbench.data.torchvision_sets import TorchvisionImages
from dcbench.errors import DataError, UsageError
from dcbench.records.store import locked

_TIMEOUT = 30.0  # seconds without an answer


def fetch(name: str, root: Path) -> None:
    """Download what a dataset lacks, and check it.

    Nothing is downloaded when every file has its official MD5 already, nor an archive that lies
    whole in the data folder: it is only unpacked. Files that are not official are replaced.

    Parameters
    ----------
    name : str
        A dataset of the catalogue or of a package, or `torchvision:` and the name of a class.
    root : Path
        The data folder; created where it does not exist.

    Raises
    ------
    UsageError
        If no dataset has that name.
    DataError
        If `root` is a bundle, or a file cannot be had; the message says where to put it by hand.
    """
    title = title_of(name)
    if root.is_file():
        raise DataError(
            f"{title} could not be fetched: {root} is a file; name a folder with --data"
        )
    if is_own(name):
        with locked(root), _timeout(_TIMEOUT):
            _of_torchvision(name).download(root)
        return
    dataset = get_dataset(name)
    if not _lacking(name, root):
        return
    with locked(root):
        _fetch(dataset, root)


def title_of(name: str) -> str:
    """What a dataset is called that can be fetched.

    Raises
    ------
    UsageError
        There is none of that name, or it lies in a place of one's own.
    """
    return _of_torchvision(name).title if is_own(name) else get_dataset(name).title


def _of_torchvision(name: str) -> TorchvisionImages:
    images = own_images(name)
    if not isinstance(images, TorchvisionImages):
        raise UsageError(f"dataset {images.place}: lies there already; there is nothing to fetch")
    return images


def _fetch(dataset: Dataset, root: Path) -> None:
    """Fetch a dataset while no other process does; that one may have done it meanwhile."""
    name = dataset.name
    if not _lacking(name, root):
        return
    reason = "what came is not official"
    try:
        with _timeout(_TIMEOUT):
            for download in dataset.downloads:
                _download(download, root / download.folder)
    except (OSError, HTTPException, RuntimeError) as error:  # torchvision: RuntimeError if corrupt
        reason = str(error) or type(error).__name__
    if lacking := _lacking(name, root):
        raise DataError(
            f"{dataset.title} could not be fetched ({' '.join(reason.split())}); "
            f"still needed: {', '.join(lacking)}; {how_to_get(dataset, root)}"
        )


def _lacking(name: str, root: Path) -> list[str]:
    """List the files without their official MD5, each as `path (MD5 …)`."""
    return [
        f"{status.path} (MD5 {status.expected_md5})"
        for status in Folder(root).inventory([name], hashing=True)
        if status.state != "official"
    ]


def _download(download: Download, folder: Path) -> None:
    """Put one file in place, whole or not at all; unpack it if it is an archive."""
    from torchvision.datasets.utils import check_integrity, download_url, extract_archive

    target = folder / download.filename
    if not check_integrity(target, download.md5):
        partial = target.with_name(f"{target.name}.part")
        download_url(download.url, folder, partial.name, download.md5)
        partial.replace(target)
    if download.is_archive:
        extract_archive(str(target), str(folder))


@contextmanager
def _timeout(seconds: float) -> Iterator[None]:
    """Give every new connection a time limit: torchvision sets none and would wait for ever."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)
