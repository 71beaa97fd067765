from __future__ import annotations

import csv
import functools
import hashlib
import itertools
import json
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import norm

from dcbench.config.paths import shipped_root
from dcbench.data import lists
from dcbench.data.derive import derive_split, verify_split
from dcbench.data.load import load_images, load_tuning_images
from dcbench.data.places import splits_folder
from dcbench.data.source import Folder, open_source
from dcbench.data.splits import Split, load_split, split_config, split_names
from dcbench.errors import DataError, UsageError
from tests.counting import counted
from tests.data import fakes

# Images to train and to validate, classes, subsets.
LISTED = {
    "cifair10": (300, 200, 10, (0, 1, 2)),
    "cifair10-common": (300, 200, 10, (0, 1, 2)),
    "cifair100": (3_000, 2_000, 100, (0, 1, 2)),
    "cifair100-common": (3_000, 2_000, 100, (0, 1, 2)),
    "cifar10-lt-10": (20_431, 0, 10, (0, 1, 2)),
    "cifar10-lt-100": (12_406, 0, 10, (0, 1, 2)),
    "cifar100-lt-10": (19_573, 0, 100, (0, 1, 2)),
    "cifar100-lt-100": (10_847, 0, 100, (0, 1, 2)),
    "cifar10-lt-20": (17_023, 0, 10, (0, 1, 2)),
    "cifar10-lt-50": (13_996, 0, 10, (0, 1, 2)),
    "cifar10-lt-200": (11_203, 0, 10, (0, 1, 2)),
    "cifar100-lt-20": (15_907, 0, 100, (0, 1, 2)),
    "cifar100-lt-50": (12_608, 0, 100, (0, 1, 2)),
    "cifar100-lt-200": (9_502, 0, 100, (0, 1, 2)),
    **{
        f"cifair{classes}-n{size}{twin}": (
            *(classes * size * 3 // 5, classes * size * 2 // 5, classes),
            (0, 1, 2),
        )
        for classes in (10, 100)
        for size in (10, 20, 100)
        for twin in ("", "-common")
    },
    "cifar100": (45_000, 5_000, 100, (0,)),
    "digits": (100, 50, 10, (0, 1, 2)),
}
SUBSETS = [(name, subset) for name, (*_, subsets) in LISTED.items() for subset in subsets]


def listed(path: Path) -> dict[str, list[tuple[int, int]]]:
    """Rows and labels of each part, as a reader of its own finds them in a list."""
    header, *lines = path.read_text().splitlines()
    assert header == "part,index,label"
    parts: dict[str, list[tuple[int, int]]] = {"train": [], "val": []}
    for line in lines:
        part, row, label = line.split(",")
        parts[part].append((int(row), int(label)))
    return parts


def test_the_listed_splits_are_those_that_are_promised():
    assert split_names() == sorted(LISTED)
    factors = sorted(["10", "20", "50", "100", "200"])
    assert split_names("cifar10-*") == [f"cifar10-lt-{factor}" for factor in factors]
    assert split_names("nothing*") == []


@pytest.mark.parametrize(("name", "subset"), SUBSETS)
def test_list_loads_as_it_is_written_and_hashes_to_what_is_recorded(name: str, subset: int):
    train, val, num_classes, subsets = LISTED[name]
    split = load_split(name, subset)
    shared = split.config.subsets_of or name
    parts = listed(splits_folder() / shared / f"subset-{subset}.csv")
    joined = [row for part in ("train", "val") for row, _ in parts[part]]
    recorded = json.loads((splits_folder() / shared / "hashes.json").read_text())["subsets"]
    assert recorded[str(subset)]["train"] == len(split.train) == train
    assert recorded[str(subset)]["val"] == len(split.val) == val
    digest = hashlib.sha256(np.array(joined, dtype="<i8").tobytes()).hexdigest()
    assert recorded[str(subset)]["index_sha256"] == split.hashes.index_sha256 == digest
    assert list(zip(split.train, split.train_labels, strict=True)) == parts["train"]
    assert list(zip(split.val, split.val_labels, strict=True)) == parts["val"]
    assert len(set(joined)) == len(joined)
    assert (split.name, split.subset, split.config.subsets) == (name, subset, subsets)
    assert split.num_classes == len(set(split.config.class_names)) == num_classes


@pytest.mark.parametrize(
    ("name", "size"),
    [
        *(("cifair10", 50), ("cifair100", 50), ("digits", 15)),
        *((f"cifair{classes}-n{size}", size) for classes in (10, 100) for size in (10, 20, 100)),
    ],
)
def test_balanced_splits_have_as_many_images_of_each_class(name: str, size: int):
    for subset in (0, 1, 2):
        split = load_split(name, subset)
        assert set(split.class_counts) == {len(split.train) // split.num_classes}
        of_both = np.bincount(split.train_labels) + np.bincount(split.val_labels)
        assert of_both.tolist() == [size] * split.num_classes


def test_long_tailed_class_counts_are_the_published_ones():
    counts = [5000, 3871, 2997, 2320, 1796, 1391, 1077, 834, 645, 500]
    assert load_split("cifar10-lt-10").class_counts == counts
    counts = [5000, 2997, 1796, 1077, 645, 387, 232, 139, 83, 50]
    assert load_split("cifar10-lt-100").class_counts == counts
    assert load_split("cifar100-lt-100").class_counts[::99] == [500, 5]
    counts = [5000, 3237, 2096, 1357, 878, 568, 368, 238, 154, 100]
    assert load_split("cifar10-lt-50").class_counts == counts
    counts = [5000, 2775, 1540, 854, 474, 263, 146, 81, 45, 25]
    assert load_split("cifar10-lt-200").class_counts == counts
    assert load_split("cifar10-lt-20").class_counts[-1] == 250
    ends = {
        factor: load_split(f"cifar100-lt-{factor}").class_counts[-1] for factor in (20, 50, 200)
    }
    assert ends == {20: 25, 50: 10, 200: 2}


@pytest.mark.parametrize("name", ["cifair10", "cifair100", "digits"])
def test_subsets_share_no_image(name: str):
    rows = [set(np.concatenate([s.train, s.val])) for s in (load_split(name, k) for k in range(3))]
    assert len(set.union(*rows)) == sum(map(len, rows))


@pytest.mark.parametrize("name", ["cifair10", "cifair100"])
def test_smaller_subsets_train_on_some_of_the_images_of_larger_ones(name: str):
    sizes = [f"{name}-n10", f"{name}-n20", name, f"{name}-n100"]
    rows = [set(load_split(each).train) for each in sizes]
    assert all(smaller < larger for smaller, larger in itertools.pairwise(rows))


@pytest.mark.parametrize("classes", [10, 100])
def test_imbalance_100_keeps_some_of_the_images_of_imbalance_10(classes: int):
    for subset in range(3):
        shorter = set(load_split(f"cifar{classes}-lt-100", subset).train)
        assert shorter < set(load_split(f"cifar{classes}-lt-10", subset).train)


@pytest.mark.parametrize(
    ("name", "excluded"),
    [("cifair10", 329), ("cifair100", 959), ("cifair10-n20", 329), ("cifair100-n10", 959)],
)
def test_common_splits_train_on_the_same_images_and_leave_out_the_listed_tests(name, excluded):
    for subset in range(3):
        whole, common = load_split(name, subset), load_split(f"{name}-common", subset)
        assert np.array_equal(whole.train, common.train)
        assert np.array_equal(whole.val, common.val)
        assert whole.hashes == common.hashes
        assert whole.excluded_test_rows.tolist() == []
    rows = common.excluded_test_rows
    assert len(set(rows.tolist())) == len(rows) == excluded
    assert 0 <= rows.min() <= rows.max() < 10_000
    assert whole.config.test.dataset == name.partition("-")[0]
    assert common.config.test.dataset == common.config.dataset


@pytest.mark.parametrize("name", LISTED)
def test_every_split_says_where_its_images_are_from_and_under_what_licence(name: str):
    config = split_config(name)
    assert config.name == name
    assert config.source
    assert config.licence
    assert config.long_tailed == ("-lt-" in name)
    assert config.test.dataset not in config.ood
    assert config.dataset not in config.ood


def test_summary_has_the_published_keys_as_plain_values():
    summary = load_split("digits", 1).summary()
    keys = "name dataset subset num_classes train val class_counts index_sha256"
    assert list(summary) == keys.split()
    assert json.loads(json.dumps(summary)) == summary
    assert (summary["name"], summary["dataset"], summary["subset"]) == ("digits", "digits", 1)
    assert (summary["num_classes"], summary["class_counts"]) == (10, [10] * 10)
    assert (len(summary["train"]), len(summary["val"])) == (100, 50)
    assert len(summary["index_sha256"]) == 64


def test_unknown_split_is_answered_with_the_nearest_names():
    with pytest.raises(UsageError, match="unknown split 'cifair-10'; did you mean cifair10") as got:
        load_split("cifair-10")
    assert got.value.exit_code == 2
    with pytest.raises(UsageError, match=r"unknown split 'xyz'; there are: .*cifair10, .*digits"):
        split_config("xyz")


@pytest.mark.parametrize("subset", [3, -1])
def test_unknown_subset_is_answered_with_those_there_are(subset: int):
    with pytest.raises(
        UsageError, match=f"split cifair10 has no subset {subset}; there are: 0, 1, 2"
    ):
        load_split("cifair10", subset)


# --- what is written wrongly ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("licence:", "license:", "unknown key 'license'; did you mean 'licence'?"),
        ("recipe:", "zzz:", "unknown key 'zzz'; there are: class_names, dataset,"),
        ("recipe:", "zzz:", "key 'recipe' is missing"),
        (
            "test: {dataset: digits}",
            "test: {dataset: digits, exclud: x}",
            "unknown key 'test.exclud'; did you mean 'exclude'?",
        ),
        ("val: 5}", "val: 5, vall: 5}", "did you mean 'val'?"),
        ("train: 10", "train: 0", "rule.by-position.train=0: input should be greater than 0"),
        ("by-position", "by-chance", "by-chance"),
        ("subsets: [0, 1, 2]", "subsets: []", "subsets=[]"),
        ("name: digits", "name: digit", "name='digit': should be 'digits'"),
        ("name: digits", "name: [digits", "not valid YAML"),
    ],
)
def test_wrong_key_or_value_of_a_split_is_told_with_file_and_what_would_do(
    copied_splits: Path, old: str, new: str, message: str
):
    path = copied_splits / "digits.yaml"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    with pytest.raises(UsageError) as caught:
        load_split("digits")
    assert str(path) in str(caught.value)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_empty_split_file_is_told_by_name(copied_splits: Path):
    (copied_splits / "digits.yaml").write_text("")
    with pytest.raises(UsageError, match=r"digits\.yaml: the whole=None"):
        split_config("digits")


