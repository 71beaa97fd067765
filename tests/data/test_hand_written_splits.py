"""Splits as somebody writes or asks for them: what is wrong is told by file, key and value."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import yaml
from typer.testing import CliRunner

from dcbench.cli import app
from dcbench.data.derive import derive_split
from dcbench.data.new_split import new_split
from dcbench.data.source import open_source
from dcbench.data.splits import load_split, split_config
from dcbench.errors import UsageError

TWELVE = {"kind": "by-position", "train": 8, "val": 4}
NOBODY = "~nobody-of-this-name"
PHOTOS = f"{NOBODY}/photos[size=8]"
NEW = ["splits", "new", "q", "--per-class", "3", "--dataset"]


def hand_written(path: Path, **changes: object) -> Path:
    """A split of the digits without lists."""
    content = {
        "name": path.stem,
        "title": "by hand",
        "dataset": "digits",
        "test": {"dataset": "digits"},
        "rule": TWELVE,
        "subsets": [0],
        "ood": [],
        "recipe": "digits",
        "class_names": [f"digit {number}" for number in range(10)],
        "source": "",
        "licence": "",
        **changes,
    }
    path.parent.mkdir(exist_ok=True)
    path.write_text(yaml.safe_dump(content))
    return path


def invoked(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, list(arguments))
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result.exit_code, " ".join(result.stderr.split())


@pytest.mark.parametrize(
    ("arguments", "folders", "message"),
    [
        (["splits", "show", f"{NOBODY}/x.yaml"], "", f"split {NOBODY}/x.yaml: "),
        (["run", "--method", "erm", "--split", f"{NOBODY}/x.yaml"], "", f"split {NOBODY}/x.yaml: "),
        (["splits"], f"{NOBODY}/splits", f"DCBENCH_SPLITS: {NOBODY}/splits: "),
        ([*NEW, PHOTOS], "", f"dataset {NOBODY}/photos: "),
        ([*NEW, "digits", "--test", PHOTOS], "", f"dataset {NOBODY}/photos: "),
    ],
)
def test_home_of_nobody_is_told_by_its_path(monkeypatch, arguments, folders: str, message: str):
    monkeypatch.setenv("DCBENCH_SPLITS", folders)
    code, noted = invoked(*arguments)
    assert code == 2
    assert f"error: {message}there is no such home; write the path without ~" in noted


@pytest.mark.parametrize("changes", [{"dataset": PHOTOS}, {"test": {"dataset": PHOTOS}}])
def test_home_of_nobody_in_a_split_is_told_by_its_file(tmp_path: Path, changes: dict):
    path = hand_written(tmp_path / "x.yaml", **changes)
    with pytest.raises(UsageError, match=f"{path}: dataset {NOBODY}/photos: there is no such home"):
        split_config(str(path))


@pytest.mark.parametrize("subset", [-1, 2**32])
@pytest.mark.parametrize("rule", [TWELVE, {"kind": "long-tailed", "ratio": 0.5}])
def test_subset_that_no_generator_takes_is_refused(tmp_path: Path, rule: dict, subset: int):
    path = hand_written(tmp_path / "hand/neg.yaml", rule=rule, subsets=[0, subset])
    code, noted = invoked("splits", "derive", str(path))
    assert code == 2
    assert f"{path}: subsets.1={subset}: input should be " in noted
    assert not (tmp_path / "hand/neg").exists()


def test_largest_subset_is_drawn(tmp_path: Path):
    # NumPy's legacy generator takes seeds up to 2 ** 32 - 1.
    rule, largest = {"kind": "long-tailed", "ratio": 0.5}, 2**32 - 1
    path = hand_written(tmp_path / "last.yaml", rule=rule, subsets=[largest])
    assert invoked("splits", "derive", str(path))[0] == 0
    assert load_split(str(path), largest).subset == largest


@pytest.mark.parametrize("rule", [TWELVE, {"kind": "everything", "val": 0}])
def test_class_without_a_name_is_told_before_lists_are_written(tmp_path: Path, rule: dict):
    path = hand_written(tmp_path / "hand/few.yaml", rule=rule, class_names=["zero", "one"])
    code, noted = invoked("splits", "derive", str(path))
    assert code == 2
    assert f"{path}: class_names: label 9 of digits/test has no name among the 2" in noted
    assert not (tmp_path / "hand/few").exists()


def test_class_that_is_trained_on_without_a_name_is_told(tmp_path: Path):
    images, labels = np.zeros((8, 8, 8), np.uint8), np.arange(8) % 2
    np.savez(tmp_path / "two.npz", images=images, labels=labels)
    path = hand_written(
        tmp_path / "few.yaml",
        rule={"kind": "everything", "val": 0},
        test={"dataset": "./two.npz[size=8,test=0.5]"},
        class_names=["zero", "one"],
    )
    with pytest.raises(UsageError, match=rf"{path}: class_names: label 9 of digits/train has no"):
        derive_split(str(path), open_source(tmp_path / "data"))
    assert not (tmp_path / "few").exists()


def test_class_without_a_name_ends_a_run_before_it_trains(tmp_path: Path):
    chosen = tmp_path / "rows.csv"
    chosen.write_text("index\n0\n1\n10\n11\n")  # two images of 0, two of 1
    new_split("few", "digits", {"kind": "listed"}, open_source(None), tmp_path, chosen=chosen)
    path = hand_written(tmp_path / "few.yaml", rule={"kind": "listed"}, class_names=["zero", "one"])
    message = f"{path}: class_names: label 9 of digits/test has no name among the 2"
    results = tmp_path / "results"
    run = ["run", "--method", "erm", "--split", str(path), "--set", "batch_size=2"]
    for asked in (run, [*run, "--dry-run"], ["splits", "verify", str(path)]):
        options = ["--results", str(results)] if asked[0] == "run" else []
        code, noted = invoked(*asked, *options)
        assert code == 2
        assert message in noted
    assert not list(results.rglob("checkpoint*"))
