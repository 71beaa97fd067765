import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, balanced_accuracy_score, recall_score

from dcbench.errors import UsageError
from dcbench.metrics import accuracy, balanced_accuracy, class_recall, group_accuracy


def one_hot(predictions, num_classes):
    return np.eye(num_classes)[np.asarray(predictions)]


def random_scores(seed, num_rows=200, num_classes=7):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(num_rows, num_classes)), rng.integers(num_classes, size=num_rows)


def test_accuracy_is_the_share_of_right_rows_not_a_percentage():
    assert accuracy(one_hot([0, 1, 2, 2], 3), [0, 1, 2, 1]) == 3 / 4


def test_equal_scores_go_to_the_lowest_class():
    assert accuracy([[1.0, 1.0], [1.0, 1.0]], [0, 1]) == 0.5


@pytest.mark.parametrize("seed", range(3))
def test_accuracies_agree_with_scikit_learn(seed):
    logits, labels = random_scores(seed)
    predicted = logits.argmax(axis=1)
    assert accuracy(logits, labels) == pytest.approx(accuracy_score(labels, predicted))
    assert balanced_accuracy(logits, labels) == pytest.approx(
        balanced_accuracy_score(labels, predicted)
    )
    np.testing.assert_allclose(
        class_recall(logits, labels), recall_score(labels, predicted, average=None)
    )


def test_balanced_accuracy_weighs_a_rare_class_like_a_common_one():
    # class 0: 3 of 4 right, class 1: 0 of 1 right -> (3/4 + 0) / 2
    assert balanced_accuracy(one_hot([0, 0, 0, 1, 0], 2), [0, 0, 0, 0, 1]) == 3 / 8


def test_class_without_test_images_is_left_out_of_balanced_accuracy():
    logits, labels = one_hot([0, 0, 2], 3), [0, 0, 2]
    assert balanced_accuracy(logits, labels) == 1.0
    np.testing.assert_array_equal(class_recall(logits, labels), [1.0, np.nan, 1.0])


@given(st.integers(0, 2**32 - 1))
def test_order_of_rows_does_not_matter(seed):
    logits, labels = random_scores(seed, num_rows=40, num_classes=4)
    order = np.random.default_rng(seed).permutation(len(labels))
    counts = [500, 60, 20, 5]
    assert accuracy(logits[order], labels[order]) == accuracy(logits, labels)
    assert group_accuracy(logits[order], labels[order], counts) == group_accuracy(
        logits, labels, counts
    )


def test_exactly_100_and_exactly_20_training_images_are_medium():
    # recalls of classes 0..3: 1/2, 1, 0, 1/2
    predicted, labels = [0, 3, 1, 1, 0, 0, 3, 0], [0, 0, 1, 1, 2, 2, 3, 3]
    groups = group_accuracy(one_hot(predicted, 4), labels, [101, 100, 20, 19])
    assert groups == {
        "accuracy_many": 0.5,
        "accuracy_medium": (1 + 0) / 2,
        "accuracy_few": 0.5,
    }


def test_groups_average_classes_not_images():
    # both classes are "many": class 0 has 4 images and recall 1, class 1 one image and recall 0
    groups = group_accuracy(one_hot([0, 0, 0, 0, 0], 2), [0, 0, 0, 0, 1], [200, 300])
    assert groups["accuracy_many"] == 0.5


def test_empty_group_is_none_rather_than_zero():
    groups = group_accuracy(one_hot([0, 1], 2), [0, 1], [5000, 50])
    assert groups == {"accuracy_many": 1.0, "accuracy_medium": 1.0, "accuracy_few": None}


def test_group_whose_classes_are_not_tested_is_none():
    assert group_accuracy(one_hot([0], 2), [0], [5000, 5])["accuracy_few"] is None


@pytest.mark.parametrize(
    ("scores", "labels", "message"),
    [
        ([0.5, 0.5], [0, 1], r"scores must have shape \[N, C\]; got \(2,\)"),
        (np.zeros((0, 3)), [], "must not be empty"),
        ([[0.0, np.nan]], [0], "must be finite; 1 values are not"),
        ([["cat", "dog"]], [0], "must be an array of numbers"),
        ([[0.0, 1.0]], [0, 1], r"labels must have shape \(1,\), a row each; got \(2,\)"),
        ([[0.0, 1.0]], [2], r"labels must lie in 0\.\.1; got 2"),
        ([[0.0, 1.0]], [-1], r"labels must lie in 0\.\.1; got -1"),
        ([[0.0, 1.0]], [0.5], "labels must be integers; got float64"),
    ],
)
def test_bad_scores_or_labels_are_refused_with_what_is_wrong(scores, labels, message):
    with pytest.raises(UsageError, match=message) as caught:
        accuracy(scores, labels)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("class_counts", "message"),
    [
        ([1, 2, 3], r"class_counts must have shape \(2,\); got \(3,\)"),
        ([1.5, 2.0], "class_counts must be integers"),
        ([1, -2], "class_counts must not be negative; got -2"),
    ],
)
def test_bad_class_counts_are_refused_with_what_is_wrong(class_counts, message):
    with pytest.raises(UsageError, match=message):
        group_accuracy([[0.0, 1.0]], [0], class_counts)