def _replace(old: bytes, new: bytes) -> Callable[[bytes], bytes]:
    return lambda content: content.replace(old, new, 1)


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "another row": _replace(b"train,29,0\n", b"train,28,0\n"),
    "a row less": _replace(b"train,29,0\n", b""),
    "two rows swapped": _replace(b"train,29,0\ntrain,30,0\n", b"train,30,0\ntrain,29,0\n"),
    "cut off after a row": lambda content: content[: content.rindex(b"\nval") + 1],
    "nothing in it": lambda content: b"",
    "cut off within a row": lambda content: content[:-3],
    "another header": _replace(b"part,index,label", b"part,row,label"),
    "a word for a row": _replace(b"train,29,0\n", b"train,x,0\n"),
    "a part of another name": _replace(b"train,29,0\n", b"test,29,0\n"),
    "not UTF-8": _replace(b"train,29,0\n", b"train,29,\xff\n"),
    "another label": _replace(b"train,29,0\n", b"train,29,1\n"),
    "a training row moved to validation": lambda content: b"val,".join(
        content.rsplit(b"train,", 1)
    ),
}


@pytest.mark.parametrize(
    "damage",
    DAMAGES,
)
def test_damaged_list_is_refused_with_the_name_of_its_file(copied_splits: Path, damage: str):
    path = copied_splits / "cifair10/subset-0.csv"
    content = path.read_bytes()
    damaged = DAMAGES[damage](content)
    assert damaged != content
    path.write_bytes(damaged)
    with pytest.raises(DataError) as caught:
        load_split("cifair10")
    assert caught.value.exit_code == 3
    assert str(path) in str(caught.value)
    assert len(load_split("cifair10", 1).train) == 300


