"""A page that checks itself: predictions are measured again by the browser, from a file."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dcbench.metrics.measure import Predictions, measure
from dcbench.records import files
from dcbench.reports.page import write_page
from tests.reports.page.browser import look, resize, started_browser, wait_until
from tests.reports.page.made import board

pytestmark = pytest.mark.browser


def predictions(seed: int) -> Predictions:
    generator = np.random.default_rng(seed)
    labels = np.repeat(np.arange(10), 70)
    logits = generator.normal(size=(700, 10)) + 2 * np.eye(10)[labels]
    logits[0] = 3  # all equal: the lowest class wins
    ood = {"mnist": generator.normal(size=(50, 10)).astype(np.float32)}
    return Predictions(logits.astype(np.float32), labels, np.full(10, 5), ood)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page with three rows, and beside it the predictions that they name.

    That of seed 0 is packed as dcbench does; seed 1 as NumPy does, and named by the hash of its
    bytes, as older rows do; of seed 2 the row has another accuracy.
    """
    output = tmp_path_factory.mktemp("checked")
    hashes, accuracies, errors = [], [], []
    for seed in range(3):
        made = predictions(seed)
        own = output / f"seed-{seed}"
        own.mkdir()
        hashes.append(files.write_predictions(own, made).sha256)
        metrics = measure(made, long_tailed=False, ood_sets=("mnist",))
        accuracies.append(round(metrics["accuracy"], 6))
        errors.append(round(metrics["ece15"], 6))
    old = predictions(1)
    path = output / "seed-1" / "predictions.npz"
    np.savez_compressed(path, logits=old.logits.astype(np.float64), labels=old.labels)
    hashes[1] = hashlib.sha256(path.read_bytes()).hexdigest()
    accuracies[2] += 0.01
    shown = board({"erm": tuple(accuracies)}, {"erm": 1}, split="digits")
    runs = shown.runs.assign(predictions_sha256=hashes, ece15=errors, accuracy=accuracies)
    write_page([replace(shown, runs=runs)], (), output / "page")
    return output


@pytest.fixture(scope="module")
def page(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    for browser in started_browser(tmp_path_factory.mktemp("profile")):
        resize(browser, 1280)
        browser.get((folder / "page/index.html").as_uri() + "#check")
        yield browser


def verdict(page: Any, *paths: Path) -> list[str]:
    """What the page says of some files, line by line."""
    picker = look(page, "#check input[type=file]")
    # The driver adds to the files that were chosen before.
    empty = "document.querySelector('.verdicts').replaceChildren(); arguments[0].value = ''"
    page.execute_script(empty, picker)
    picker.send_keys("\n".join(map(str, paths)))
    wait_until(lambda: bool(page.find_elements("css selector", ".verdict")), 30)
    text: str = look(page, ".verdicts").text
    return text.splitlines()


def numbers(seed: int) -> tuple[str, str]:
    metrics = measure(predictions(seed), long_tailed=False, ood_sets=("mnist",))
    return f"{metrics['accuracy']:.6f}", f"{metrics['ece15']:.6f}"


def test_predictions_of_a_row_get_three_ticks(page: Any, folder: Path):
    accuracy, error = numbers(0)
    name, whose, digest, first, second = verdict(page, folder / "seed-0/predictions.npz")
    assert (name, whose) == (
        "predictions.npz",
        "Predictions of erm, subset 0, seed 0, on digits (v1-lite)",
    )
    assert digest.startswith("✓ SHA-256 ")
    assert (first, second) == (f"✓ accuracy {accuracy}", f"✓ ECE-15 {error}")


def test_older_rows_name_the_hash_of_the_file(page: Any, folder: Path):
    accuracy, error = numbers(1)
    lines = verdict(page, folder / "seed-1/predictions.npz")
    assert "seed 1" in lines[1]
    assert lines[3:] == [f"✓ accuracy {accuracy}", f"✓ ECE-15 {error}"]


def test_row_that_says_another_number_is_told_by_how_much(page: Any, folder: Path):
    accuracy, _ = numbers(2)
    line = verdict(page, folder / "seed-2/predictions.npz")[3]
    assert line.startswith(f"✗ accuracy {accuracy}; the row says ")
    assert line.endswith("a difference of -0.010000")


def test_predictions_of_no_row_are_measured_all_the_same(page: Any, folder: Path):
    own = folder / "other"
    own.mkdir()
    stored = files.write_predictions(own, predictions(9))
    lines = verdict(page, own / "predictions.npz")
    accuracy, error = numbers(9)
    assert lines[1] == f"✗ SHA-256 {stored.sha256}: no row of this page names these predictions"
    assert lines[2] == f"accuracy {accuracy}, ECE-15 {error}"


def test_one_changed_byte_of_a_logit_is_seen(page: Any, folder: Path):
    own = folder / "changed"
    own.mkdir()
    made = predictions(0)
    logits = made.logits.copy()
    logits[5, 5] = np.nextafter(logits[5, 5], np.float32(9))
    files.write_predictions(own, replace(made, logits=logits))
    assert "no row of this page" in verdict(page, own / "predictions.npz")[1]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "it is no .npz archive"),
        (b"text" * 40_000, "it is no .npz archive"),
        ("cut", "Not checked"),
        ("no logits", "it holds no logits with labels"),
        ("text member", "notes.txt is no NumPy array"),
        ("bomb", "is longer than it says"),
    ],
)
def test_what_is_no_file_of_predictions_is_told_in_a_sentence(
    page: Any, folder: Path, tmp_path: Path, content: bytes | str, message: str
):
    path = tmp_path / "odd.npz"
    whole = (folder / "seed-0/predictions.npz").read_bytes()
    if content == "cut":
        path.write_bytes(whole[: len(whole) // 2] + whole[-200:])
    elif content == "no logits":
        np.savez(path, labels=np.arange(3))
    elif content == "text member":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("notes.txt", "hello")
    elif content == "bomb":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("a.npy", bytes(1_000_000))
        raw = path.read_bytes()
        directory = raw.rindex(b"PK\x01\x02")
        path.write_bytes(
            raw[: directory + 24] + (100).to_bytes(4, "little") + raw[directory + 28 :]
        )
    else:
        assert isinstance(content, bytes)
        path.write_bytes(content)
    name, line = verdict(page, path)
    assert name == "odd.npz"
    assert message in line
    assert line.endswith("A run's file is called predictions.npz.")


def test_several_files_are_checked_at_once_and_nothing_is_logged(page: Any, folder: Path):
    lines = verdict(page, *(folder / f"seed-{seed}/predictions.npz" for seed in (0, 2)))
    assert lines.count("predictions.npz") == 2
    assert page.get_log("browser") == []
