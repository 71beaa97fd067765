from __future__ import annotations

import hashlib

import numpy as np
import pytest
from pydantic import BaseModel, TypeAdapter, ValidationError

from dcbench.data.rules import ByPosition, Everything, LongTailed, Rule
from dcbench.errors import UsageError


def shuffled_labels(num_classes: int, of_each: int, seed: int = 3) -> np.ndarray:
    """Labels in an order of no use, as those of a dataset."""
    labels = np.repeat(np.arange(num_classes), of_each)
    return np.random.default_rng(seed).permutation(labels)


def positions_in_class(rows: np.ndarray, labels: np.ndarray) -> dict[int, list[int]]:
    """For each class, the positions of the rows among the members of the class in file order."""
    rank = np.empty(len(labels), dtype=np.int64)
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        rank[members] = np.arange(len(members))
    return {int(c): rank[rows[labels[rows] == c]].tolist() for c in np.unique(labels)}


def long_tailed(num_classes: int, ratio: float, subset: int = 0) -> tuple[np.ndarray, np.ndarray]:
    labels = shuffled_labels(num_classes, 50_000 // num_classes)
    rule = LongTailed(kind="long-tailed", ratio=ratio)
    return labels, rule.select(labels, num_classes, subset).train


# First five positions within the first and the last class, and the hash of the positions of all,
# of imbalance_cifar.py's generator with rand_number 0.
@pytest.mark.parametrize(
    ("num_classes", "ratio", "first", "last", "sha256"),
    [
        (
            10,
            0.1,
            [398, 3833, 4836, 4572, 636],
            [2204, 3816, 2206, 2507, 1926],
            "2b3a8656bec514c6",
        ),
        (
            10,
            0.01,
            [398, 3833, 4836, 4572, 636],
            [2204, 3816, 2206, 2507, 1926],
            "8a54f5b6fa972295",
        ),
        (100, 0.1, [90, 254, 283, 445, 461], [348, 153, 363, 361, 299], "5906ba7310b91b5e"),
        (100, 0.01, [90, 254, 283, 445, 461], [348, 153, 363, 361, 299], "f123ec136d44ab1b"),
    ],
)
def test_long_tailed_images_are_those_of_the_official_generator(
    num_classes, ratio, first, last, sha256
):
    labels, rows = long_tailed(num_classes, ratio)
    positions = positions_in_class(rows, labels)
    assert positions[0][:5] == first
    assert positions[num_classes - 1][:5] == last
    joined = np.concatenate([positions[c] for c in range(num_classes)]).astype("<i8")
    assert hashlib.sha256(joined.tobytes()).hexdigest()[:16] == sha256
    assert rows.dtype == np.int64


def test_long_tailed_rows_come_class_after_class():
    labels, rows = long_tailed(10, 0.1)
    assert (np.diff(labels[rows]) >= 0).all()


def test_long_tailed_subsets_come_from_numpys_global_legacy_generator_of_their_number():
    labels = shuffled_labels(10, 100)
    for subset in (1, 2):
        np.random.seed(subset)  # noqa: NPY002 - as the official code does
        expected = []
        for label, count in enumerate([100, 77, 59, 46, 35, 27, 21, 16, 12, 10]):
            members = np.where(labels == label)[0]
            np.random.shuffle(members)  # noqa: NPY002
            expected.extend(members[:count].tolist())
        rule = LongTailed(kind="long-tailed", ratio=0.1)
        assert rule.select(labels, 10, subset).train.tolist() == expected


def test_long_tailed_selection_leaves_the_global_generator_alone():
    np.random.seed(0)  # noqa: NPY002
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    long_tailed(10, 0.01)
    assert np.array_equal(np.random.get_state()[1], before)  # noqa: NPY002


@pytest.mark.parametrize(
    ("ratio", "counts", "total"),
    [
        (0.1, [5000, 3871, 2997, 2320, 1796, 1391, 1077, 834, 645, 500], 20_431),
        (0.01, [5000, 2997, 1796, 1077, 645, 387, 232, 139, 83, 50], 12_406),
    ],
)
def test_long_tailed_cifar10_has_the_published_counts(ratio, counts, total):
    labels, rows = long_tailed(10, ratio)
    assert np.bincount(labels[rows]).tolist() == counts
    assert len(set(rows.tolist())) == len(rows) == total


@pytest.mark.parametrize(
    ("num_classes", "ratio", "total", "sizes"),
    [
        (10, 0.1, 20_431, (10, 0, 0)),
        (10, 0.01, 12_406, (8, 2, 0)),
        (100, 0.1, 19_573, (69, 31, 0)),
        (100, 0.01, 10_847, (35, 35, 30)),
    ],
)
def test_long_tailed_counts_make_the_published_many_medium_and_few(
    num_classes, ratio, total, sizes
):
    labels, rows = long_tailed(num_classes, ratio)
    counts = np.bincount(labels[rows])
    assert counts.sum() == total
    many, few = counts > 100, counts < 20
    assert (many.sum(), (~many & ~few).sum(), few.sum()) == sizes


def test_long_tailed_class_69_of_100_lies_on_the_edges_of_the_medium_group():
    # int(500 * 0.1 ** (69 / 99)) and int(500 * 0.01 ** (69 / 99)) by hand: 100.47 and 20.19
    for ratio, count in ((0.1, 100), (0.01, 20)):
        labels, rows = long_tailed(100, ratio)
        assert np.bincount(labels[rows])[69] == count
        assert np.bincount(labels[rows])[[0, 99]].tolist() == [500, round(500 * ratio)]


@pytest.mark.parametrize("num_classes", [10, 100])
def test_the_smaller_ratio_keeps_a_prefix_of_each_class(num_classes: int):
    labels, longer = long_tailed(num_classes, 0.1)
    _, shorter = long_tailed(num_classes, 0.01)
    of_longer = positions_in_class(longer, labels)
    for label, positions in positions_in_class(shorter, labels).items():
        assert of_longer[label][: len(positions)] == positions


def test_long_tailed_subsets_are_other_draws_of_the_same_sizes():
    draws = [long_tailed(10, 0.01, subset) for subset in range(3)]
    assert len({rows.tobytes() for _, rows in draws}) == 3
    assert len({tuple(np.bincount(labels[rows])) for labels, rows in draws}) == 1


def test_a_long_tailed_split_has_no_validation_part():
    labels = shuffled_labels(10, 50)
    val = LongTailed(kind="long-tailed", ratio=0.1).select(labels, 10, 0).val
    assert val.shape == (0,)
    assert val.dtype == np.int64


def test_ratio_1_keeps_every_image():
    labels = shuffled_labels(4, 9)
    rows = LongTailed(kind="long-tailed", ratio=1.0).select(labels, 4, 0).train
    assert sorted(rows.tolist()) == list(range(36))


@pytest.mark.parametrize(
    ("subset", "train", "val"),
    [
        (0, range(30), range(30, 50)),
        (1, range(50, 80), range(80, 100)),
        (2, range(100, 130), range(130, 150)),
    ],
)
def test_by_position_takes_the_blocks_of_deic_and_gem(subset, train, val):
    labels = shuffled_labels(10, 200)
    rule = ByPosition(kind="by-position", train=30, val=20)
    selection = rule.select(labels, 10, subset)
    for found, expected in ((selection.train, train), (selection.val, val)):
        positions = positions_in_class(found, labels)
        assert all(positions[label] == list(expected) for label in range(10))
        assert (np.diff(labels[found]) >= 0).all()
        assert found.dtype == np.int64


def test_by_position_of_a_few_labels_by_hand():
    labels = np.array([1, 0, 0, 1, 1, 0, 0, 1])
    rule = ByPosition(kind="by-position", train=1, val=1)
    first, second = rule.select(labels, 2, 0), rule.select(labels, 2, 1)
    assert (first.train.tolist(), first.val.tolist()) == ([1, 0], [2, 3])
    assert (second.train.tolist(), second.val.tolist()) == ([5, 4], [6, 7])


def test_by_position_may_do_without_a_validation_part():
    labels = np.array([1, 0, 0, 1])
    selection = ByPosition(kind="by-position", train=1, val=0).select(labels, 2, 1)
    assert selection.train.tolist() == [2, 3]
    assert selection.val.tolist() == []


def test_by_position_is_refused_where_a_class_has_too_few_images():
    labels = np.array([0] * 10 + [1] * 9)
    rule = ByPosition(kind="by-position", train=3, val=2)
    assert len(rule.select(labels, 2, 0).val) == 4
    with pytest.raises(UsageError, match=r"subset 1 needs 10 images.*class 1 has 9"):
        rule.select(labels, 2, 1)


def test_everything_holds_out_the_last_images_of_each_class_in_file_order():
    labels = np.array([0, 1, 0, 1, 0, 1, 0, 1, 2, 2, 2])
    selection = Everything(kind="everything", val=2).select(labels, 3, 0)
    assert selection.val.tolist() == [4, 5, 6, 7, 9, 10]
    assert selection.train.tolist() == [0, 1, 2, 3, 8]


def test_everything_without_validation_is_every_row_in_file_order():
    labels = shuffled_labels(3, 5)
    selection = Everything(kind="everything", val=0).select(labels, 3, 0)
    assert selection.train.tolist() == list(range(15))
    assert selection.val.tolist() == []


def test_everything_gives_each_row_once():
    labels = shuffled_labels(100, 20)
    selection = Everything(kind="everything", val=5).select(labels, 100, 0)
    assert np.bincount(labels[selection.val]).tolist() == [5] * 100
    assert sorted([*selection.train.tolist(), *selection.val.tolist()]) == list(range(2000))


@pytest.mark.parametrize(
    "values",
    [
        {"kind": "by-position", "train": 0, "val": 1},
        {"kind": "by-position", "train": 1, "val": -1},
        {"kind": "by-position", "train": 1},
        {"kind": "long-tailed", "ratio": 0},
        {"kind": "long-tailed", "ratio": 1.01},
        {"kind": "long-tailed", "ratio": 0.1, "train": 3},
        {"kind": "everything", "val": -1},
        {"kind": "random"},
        {"ratio": 0.1},
    ],
)
def test_a_rule_that_makes_no_sense_is_refused(values):
    with pytest.raises(ValidationError):
        TypeAdapter(Rule).validate_python(values)


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ({"kind": "by-position", "train": 1, "val": 0}, ByPosition),
        ({"kind": "long-tailed", "ratio": 0.5}, LongTailed),
        ({"kind": "everything", "val": 0}, Everything),
    ],
)
def test_a_rule_is_chosen_by_its_kind(values, kind):
    rule: BaseModel = TypeAdapter(Rule).validate_python(values)
    assert type(rule) is kind


# Images of a class, and how many of them are held out: a fifth, and one of two or more.
@pytest.mark.parametrize(
    ("count", "held_out"), [(1, 0), (2, 1), (4, 1), (9, 1), (10, 2), (14, 2), (500, 100)]
)
def test_long_tail_holds_the_last_fifth_of_each_class_out_of_its_own_shuffle(count, held_out):
    rule = LongTailed(kind="long-tailed", ratio=1)
    labels = shuffled_labels(3, count)
    train, val, tuning = rule.select(labels, 3, 0)
    assert len(val) == 0
    for label in range(3):
        of_class = train[labels[train] == label].tolist()
        assert tuning[labels[tuning] == label].tolist() == of_class[len(of_class) - held_out :]