def test_damaged_list_says_how_to_get_it_back(copied_splits: Path):
    path = copied_splits / "cifair10/subset-0.csv"
    path.write_bytes(DAMAGES["another row"](path.read_bytes()))
    with pytest.raises(DataError, match="dcbench splits derive cifair10"):
        load_split("cifair10")
    with pytest.raises(DataError, match=str(path)):
        load_split("cifair10-common")


def test_missing_list_is_refused_by_name(copied_splits: Path):
    path = copied_splits / "cifair10/subset-0.csv"
    path.unlink()
    with pytest.raises(DataError, match=f"{path}: no such file"):
        load_split("cifair10")


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[]",
        '{"subsets": {"0": {"train": 1}}}',
        '{"subsets": {}}',
    ],
)
def test_damaged_hashes_are_refused_by_name(copied_splits: Path, content: str):
    path = copied_splits / "cifair10/hashes.json"
    path.write_text(content)
    with pytest.raises(DataError, match=str(path)):
        load_split("cifair10")


@pytest.mark.parametrize(
    "content",
    ["row\n3\n", "index\nx\n", "index\n3\n", None],
)
def test_damaged_list_of_excluded_tests_is_refused_by_name(
    copied_splits: Path, content: str | None
):
    path = copied_splits / "cifair10-common/excluded-test.csv"
    path.unlink()
    if content is not None:
        path.write_text(content)
    with pytest.raises(DataError, match=rf"^{path}: .*; restore the file$"):
        _ = load_split("cifair10-common").excluded_test_rows


