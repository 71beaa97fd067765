"""Splits of one's own: where they are found, and how they are made."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from importlib.metadata import EntryPoint
from pathlib import Path

import numpy as np
import pytest
import yaml
from typer.testing import CliRunner

from dcbench.cli import app
from dcbench.data import places
from dcbench.data.derive import verify_split
from dcbench.data.load import load_listed
from dcbench.data.new_split import new_split, read_chosen
from dcbench.data.rules import LongTailed
from dcbench.data.source import open_source
from dcbench.data.splits import load_split, split_config, split_names
from dcbench.errors import DataError, UsageError

TWELVE = {"kind": "by-position", "train": 8, "val": 4}


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A folder with the split `mine`: twelve digits of each class."""
    new_split("mine", "digits", TWELVE, open_source(None), tmp_path / "own")
    return tmp_path / "own"


def invoked(*arguments: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, list(arguments))
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result.exit_code, result.stdout, " ".join(result.stderr.split())


def test_new_split_is_found_by_its_path_and_by_its_name(own: Path, monkeypatch):
    by_path = load_split(str(own / "mine.yaml"))
    assert by_path.class_counts == [8] * 10
    assert np.bincount(by_path.val_labels).tolist() == [4] * 10
    with pytest.raises(UsageError, match=r"unknown split 'mine'.*DCBENCH_SPLITS"):
        load_split("mine")
    monkeypatch.setenv("DCBENCH_SPLITS", str(own))
    by_name = load_split("mine")
    assert by_name.hashes == by_path.hashes
    assert "mine" in split_names()
    states = [each.state for each in verify_split("mine", open_source(None))]
    assert states == ["same"]


def test_new_split_differs_from_the_published_one_in_what_was_asked_alone(own: Path):
    mine, published = split_config(str(own / "mine.yaml")), split_config("digits")
    same = {"dataset", "test", "ood", "recipe", "class_names", "licence", "long_tailed"}
    assert mine.model_dump(include=same) == published.model_dump(include=same)
    assert (mine.rule.train, mine.rule.val, mine.subsets) == (8, 4, (0,))


def test_package_brings_its_splits_by_an_entry_point(own: Path, monkeypatch):
    package = own.parent / "package_with_splits"
    own.rename(package)
    (package / "__init__.py").write_text("raise RuntimeError('nothing imports it')")
    monkeypatch.setattr(sys, "path", [str(own.parent), *sys.path])
    point = EntryPoint("mine", "package_with_splits", places.GROUP)
    monkeypatch.setattr(places, "_installed", lambda: [point])
    assert load_split("mine").class_counts == [8] * 10
    broken = EntryPoint("gone", "no_such_package", places.GROUP)
    monkeypatch.setattr(places, "_installed", lambda: [broken])
    with pytest.raises(UsageError, match=r"entry point 'gone' of dcbench.splits: no_such_package"):
        split_names()


def test_name_that_two_places_have_is_refused_and_both_are_named(own: Path, monkeypatch):
    for name in ("one", "two"):
        (own.parent / name).mkdir()
        (own.parent / name / "twice.yaml").write_text("name: twice")
    monkeypatch.setenv("DCBENCH_SPLITS", f"{own.parent / 'one'}:{own.parent / 'two'}")
    with pytest.raises(UsageError, match=r"twice is in two places: .*one.twice.yaml and .*two"):
        split_names()


def test_one_bad_file_names_itself_and_hides_no_other(own: Path, monkeypatch):
    (own / "bad.yaml").write_text("name: bad\ntitle: 3")
    monkeypatch.setenv("DCBENCH_SPLITS", str(own))
    code, said, noted = invoked("splits", "--json")
    assert code == 0
    names = {row["name"] for row in json.loads(said)}
    assert {"mine", "digits"} <= names
    assert "bad" not in names
    code, _, noted = invoked("splits")
    assert f"left out: {own / 'bad.yaml'}: " in noted
    monkeypatch.setattr("dcbench.data.splits.split_names", lambda: ["bad", "mine"])
    code, said, _ = invoked("splits", "verify", "--json")
    bad, mine = json.loads(said)
    assert (code, bad["state"], mine["state"]) == (1, "not read", "same")
    assert bad["detail"].startswith(f"{own / 'bad.yaml'}: ")
    assert load_split("mine").name == "mine"


def test_folder_that_is_not_there_is_named(monkeypatch, tmp_path: Path):
    monkeypatch.setenv("DCBENCH_SPLITS", str(tmp_path / "nowhere"))
    with pytest.raises(UsageError, match=r"DCBENCH_SPLITS: .*nowhere: there is no such folder"):
        split_names()


def test_split_without_lists_says_what_derives_them(own: Path):
    content = yaml.safe_load((own / "mine.yaml").read_text())
    path = own / "later.yaml"
    path.write_text(yaml.safe_dump(content | {"name": "later"}))
    with pytest.raises(DataError, match=rf"no lists yet; `dcbench splits derive {path}` writes"):
        load_split(str(path))
    code, said, _ = invoked("splits", "derive", str(path))
    assert code == 0
    assert said.startswith(f"{path} subset 0: 80 + 40, ")
    assert load_split(str(path)).train.tolist() == load_split(str(own / "mine.yaml")).train.tolist()


