from __future__ import annotations

import functools
import http.server
import io
import json
import socket
import tarfile
import threading
import urllib.error
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from dcbench.cli import app
from dcbench.data import fetch as fetching
from dcbench.data.catalogue import DATASETS
from dcbench.data.fetch import fetch
from dcbench.data.published import Download
from dcbench.data.source import Folder
from dcbench.errors import DataError, UsageError
from tests.data import fakes


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, Path]]:
    """A web site on this machine: its address, and the folder that it shows."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.setenv("no_proxy", "*")
    handler = functools.partial(_Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/", folder
        server.shutdown()


CIFAIR = {
    "ciFAIR-100/train": (fakes.python2_batch(fakes.cifar_rows(3), [1, 2, 99], "fine_labels"), 3),
    "ciFAIR-100/test": (fakes.python3_batch(fakes.cifar_rows(2), [3, 4], "fine_labels"), 2),
}
CIFAR = {
    "cifar-100-python/train": CIFAIR["ciFAIR-100/train"],
    "cifar-100-python/test": (
        fakes.python2_batch(fakes.cifar_rows(2, seed=5), [5, 6], "fine_labels"),
        2,
    ),
}
MNIST = {
    "MNIST/raw/t10k-images-idx3-ubyte.gz": (fakes.mnist_images(np.ones((1, 28, 28), "u1")), 1),
    "MNIST/raw/t10k-labels-idx1-ubyte.gz": (fakes.mnist_labels([7]), 1),
}


def _zip(files: dict[str, fakes.Content]) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        for path, (content, _) in files.items():
            archive.writestr(path, content)
    return target.getvalue()


def _tar(files: dict[str, fakes.Content]) -> bytes:
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w:gz") as archive:
        for path, (content, _) in files.items():
            info = tarfile.TarInfo(path)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return target.getvalue()


def _publish(monkeypatch, name: str, files, downloads: list[Download]) -> None:
    entry = fakes.expect(monkeypatch, name, files)
    monkeypatch.setitem(DATASETS, name, replace(entry, downloads=tuple(downloads)))


def _publish_cifair(monkeypatch, address: str, served: Path | None) -> Download:
    archive = _zip(CIFAIR)
    download = Download(f"{address}ciFAIR-100.zip", fakes.md5(archive))
    _publish(monkeypatch, "cifair100", CIFAIR, [download])
    if served:
        (served / download.filename).write_bytes(archive)
    return download


@pytest.mark.parametrize("name", ["cifair100", "cifar100"])
def test_fetched_archive_is_unpacked_to_where_it_is_read(monkeypatch, tmp_path, site, name, capsys):
    address, served = site
    files, pack, filename = {
        "cifair100": (CIFAIR, _zip, "ciFAIR-100.zip"),
        "cifar100": (CIFAR, _tar, "cifar-100-python.tar.gz"),
    }[name]
    archive = pack(files)
    (served / filename).write_bytes(archive)
    _publish(monkeypatch, name, files, [Download(address + filename, fakes.md5(archive))])
    root = tmp_path / "new" / "data"
    fetch(name, root)
    assert Folder(root).part(name, "train").labels.tolist() == [1, 2, 99]
    assert Folder(root).part(name, "test").official
    assert capsys.readouterr().out == ""


def test_fetched_single_files_lie_where_they_are_read(monkeypatch, tmp_path, site):
    address, served = site
    downloads = []
    for path, (content, _) in MNIST.items():
        (served / Path(path).name).write_bytes(content)
        downloads.append(Download(address + Path(path).name, fakes.md5(content), "MNIST/raw"))
    _publish(monkeypatch, "mnist", MNIST, downloads)
    fetch("mnist", tmp_path / "data")
    assert Folder(tmp_path / "data").part("mnist", "test").labels.tolist() == [7]
    assert {path.name for path in (tmp_path / "data/MNIST/raw").iterdir()} == {
        Path(path).name for path in MNIST
    }


def test_fetch_replaces_a_damaged_file(monkeypatch, tmp_path, site):
    _publish_cifair(monkeypatch, *site)
    (tmp_path / "ciFAIR-100").mkdir()
    (tmp_path / "ciFAIR-100/test").write_bytes(b"cut off")
    fetch("cifair100", tmp_path)
    assert Folder(tmp_path).part("cifair100", "test").official


def _no_network(*arguments: object) -> None:
    raise urllib.error.URLError("Name or service not known")


def test_without_a_network_the_error_tells_what_to_put_where(monkeypatch, tmp_path):
    monkeypatch.setattr("torchvision.datasets.utils.download_url", _no_network)
    for name, entry in DATASETS.items():
        if entry.embedded:
            continue
        with pytest.raises(DataError, match="Name or service not known") as caught:
            fetch(name, tmp_path)
        message = str(caught.value)
        assert caught.value.exit_code == 3
        assert "\n" not in message
        for files in entry.parts.values():
            for file in files:
                assert f"{tmp_path / file.path} (MD5 {file.md5})" in message
        for download in entry.downloads:
            assert f"{download.url} (MD5 {download.md5})" in message


def test_archive_put_by_hand_is_unpacked_without_a_network(monkeypatch, tmp_path):
    download = _publish_cifair(monkeypatch, "http://nowhere.invalid/", None)
    monkeypatch.setattr("torchvision.datasets.utils.download_url", _no_network)
    (tmp_path / download.filename).write_bytes(_zip(CIFAIR))
    fetch("cifair100", tmp_path)
    assert Folder(tmp_path).part("cifair100", "test").labels.tolist() == [3, 4]


def test_nothing_is_downloaded_twice_nor_for_embedded_data(monkeypatch, tmp_path):
    monkeypatch.setattr("torchvision.datasets.utils.download_url", _no_network)
    fakes.place(monkeypatch, tmp_path, "mnist", MNIST)
    fetch("mnist", tmp_path)
    fetch("digits", tmp_path)


def test_wrong_bytes_from_the_network_are_not_put_in_place(monkeypatch, tmp_path, site):
    address, served = site
    images = next(iter(MNIST))
    (served / Path(images).name).write_bytes(b"<html>log in to this network</html>")
    downloads = [Download(address + Path(images).name, fakes.md5(MNIST[images][0]), "MNIST/raw")]
    _publish(monkeypatch, "mnist", MNIST, downloads)
    with pytest.raises(DataError, match="corrupted"):
        fetch("mnist", tmp_path)
    assert Folder(tmp_path).inventory(["mnist"])[0].state == "missing"


def test_file_that_the_site_lacks_is_an_error_of_data(monkeypatch, tmp_path, site):
    address, _ = site
    _publish_cifair(monkeypatch, address, None)
    with pytest.raises(DataError, match="404"):
        fetch("cifair100", tmp_path)


def test_silent_server_is_given_up_and_the_time_limit_is_put_back(monkeypatch, tmp_path):
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr(fetching, "_TIMEOUT", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        _publish_cifair(monkeypatch, address, None)
        with pytest.raises(DataError, match="timed out"):
            fetch("cifair100", tmp_path)
    assert socket.getdefaulttimeout() is None


def test_data_folder_that_cannot_be_written_is_an_error_of_data(monkeypatch, tmp_path, site):
    _publish_cifair(monkeypatch, *site)
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(DataError, match="could not be fetched"):
        fetch("cifair100", tmp_path / "file")


def test_unknown_dataset_is_wrong_use(tmp_path):
    with pytest.raises(UsageError, match="cifair10"):
        fetch("ciFAIR10", tmp_path)


def test_set_that_cannot_be_had_stops_no_other_and_ends_with_3(tmp_path: Path, monkeypatch):
    def download(name: str, root: Path) -> None:
        if name != "mnist":
            raise DataError(f"{name} could not be fetched: no answer")
        fetched.append(name)

    fetched: list[str] = []
    monkeypatch.setattr("dcbench.data.fetch.fetch", download)
    words = ["data", "fetch", "cifar10", "mnist", "svhn", "mnist", "--data", str(tmp_path)]
    found = CliRunner().invoke(app, words)
    assert found.exit_code == 3
    assert fetched == ["mnist"]
    assert found.stdout == f"mnist: in {tmp_path}\n"
    for name in ("cifar10", "svhn"):
        assert f"error: {name} could not be fetched: no answer" in found.stderr
    listed = json.loads(CliRunner().invoke(app, [*words, "--json"]).stdout)
    assert [(each["dataset"], each["error"] is None) for each in listed] == [
        ("cifar10", False),
        ("mnist", True),
        ("svhn", False),
    ]