# --- derived again -------------------------------------------------------------------------------


def test_derived_list_is_the_rule_by_hand(copied_splits: Path, tiny: Path):
    expected = ["part,index,label"]
    expected += [f"train,{20 + c},{c}" for c in range(10)] + [
        f"val,{30 + c},{c}" for c in range(10)
    ]
    assert (copied_splits / "tiny/subset-1.csv").read_bytes().decode() == "\n".join(expected) + "\n"
    hashes = json.loads((copied_splits / "tiny/hashes.json").read_text())["subsets"]["1"]
    images_ = fakes.pixels_of(fakes.cifar_rows(40, seed=1))[20:]
    assert hashes == {
        "train": 10,
        "val": 10,
        "csv_sha256": hashlib.sha256(("\n".join(expected) + "\n").encode()).hexdigest(),
        "index_sha256": hashlib.sha256(np.arange(20, 40, dtype="<i8").tobytes()).hexdigest(),
        "images_sha256": hashlib.sha256(images_.tobytes()).hexdigest(),
        "images_official": True,
    }


def states(name: str, root: Path) -> list[tuple[int, str, str]]:
    return [(f.subset, f.state, f.detail) for f in verify_split(name, open_source(root))]


def test_untouched_split_is_proved_the_same(tiny: Path):
    assert states("tiny", tiny) == [(k, "same", "rows and images (official files)") for k in (0, 1)]


def test_one_changed_pixel_is_found_in_its_subset_alone(tiny: Path, monkeypatch):
    rows = fakes.cifar_rows(40, seed=1)
    rows[25, 100] ^= 1
    batch = fakes.python2_batch(rows, [*range(10)] * 4)
    fakes.place(
        monkeypatch, tiny, "cifar10", fakes.tiny_batches() | {fakes.TRAIN_BATCH: (batch, 40)}
    )
    detail = "the images are not those that were hashed"
    found = states("tiny", tiny)
    assert [state for _, state, _ in found] == ["same", "differs"]
    assert found[1][2] == detail
    load_images(load_split("tiny", 0), open_source(tiny))
    with pytest.raises(DataError, match="images of split tiny, subset 1, do not hash"):
        load_images(load_split("tiny", 1), open_source(tiny))


def test_changed_labels_give_other_rows(tiny: Path, monkeypatch):
    batch = fakes.python2_batch(fakes.cifar_rows(40, seed=1), [*range(9, -1, -1)] * 4)
    fakes.place(
        monkeypatch, tiny, "cifar10", fakes.tiny_batches() | {fakes.TRAIN_BATCH: (batch, 40)}
    )
    assert [state for _, state, _ in states("tiny", tiny)] == ["differs", "differs"]
    assert "the rule gives other rows" in states("tiny", tiny)[0][2]


def test_damaged_list_differs_and_the_others_are_proved_all_the_same(
    copied_splits: Path, tiny: Path
):
    path = copied_splits / "tiny/subset-0.csv"
    path.write_text(path.read_text().replace("train,3,3", "train,13,3"))
    found = states("tiny", tiny)
    assert [state for _, state, _ in found] == ["differs", "same"]
    assert str(path) in found[0][2]