def test_lost_list_and_other_images_name_a_command_that_knows_the_split(own: Path):
    split = load_split(str(own / "mine.yaml"))
    other = replace(split, hashes=split.hashes.model_copy(update={"images_sha256": "0" * 64}))
    with pytest.raises(DataError, match=rf"see `dcbench splits verify {own / 'mine.yaml'}`"):
        load_listed(other, open_source(None))
    (own / "mine" / "subset-0.csv").unlink()
    remedy = f"`dcbench splits derive {own / 'mine.yaml'}`"
    with pytest.raises(DataError, match=rf"subset-0.csv: no such file; .*{remedy}"):
        load_split(str(own / "mine.yaml"))


def test_rows_of_ones_own_choice(tmp_path: Path):
    chosen = tmp_path / "rows.csv"
    chosen.write_text("index,part\n7,train\n3,train\n5,val\n")
    arguments = ["--dataset", "digits", "--indices", str(chosen), "-o", str(tmp_path)]
    code, said, _ = invoked("splits", "new", "chosen", *arguments)
    assert (code, said.strip()) == (0, str(tmp_path / "chosen.yaml"))
    split = load_split(str(tmp_path / "chosen.yaml"))
    assert (split.train.tolist(), split.val.tolist()) == ([7, 3], [5])
    # The first ten images of scikit-learn's digits are those of 0 to 9, in this order.
    assert (split.train_labels.tolist(), split.val_labels.tolist()) == ([7, 3], [5])
    [finding] = verify_split(str(tmp_path / "chosen.yaml"), open_source(None))
    assert finding.state == "same"
    code, _, noted = invoked("splits", "derive", str(tmp_path / "chosen.yaml"))
    assert code == 2
    assert "a listed split has no rule to derive it by" in noted
    (tmp_path / "chosen/subset-0.csv").unlink()
    with pytest.raises(DataError, match=r"subset-0\.csv: no such file; restore the file$"):
        load_split(str(tmp_path / "chosen.yaml"))


def test_list_that_a_spreadsheet_has_saved_is_read(tmp_path: Path):
    path = tmp_path / "rows.csv"
    path.write_bytes(b"\xef\xbb\xbfindex,part\r\n7,train\r\n5,val\r\n")
    train, val, _ = read_chosen(path, 600)
    assert (train.tolist(), val.tolist()) == ([7], [5])
    path.write_bytes(b'\xef\xbb\xbf"index"\r\n7\r\n')
    assert read_chosen(path, 600).train.tolist() == [7]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("row\n3\n", "should have a column index"),
        ("index\n3\n700\n", "line 3: index='700': should be 0 to 599"),
        ("index\n-1\n", "line 2: index='-1'"),
        ("index\n²\n", "line 2: index='²'"),
        ("index\n3\n3\n", "line 3: index=3 is listed twice"),
        ("index,part\n3,test\n", "line 2: part='test': should be train or val"),
        ("index,part\n3,val\n", "lists no row to train on"),
    ],
)
def test_wrong_list_of_rows_is_told_by_its_line(tmp_path: Path, content: str, message: str):
    path = tmp_path / "rows.csv"
    path.write_text(content)
    with pytest.raises(DataError, match=message):
        read_chosen(path, 600)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--per-class", "3", "--imbalance", "10"], "one of --per-class, --imbalance"),
        ([], "one of --per-class, --imbalance"),
        (["--per-class", "3", "--val", "3"], "--val 3: should be less than --per-class 3"),
        (["--per-class", "500"], "subset 0 needs 500 images of each class"),
        # 600 images, of which 57 are of class 4: n_max is 60, and int(60 / 61) is none.
        (["--imbalance", "2", "--shape", "step"], "class 4: its share of the long tail is 60"),
        (
            ["--per-class", "3", "--recipe", "cifar1"],
            "unknown recipe 'cifar1'; did you mean cifar100",
        ),
        (["--imbalance", "61"], "class 9: its share of the long tail is 0 of 59 images"),
    ],
)
def test_rule_that_does_not_fit_writes_nothing(tmp_path: Path, arguments, message: str):
    options = ["--dataset", "digits", "-o", str(tmp_path / "own"), *map(str, arguments)]
    code, _, noted = invoked("splits", "new", "mine", *options)
    assert code == 2
    assert message in noted
    assert not list(tmp_path.rglob("*.yaml"))


@pytest.mark.parametrize(("name", "message"), [("digits", "exists"), ("../x", "should be a name")])
def test_name_is_free_and_a_name(tmp_path: Path, name: str, message: str):
    code, _, noted = invoked(
        "splits", "new", name, "--dataset", "digits", "--per-class", "3", "-o", str(tmp_path)
    )
    assert code == 2
    assert message in noted


def test_step_keeps_all_of_the_first_half_and_a_share_of_the_other():
    # LDAM-DRW's "step": n_max images of the first C / 2 classes, int(n_max * ratio) of the others.
    labels = np.repeat(np.arange(5), 40)
    rule = LongTailed(kind="long-tailed", ratio=0.1, shape="step")
    train, val, _ = rule.select(labels, 5, 0)
    assert np.bincount(labels[train]).tolist() == [40, 40, 4, 4, 4]
    assert len(val) == 0
