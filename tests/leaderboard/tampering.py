"""Leaderboards of `digits` for tests, and hands that break them."""

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np

from dcbench.data.source import open_source
from dcbench.data.splits import load_split
from dcbench.metrics.measure import Predictions, measure
from dcbench.records import files
from tests.records.test_store import a_record

SEEDS = range(10)


def predictions(seed: int) -> Predictions:
    """Predictions of the test images of `digits` that follow from a seed."""
    generator = np.random.default_rng(seed)
    labels = open_source(None).part("digits", "test").labels
    logits = generator.normal(size=(len(labels), 10)) + 2 * np.eye(10)[labels]
    ood = {
        name: generator.normal(size=(20, 10)).astype(np.float32) for name in ("gaussian", "uniform")
    }
    counts = np.array(load_split("digits", 0).counts_of("trainval"))
    return Predictions(logits.astype(np.float32), labels, counts, ood)


def images_used() -> dict[str, dict[str, object]]:
    """What the record of an honest run on `digits` says of its images."""
    split = load_split("digits", 0)
    fit = {"images": 150, "sha256": split.hashes.images_sha256, "official": True}
    test = {"images": 1197, "sha256": split.test_hashes.images_sha256, "official": True}
    noise = {"images": 2000, "sha256": "e" * 64, "official": True}
    return {"fit": fit, "test": test, "ood.gaussian": noise, "ood.uniform": noise}


def put(results: Path, label: str, seed: int, drawn: int) -> None:
    """A run of a method on `digits`, with the predictions that follow from `drawn`."""
    folder = results / label / str(seed)
    folder.mkdir(parents=True)
    made = predictions(drawn)
    record = a_record(
        label=label,
        method=label.partition("[")[0],
        seed=seed,
        index_sha256=load_split("digits", 0).hashes.index_sha256,
        data=images_used(),
        missing={},
        model={"file": "model.safetensors", "sha256": f"{drawn:064d}"},
        metrics=measure(made, long_tailed=False, ood_sets=("gaussian", "uniform")),
        predictions=files.write_predictions(folder, made).model_dump(),
    )
    files.write_record(folder, record)


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def write(path: Path, rows: list[dict[str, str]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def edit(path: Path, change: Callable[[list[dict[str, str]]], object]) -> None:
    rows = rows_of(path)
    change(rows)
    write(path, rows)


def set_cell(path: Path, number: int, **cells: str) -> None:
    edit(path, lambda rows: rows[number].update(cells))


def runs(board: Path) -> Path:
    return board / "v1/runs/digits.csv"


def summary(board: Path) -> Path:
    return board / "v1/digits.csv"
