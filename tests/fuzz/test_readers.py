"""Files that were cut off, flipped or put together anew: every reader answers in one line, at once.

The short form is for every day. `DCBENCH_FUZZ=500` tries that many files of each kind.
"""

from __future__ import annotations

import hashlib
import os
import resource
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
from safetensors.torch import save

from dcbench.config.base import validated
from dcbench.config.paths import shipped_root
from dcbench.config.protocol import Protocol
from dcbench.config.reading import read_yaml
from dcbench.config.tuned import recipe_text, tuned_recipe
from dcbench.data import formats
from dcbench.data.bundle import Bundle
from dcbench.data.lists import read_hashes
from dcbench.data.splits import SplitConfig
from dcbench.errors import DataError, DcbenchError
from dcbench.leaderboard.submission import pack, unpacked
from dcbench.leaderboard.tables import read_rows, read_summary, with_numbers
from dcbench.records import files
from dcbench.records.checkpoint import Checkpoint
from dcbench.records.files import read_predictions, read_record
from dcbench.records.schema import EpochSummary, StoredPredictions, StoredWeights
from dcbench.reports.figures.run_data import _losses
from dcbench.reports.page.svg import read_svg
from dcbench.reports.reported import load_reported
from dcbench.runs.trained import load_network
from dcbench.sweep.grid import read_queue
from tests.data import fakes
from tests.data.test_bundle import part_of, written
from tests.leaderboard.conftest import made  # noqa: F401 - a fixture
from tests.leaderboard.tampering import runs, summary
from tests.leaderboard.test_tracks import a_recipe
from tests.records.test_collect import put
from tests.records.test_store import a_run

TRIES = int(os.environ.get("DCBENCH_FUZZ", "25"))
SECONDS = 1.0
"""Of the processor's time, for a file of a few kilobytes."""

GROWTH = 200_000
"""KiB that the process may grow by while it reads all of a kind."""


class Kind(NamedTuple):
    """A kind of file: an honest one's bytes, and what reads one at a path."""

    honest: bytes
    read: Callable[[Path], object]


def mutated(honest: bytes, number: int) -> bytes:
    """One of many files that an honest one may have become; the same for the same number."""
    generator = np.random.default_rng([number, len(honest)])
    content = bytearray(honest)
    for _ in range(int(generator.integers(1, 5))):
        size = max(len(content), 1)
        at = int(generator.integers(size))
        length = int(generator.integers(1, max(size // 4, 2)))
        piece = bytes(content[at : at + length])
        change = int(generator.integers(8))
        if change == 0:
            del content[at:]
        elif change == 1:
            content[at : at + 1] = bytes([int(generator.integers(256))])
        elif change == 2 and content:
            content[at] ^= 1 << int(generator.integers(8))
        elif change == 3:
            del content[at : at + length]
        elif change == 4:
            content[at:at] = piece * int(generator.integers(1, 4))
        elif change == 5:
            other = int(generator.integers(size))
            content[other : other + length] = piece
        elif change == 6:
            content[at : at + length] = bytes(length)
        else:
            odd = (b"9" * 400, b"[" * 300, b"\xff\xfe", b"\0", b'"', b"\n", b"-1", b"NaN", b"*a &a")
            content[at:at] = odd[int(generator.integers(len(odd)))]
    return bytes(content)


def with_its_hash(folder: Path) -> Callable[[Path], object]:
    """Reads predictions whose hash is right, whatever they are."""

    def read(path: Path) -> object:
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        stored = StoredPredictions(file="predictions.npz", sha256=digest, hash="bytes")
        record = read_record(folder).model_copy(update={"predictions": stored})
        (folder / "predictions.npz").write_bytes(path.read_bytes())
        return read_predictions(folder, record)

    return read


def as_weights(folder: Path) -> Callable[[Path], object]:
    def read(path: Path) -> object:
        digest = files.write_weights(folder, path.read_bytes()).sha256
        record = read_record(folder)
        stored = StoredWeights(file="model.safetensors", sha256=digest)
        files.write_record(folder, record.model_copy(update={"model": stored}))
        return load_network(folder, "cpu")

    return read


def as_checkpoint(folder: Path) -> Callable[[Path], object]:
    def read(path: Path) -> object:
        payload = path.read_bytes()
        (folder / "checkpoint.pt").write_bytes(hashlib.sha256(payload).digest() + payload)
        return Checkpoint(folder, a_run()).read()

    return read


def as_images(reader: Callable[[bytes], object]) -> Callable[[Path], object]:
    def read(path: Path) -> object:
        try:
            return reader(path.read_bytes())
        except formats.FormatError as problem:
            raise DataError(str(problem)) from None

    return read


def queue(path: Path) -> object:
    return read_queue(path, {})


def head(path: Path, lines: int) -> bytes:
    return b"".join(path.read_bytes().splitlines(keepends=True)[:lines])


@pytest.fixture(scope="module")
def kinds(tmp_path_factory, made) -> dict[str, Kind]:  # noqa: F811
    folder = tmp_path_factory.mktemp("honest")
    run, weighed = put(folder / "a"), put(folder / "b")
    files.write_history(run, [EpochSummary(each, 2.5 / (each + 1), 0.1, 1.25) for each in range(9)])
    Checkpoint(folder, a_run()).write({"network": {"a": torch.ones(9)}, "momentum": []})
    bundle = written(part_of(3), folder / "some.bundle")
    root, board, submission = shipped_root(), made / "leaderboard", folder / "some.zip"
    pack(folder / "a", submission)
    svg = '<svg xmlns="http://www.w3.org/2000/svg"><title>A</title><g><path d="M 0 0"/></g></svg>'
    rows = fakes.cifar_rows(2)
    return {
        "record": Kind((run / "record.json").read_bytes(), read_record),
        "predictions": Kind((run / "predictions.npz").read_bytes(), with_its_hash(run)),
        "weights": Kind(save({"conv.weight": torch.ones(4, 3)}), as_weights(weighed)),
        "history": Kind((run / "history.csv").read_bytes(), _losses),
        "checkpoint": Kind((folder / "checkpoint.pt").read_bytes()[32:], as_checkpoint(folder)),
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
        "labels of mnist": Kind(fakes.mnist_labels([1, 2]), as_images(formats.read_mnist_labels)),
    }


KINDS = (
    *("record", "predictions", "weights", "history", "checkpoint", "bundle", "rows", "summary"),
    *("plan", "split", "protocol", "hashes", "reported", "figure", "cifar of Python 2"),
    *("cifar of Python 3", "images of mnist", "labels of mnist", "tuned recipe", "submission"),
)


@pytest.mark.parametrize("kind", KINDS)
def test_file_that_is_not_what_it_was_is_one_line_at_once(kinds, kind, tmp_path):
    honest, read = kinds[kind]
    path = tmp_path / "file"
    path.write_bytes(honest)
    if kind != "weights":
        read(path)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    around = sorted(tmp_path.parent.rglob("*"))
    refused = 0
    for number in range(TRIES):
        path.write_bytes(mutated(honest, number))
        began, said = time.process_time(), None
        try:
            read(path)
        except DcbenchError as problem:
            said = str(problem)
        assert time.process_time() - began < SECONDS, f"file {number} takes too long"
        if said is not None:
            refused += 1
            assert len(said.splitlines()) == 1, f"file {number}: {said}"
            assert len(said) < 5000, f"file {number}: {said[:200]}"
    assert refused
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < GROWTH, f"grew by {grown} KiB"
    assert sorted(tmp_path.parent.rglob("*")) == around
