"""Files that were cut off, flipped or put together anew: every reader answers in one line, at once.

The short form is for every day. `DCBENCH_FUZZ=500` tries that many files of each kind.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save

from dcbench.config.base import validated
from dcbench.config.paths import shipped_root
from dcbench.config.protocol import Protocol
from dcbench.config.reading import read_yaml
from dcbench.config.tuned import recipe_text, tuned_recipe
from dcbench.data import formats
from dcbench.data.bundle import Bundle
from dcbench.data.image_folder import read_picture
from dcbench.data.lists import read_hashes
from dcbench.data.npz_file import NpzImages
from dcbench.data.splits import SplitConfig
from dcbench.errors import DataError
from dcbench.leaderboard.submission import pack, unpacked
from dcbench.leaderboard.tables import read_rows, read_summary, with_numbers
from dcbench.records import files
from dcbench.records.checkpoint import Checkpoint
from dcbench.records.schema import EpochSummary
from dcbench.reports.page.svg import read_svg
from dcbench.reports.reported import load_reported
from dcbench.selftest.damage import Kind, answers
from dcbench.selftest.readers import kinds_of_run
from dcbench.sweep.grid import read_queue
from tests.data import fakes
from tests.data.test_bundle import part_of, written
from tests.leaderboard.conftest import made  # noqa: F401 - a fixture
from tests.leaderboard.tampering import runs, summary
from tests.leaderboard.test_tracks import a_recipe
from tests.records.test_collect import put
from tests.records.test_store import a_run

TRIES = int(os.environ.get("DCBENCH_FUZZ", "25"))


def as_images(reader: Callable[[bytes], object]) -> Callable[[Path], object]:
    def read(path: Path) -> object:
        try:
            return reader(path.read_bytes())
        except formats.FormatError as problem:
            raise DataError(str(problem)) from None

    return read


def queue(path: Path) -> object:
    return read_queue(path, {})


def encoded(kind: str) -> bytes:
    target = io.BytesIO()
    pixels = np.arange(12 * 12 * 3, dtype=np.uint8).reshape(12, 12, 3)
    Image.fromarray(pixels).save(target, kind)
    return target.getvalue()


def npz_of_images() -> bytes:
    target = io.BytesIO()
    images = np.arange(6 * 8 * 8, dtype=np.uint8).reshape(6, 8, 8)
    np.savez_compressed(target, images=images, labels=np.arange(6) % 2)
    return target.getvalue()


def read_npz(path: Path) -> object:
    return NpzImages(str(path), (8, 8), 0.5).read(path.parent, "train")


def head(path: Path, lines: int) -> bytes:
    return b"".join(path.read_bytes().splitlines(keepends=True)[:lines])


@pytest.fixture(scope="module")
def kinds(tmp_path_factory, made) -> dict[str, Kind]:  # noqa: F811
    folder = tmp_path_factory.mktemp("honest")
    put(folder / "a")
    run = put(folder / "b")
    files.write_history(run, [EpochSummary(each, 2.5 / (each + 1), 0.1, 1.25) for each in range(9)])
    Checkpoint(folder, a_run()).write({"network": {"a": torch.ones(9)}, "momentum": []})
    files.write_weights(run, save({"conv.weight": torch.ones(4, 3)}))
    checkpoint = (folder / "checkpoint.pt").read_bytes()
    bundle = written(part_of(3), folder / "some.bundle")
    root, board, submission = shipped_root(), made / "leaderboard", folder / "some.zip"
    pack(folder / "a", submission)
    svg = '<svg xmlns="http://www.w3.org/2000/svg"><title>A</title><g><path d="M 0 0"/></g></svg>'
    rows = fakes.cifar_rows(2)
    return {
        **kinds_of_run(run, folder / "spare", a_run(), checkpoint),
        "bundle": Kind(bundle.read_bytes(), lambda path: Bundle(path).part("cifar10", "test")),
        "rows": Kind(head(runs(board), 5), lambda path: with_numbers(read_rows(path), path)),
        "summary": Kind(summary(board).read_bytes(), read_summary),
        "submission": Kind(submission.read_bytes(), lambda path: unpacked(path, path.parent / "x")),
        "plan": Kind((root / "baselines/queue.yaml").read_bytes(), queue),
        "split": Kind(
            (root / "splits/digits.yaml").read_bytes(),
            lambda path: validated(SplitConfig, read_yaml(path), path),
        ),
        "protocol": Kind(
            (board / "v1/protocol.yaml").read_bytes(),
            lambda path: validated(Protocol, read_yaml(path), path, DataError),
        ),
        "tuned recipe": Kind(recipe_text(a_recipe(5)).encode(), tuned_recipe),
        "hashes": Kind((root / "splits/digits/hashes.json").read_bytes(), read_hashes),
        "reported": Kind(head(root / "baselines/reported.csv", 12), load_reported),
        "figure": Kind(svg.encode(), read_svg),
        "cifar of Python 2": Kind(
            fakes.python2_batch(rows, [1, 2]), as_images(formats.read_cifar10)
        ),
        "cifar of Python 3": Kind(
            fakes.python3_batch(rows, np.array([1, 2]), protocol=5), as_images(formats.read_cifar10)
        ),
        "images of mnist": Kind(
            fakes.mnist_images(np.zeros((3, 28, 28), np.uint8)),
            as_images(formats.read_mnist_images),
        ),
        "png picture": Kind(encoded("PNG"), lambda path: read_picture(path, (8, 8))),
        "jpeg picture": Kind(encoded("JPEG"), lambda path: read_picture(path, (8, 8))),
        "npz of images": Kind(npz_of_images(), read_npz),
        "labels of mnist": Kind(fakes.mnist_labels([1, 2]), as_images(formats.read_mnist_labels)),
    }


KINDS = (
    *("records", "predictions", "weights", "histories", "checkpoints", "bundle", "rows"),
    *("summary", "plan", "split", "protocol", "hashes", "reported", "figure", "cifar of Python 2"),
    *("cifar of Python 3", "images of mnist", "labels of mnist", "tuned recipe", "submission"),
    *("png picture", "jpeg picture", "npz of images"),
)


@pytest.mark.parametrize("kind", KINDS)
def test_file_that_is_not_what_it_was_is_one_line_at_once(kinds, kind, tmp_path):
    honest, read = kinds[kind]
    path = tmp_path / "file"
    path.write_bytes(honest)
    if kind != "weights":
        read(path)
    tried = list(answers(kinds[kind], range(TRIES), path))
    assert [line for each in tried for line in each.lost] == []
    assert len(tried) == TRIES
    assert "refused" in {each.how for each in tried}
