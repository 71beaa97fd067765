"""Croissant metadata of splits, as the format's own reader takes them."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import mlcroissant
import pytest
from typer.testing import CliRunner

from dcbench.cli import app
from dcbench.data.splits import load_split


def written(name: str, folder: Path) -> Path:
    path = folder / "metadata" / "split.json"
    path.parent.mkdir()
    result = CliRunner().invoke(app, ["splits", "croissant", name, "-o", str(path)])
    assert result.exit_code == 0, result.output
    return path


@pytest.mark.parametrize("name", ["digits", "cifair10-common", "cifar10-lt-100"])
def test_metadata_are_valid_and_give_the_rows_and_classes(tmp_path: Path, caplog, name: str):
    path = written(name, tmp_path)
    with caplog.at_level(logging.WARNING):
        dataset = mlcroissant.Dataset(jsonld=path)
    assert not dataset.metadata.issues.errors
    split = load_split(name, 1)
    records = list(dataset.records("subset-1"))
    rows = [each["subset-1/index"] for each in records]
    assert rows == [*split.train, *split.val]
    assert [each["subset-1/label"] for each in records] == [*split.train_labels, *split.val_labels]
    parts = [each["subset-1/part"] for each in records]
    assert parts.count(b"train") == len(split.train)
    classes = [each["classes/name"] for each in dataset.records("classes")]
    assert [name.decode() if isinstance(name, bytes) else name for name in classes] == list(
        split.config.class_names
    )
    if len(split.held_out):
        held_out = [each["held-out-1/index"] for each in dataset.records("held-out-1")]
        assert held_out == split.held_out.tolist()


def test_list_that_was_changed_is_not_what_the_metadata_say(copied_splits: Path, tmp_path: Path):
    path = written("digits", tmp_path)
    listed = copied_splits / "digits/subset-0.csv"
    listed.write_text(listed.read_text().replace("train", "val", 1))
    with pytest.raises(Exception, match=r"Download\(subset-0.csv\)") as caught:
        list(mlcroissant.Dataset(jsonld=path).records("subset-0"))
    assert "Hash of downloaded file" in str(caught.value.__cause__)
    result = CliRunner().invoke(app, ["splits", "croissant", "digits"])
    assert result.exit_code == 3


def test_what_is_printed_names_files_beside_the_split():
    result = CliRunner().invoke(app, ["splits", "croissant", "digits"])
    content = json.loads(result.stdout)
    assert [each["contentUrl"] for each in content["distribution"]][:3] == [
        "digits.yaml",
        "digits/hashes.json",
        "digits/subset-0.csv",
    ]
    assert content["license"].startswith("CC BY 4.0")