def test_missing_dataset_is_not_checked_and_says_which_file(tiny: Path):
    (tiny / fakes.TRAIN_BATCH).unlink()
    found = states("tiny", tiny)
    assert [(subset, state) for subset, state, _ in found] == [
        (0, "not checked"),
        (1, "not checked"),
    ]
    assert str(tiny / fakes.TRAIN_BATCH) in found[0][2]


def test_images_of_an_unofficial_file_are_not_held_against_an_official_hash(tiny: Path):
    (tiny / fakes.TRAIN_BATCH).write_bytes(fakes.tiny_batches(seed=5)[fakes.TRAIN_BATCH][0])
    for _, state, detail in states("tiny", tiny):
        assert state == "same"
        assert "images not compared: their hash is of official files" in detail


def test_split_that_shares_its_lists_cannot_be_derived(copied_splits: Path, tmp_path: Path):
    with pytest.raises(UsageError, match="cifair10-common shares the lists of cifair10"):
        derive_split("cifair10-common", open_source(tmp_path))


def test_digits_are_derived_byte_for_byte_and_proved(copied_splits: Path, tmp_path: Path):
    committed = {path.name: path.read_bytes() for path in (copied_splits / "digits").iterdir()}
    shutil.rmtree(copied_splits / "digits")
    derive_split("digits", open_source(tmp_path))
    assert {
        path.name: path.read_bytes()
        for path in (copied_splits / "digits").iterdir()
        if path.name != ".lock"
    } == committed
    assert {state for _, state, _ in states("digits", tmp_path)} == {"same"}


@pytest.fixture(scope="module")
def read_once() -> Callable:
    """`Folder.part` that reads each file but once: they take a second each."""
    return functools.cache(Folder.part)


@pytest.mark.data
@pytest.mark.parametrize("name", [name for name in LISTED if name != "digits"])
def test_committed_lists_are_what_their_rules_give_on_the_real_files(
    name: str, real_data: Path, read_once, monkeypatch
):
    monkeypatch.setattr(Folder, "part", read_once)
    source = Folder(real_data, allow_unverified=True).part(split_config(name).dataset, "train")
    found = states(name, real_data)
    assert [(subset, state) for subset, state, _ in found] == [
        (subset, "same") for subset in LISTED[name][3]
    ]
    for subset, _, detail in found:
        compared = load_split(name, subset).hashes.images_official == source.official
        assert detail.startswith("rows and images" if compared else "rows are the same")


@pytest.mark.data
@pytest.mark.parametrize("name", ["cifair10", "cifair100", "cifar10-lt-100", "cifar100-lt-100"])
def test_deriving_writes_the_committed_files_byte_for_byte(
    name: str, real_data: Path, read_once, monkeypatch, tmp_path: Path
):
    committed = splits_folder()
    recorded = load_split(name).hashes.images_official
    shutil.copytree(committed, tmp_path / "splits")
    for path in (tmp_path / "splits" / name).iterdir():
        path.unlink()
    monkeypatch.setattr("dcbench.data.places.shipped_root", lambda: tmp_path)
    monkeypatch.setattr(Folder, "part", read_once)
    derive_split(name, open_source(real_data))
    dataset = split_config(name).dataset
    official = Folder(real_data, allow_unverified=True).part(dataset, "train").official
    for path in sorted((committed / name).iterdir()):
        if path.suffix == ".csv" or official == recorded:
            assert (tmp_path / "splits" / name / path.name).read_bytes() == path.read_bytes()


@pytest.mark.data
def test_real_images_of_a_split_are_the_listed_rows_and_the_kept_tests(
    real_data: Path, read_once, monkeypatch
):
    monkeypatch.setattr(Folder, "part", read_once)
    split = load_split("cifair10-common")
    loaded = load_images(split, open_source(real_data, allow_unverified=True))
    digest = hashlib.sha256(loaded.fit.images.tobytes()).hexdigest()
    assert digest == split.hashes.images_sha256
    assert np.bincount(loaded.fit.labels).tolist() == [50] * 10
    assert len(loaded.test.labels) == 10_000 - 329
    assert len(loaded.ood["cifar100"].labels) == 10_000
    with (splits_folder() / "cifair10/subset-0.csv").open() as file:
        labels = [int(line["label"]) for line in csv.DictReader(file)]
    assert loaded.fit.labels.tolist() == labels


# --- images of a split ---------------------------------------------------------------------------


def test_images_are_the_train_rows_then_the_val_rows(tiny: Path):
    expected = fakes.pixels_of(fakes.cifar_rows(40, seed=1))
    split = load_split("tiny", 1)
    both, train = (
        load_images(split, open_source(tiny)).fit,
        load_images(split, open_source(tiny), fit="train").fit,
    )
    assert np.array_equal(both.images, expected[20:])
    assert both.labels.tolist() == [*range(10)] * 2
    assert np.array_equal(train.images, expected[20:30])
    assert train.labels.tolist() == [*range(10)]
    assert both.official


def test_excluded_rows_are_gone_from_the_test_set(tiny: Path):
    test = load_images(load_split("tiny"), open_source(tiny)).test
    kept = [0, 1, 2, 4, 5, 6, 7, 9]
    assert test.labels.tolist() == kept
    assert np.array_equal(test.images, fakes.pixels_of(fakes.cifar_rows(10, seed=2))[kept])


def test_missing_ood_set_is_left_out_with_the_reason(tiny: Path):
    loaded = load_images(load_split("tiny"), open_source(tiny))
    assert sorted(loaded.ood) == ["gaussian", "mnist"]
    assert loaded.ood["mnist"].labels.tolist() == [1, 2]
    assert list(loaded.missing_ood) == ["cifar100"]
    assert str(tiny / "cifar-100-python/test") in loaded.missing_ood["cifar100"]
    assert "dcbench data fetch cifar100" in loaded.missing_ood["cifar100"]


def test_damaged_ood_set_is_an_error_and_not_left_out(tiny: Path):
    path = tiny / "MNIST/raw/t10k-images-idx3-ubyte.gz"
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(DataError, match=str(path)):
        load_images(load_split("tiny"), open_source(tiny))


def test_unofficial_ood_set_is_taken_only_when_asked(tiny: Path):
    path = tiny / "MNIST/raw/t10k-labels-idx1-ubyte.gz"
    path.write_bytes(fakes.mnist_labels([5, 6]))
    loaded = load_images(load_split("tiny"), open_source(tiny))
    assert "mnist" not in loaded.ood
    assert "--allow-unverified-data" in loaded.missing_ood["mnist"]
    loaded = load_images(load_split("tiny"), open_source(tiny, allow_unverified=True))
    assert loaded.ood["mnist"].labels.tolist() == [5, 6]
    assert not loaded.ood["mnist"].official


@pytest.mark.parametrize("path", [fakes.TRAIN_BATCH, fakes.TEST_BATCH])
def test_unofficial_images_are_taken_only_when_asked_and_say_so(tiny: Path, path: str):
    rows = fakes.cifar_rows(40 if path == fakes.TRAIN_BATCH else 10, seed=9)
    (tiny / path).write_bytes(fakes.python2_batch(rows, [*range(10)] * (len(rows) // 10)))
    with pytest.raises(DataError, match="--allow-unverified-data"):
        load_images(load_split("tiny"), open_source(tiny))
    loaded = load_images(load_split("tiny"), open_source(tiny, allow_unverified=True))
    assert loaded.fit.official == (path != fakes.TRAIN_BATCH)
    assert loaded.test.official == (path != fakes.TEST_BATCH)


@pytest.mark.parametrize("path", [fakes.TRAIN_BATCH, fakes.TEST_BATCH])
def test_missing_images_are_an_error(tiny: Path, path: str):
    (tiny / path).unlink()
    with pytest.raises(DataError, match=str(tiny / path)):
        load_images(load_split("tiny"), open_source(tiny, allow_unverified=True))


def noise(split: Split, name: str, root: Path) -> np.ndarray:
    loaded = load_images(split, open_source(root))
    assert loaded.ood[name].official
    return loaded.ood[name].images


def test_noise_is_the_same_every_time_and_as_earlier_runs_saw_it(tmp_path: Path):
    split = load_split("digits")
    draws = {
        "gaussian": lambda generator: generator.normal(0.5, 1.0, (2000, 8, 8, 3)),
        "uniform": lambda generator: generator.uniform(0.0, 1.0, (2000, 8, 8, 3)),
    }
    for name, draw in draws.items():
        digest = hashlib.sha256(f"dcbench/0/noise/{name}/0".encode()).digest()
        key = int.from_bytes(digest[:16], "little")
        drawn = draw(np.random.RandomState(np.random.Philox(key=key)))
        expected = np.rint(255 * np.minimum(np.maximum(drawn, 0), 1)).astype(np.uint8)
        assert np.array_equal(noise(split, name, tmp_path), expected)
        assert np.array_equal(noise(load_split("digits", 2), name, tmp_path), expected)


def test_gaussian_noise_is_normal_about_grey_and_clipped(tmp_path: Path):
    found = noise(load_split("digits"), "gaussian", tmp_path) / 255
    # Variance of N(0, 1) clipped to [-.5, .5]: the ends, and the middle of the normal law.
    variance = 0.5 * norm.cdf(-0.5) + (1 - 2 * norm.cdf(-0.5)) - norm.pdf(0.5)
    share_of_black = norm.cdf(0.5 / 255 - 0.5)
    error = 5 / np.sqrt(found.size)
    assert abs(found.mean() - 0.5) < error * np.sqrt(variance)
    assert abs(found.var() - variance) < error * 0.25
    for end in (0, 1):
        assert abs(np.mean(found == end) - share_of_black) < error * 0.5


def test_uniform_noise_reaches_from_black_to_white(tmp_path: Path):
    found = noise(load_split("digits"), "uniform", tmp_path) / 255
    error = 5 / np.sqrt(found.size)
    assert abs(found.mean() - 0.5) < error * np.sqrt(1 / 12)
    assert abs(found.var() - 1 / 12) < error * 0.25
    assert (found.min(), found.max()) == (0, 1)
    # The ends of 256 grey levels are rounded to from half as far as the others.
    assert abs(np.mean(found == 0) - 0.5 / 255) < error * np.sqrt(0.5 / 255)
    assert abs(np.mean(found == 1 / 255) - 1 / 255) < error * np.sqrt(1 / 255)


def test_list_is_parsed_once_and_whoever_has_it_cannot_change_it_for_others(
    copied_splits: Path, monkeypatch
):
    calls: Counter[str] = Counter()
    counted(monkeypatch, lists, "parse_csv", calls)
    lists._cells.cache_clear()
    first, second = load_split("digits", 1), load_split("digits", 1)
    assert calls == {"parse_csv": 1}
    assert first.train.tolist() == second.train.tolist()
    first.train[:] = 0
    assert second.train.any()
    assert load_split("digits", 1).train.tolist() == second.train.tolist()


def test_list_that_is_damaged_after_it_was_read_is_found_out(copied_splits: Path):
    load_split("digits", 1)
    path = copied_splits / "digits/subset-1.csv"
    path.write_bytes(path.read_bytes().replace(b"train", b"val", 1))
    with pytest.raises(DataError, match="damaged"):
        load_split("digits", 1)


# --- held out of the training, for tuning --------------------------------------------------------

LONG_TAILED = [(name, subset) for name, subset in SUBSETS if "-lt-" in name]


@pytest.mark.parametrize(("name", "subset"), LONG_TAILED)
def test_held_out_list_is_a_fifth_of_each_class_and_hashed(name: str, subset: int):
    split = load_split(name, subset)
    path = splits_folder() / name / f"held-out-{subset}.csv"
    with path.open() as file:
        rows = [(int(line["index"]), int(line["label"])) for line in csv.DictReader(file)]
    assert list(zip(split.held_out, split.held_out_labels, strict=True)) == rows
    counts = Counter(label for _, label in rows)
    fifths = [max(count // 5, int(count > 1)) for count in split.class_counts]
    assert [counts[label] for label in range(split.num_classes)] == fifths
    held_out = dict(rows)
    left = [row for row in split.train.tolist() if row not in held_out]
    assert len(left) == len(split.train) - len(rows)
    recorded = json.loads((splits_folder() / name / "hashes.json").read_text())["subsets"]
    of_both = hashlib.sha256(np.array([*left, *held_out], dtype="<i8").tobytes()).hexdigest()
    assert recorded[str(subset)]["held_out"]["index_sha256"] == of_both
    assert split.index_sha256("train") == of_both
    assert split.index_sha256("trainval") == split.hashes.index_sha256 != of_both


def test_damaged_list_of_held_out_images_is_refused_by_name(copied_splits: Path):
    shipped = shipped_root() / "splits"
    shutil.copy(shipped / "cifar10-lt-200.yaml", copied_splits)
    shutil.copytree(shipped / "cifar10-lt-200", copied_splits / "cifar10-lt-200")
    path = copied_splits / "cifar10-lt-200/held-out-0.csv"
    path.write_text(path.read_text().replace("index,label", "index,lable"))
    with pytest.raises(DataError, match=f"{path}: SHA-256 is"):
        load_split("cifar10-lt-200")


@pytest.fixture
def tail(copied_splits: Path, tiny: Path) -> Path:
    """The data folder of `tiny`, with a split `tail` of 4 images of each class but the last: 3."""
    text = (copied_splits / "tiny.yaml").read_text()
    text = text.replace("tiny", "tail").replace("exclude: {file", "exclude: {of: tiny, file")
    rule = "rule: {kind: long-tailed, ratio: 0.8}"
    text = text.replace("rule: {kind: by-position, train: 1, val: 1}", rule)
    (copied_splits / "tail.yaml").write_text(text)
    derive_split("tail", open_source(tiny))
    return tiny


def test_protocol_trains_on_what_is_held_out_and_fit_train_does_not(tail: Path):
    split, source = load_split("tail"), open_source(tail)
    expected = fakes.pixels_of(fakes.cifar_rows(40, seed=1))
    whole, rest = (load_images(split, source, fit=fit).fit for fit in ("trainval", "train"))
    assert np.array_equal(whole.images, expected[split.train])
    assert np.array_equal(rest.images, expected[np.setdiff1d(split.train, split.held_out, True)])
    assert split.counts_of("trainval") == split.class_counts == [4, *[3] * 9]
    assert split.counts_of("train") == [3, *[2] * 9]
    tuned = load_tuning_images(split, source)
    assert np.array_equal(tuned.fit.images, rest.images)
    assert np.array_equal(tuned.test.images, expected[split.held_out])
    assert tuned.test.labels.tolist() == split.held_out_labels.tolist() == [*range(10)]
    assert states("tail", tail)[0] == (0, "same", "rows and images (official files)")


def test_record_that_is_older_than_the_held_out_list_was_trained_on_all(tail: Path):
    split = load_split("tail")
    assert split.fit_of("train", split.hashes.index_sha256) == "trainval"
    assert split.fit_of("train", split.index_sha256("train")) == "train"
    assert load_split("tiny").fit_of("train", load_split("tiny").hashes.index_sha256) == "train"


def test_held_out_list_that_the_rule_does_not_give_differs(tail: Path, copied_splits: Path):
    path, recorded = copied_splits / "tail/held-out-0.csv", copied_splits / "tail/hashes.json"
    header, _, *rest = path.read_text().splitlines(keepends=True)
    before = hashlib.sha256(path.read_bytes()).hexdigest()
    path.write_text("".join([header, *rest]))
    after = hashlib.sha256(path.read_bytes()).hexdigest()
    recorded.write_text(recorded.read_text().replace(before, after))
    assert states("tail", tail)[0] == (0, "differs", "the rule gives other rows or labels")


def test_tuning_images_are_of_the_training_part_alone(tiny: Path):
    split, asked = load_split("tiny", 1), []

    class Watched(Folder):
        def part(self, dataset: str, part: str):
            asked.append((dataset, part))
            return super().part(dataset, part)

    images = load_tuning_images(split, Watched(tiny))
    assert asked == [("cifar10", "train")]
    expected = fakes.pixels_of(fakes.cifar_rows(40, seed=1))
    assert np.array_equal(images.fit.images, expected[20:30])
    assert np.array_equal(images.test.images, expected[30:])
    assert (images.ood, images.missing_ood) == ({}, {})
    with pytest.raises(UsageError, match="fit=trainval: what settings are tuned on is not"):
        load_tuning_images(split, Watched(tiny), fit="trainval")


def test_split_that_holds_nothing_out_cannot_be_tuned_on(copied_splits: Path, tiny: Path):
    text = (copied_splits / "tiny.yaml").read_text().replace("val: 1", "val: 0")
    (copied_splits / "tiny.yaml").write_text(text)
    derive_split("tiny", open_source(tiny))
    with pytest.raises(UsageError, match="split tiny holds nothing out of its training"):
        load_tuning_images(load_split("tiny"), open_source(tiny))
