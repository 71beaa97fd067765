import subprocess
import sys

import numpy as np
import pytest
import scipy.special
import scipy.stats
from hypothesis import example, given
from hypothesis import strategies as st
from sklearn.metrics import auc, precision_recall_curve, roc_auc_score, roc_curve

from dcbench.errors import UsageError
from dcbench.metrics import ood_detection, ood_scores

SCORES = st.lists(st.integers(-5, 5), min_size=1, max_size=30)
FINITE = st.floats(allow_nan=False, allow_infinity=False)
TIED = st.sampled_from([-1.5, -1.0, 0.0, 0.1, 0.3, 0.1 + 0.2, 1e6])
ANY_SCORES = st.lists(FINITE | TIED, min_size=1, max_size=30)


def by_scikit_learn(inside, outside) -> dict[str, float]:
    scores = np.concatenate([inside, outside])
    is_id = np.arange(len(scores)) < len(inside)
    found = {"auroc": roc_auc_score(is_id, scores)}
    for aupr, fpr95, positive, values in [
        ("aupr_in", "fpr95_id_pos", is_id, scores),
        ("aupr_out", "fpr95_ood_pos", ~is_id, -scores),
    ]:
        precision, recall, _ = precision_recall_curve(positive, values)
        found[aupr] = auc(recall, precision)
        fpr, tpr, _ = roc_curve(positive, values, drop_intermediate=False)
        found[fpr95] = fpr[np.argmax(tpr >= 0.95)]
    return found


def test_scores_golden_vector():
    scores = ood_scores([[2.0, 0.5, -1.0]])
    assert scores["msp"] == pytest.approx([0.785597], abs=1e-6)
    assert scores["max_logit"] == pytest.approx([2.0])
    assert scores["entropy"] == pytest.approx([-0.621585], abs=1e-6)
    assert scores["energy"] == pytest.approx([2.241311], abs=1e-6)


def test_scores_agree_with_scipy():
    logits = np.random.default_rng(0).normal(scale=4, size=(50, 10))
    probs = scipy.special.softmax(logits, axis=1)
    scores = ood_scores(logits)
    np.testing.assert_allclose(scores["msp"], probs.max(axis=1))
    np.testing.assert_allclose(scores["entropy"], -scipy.stats.entropy(probs, axis=1))
    np.testing.assert_allclose(scores["energy"], scipy.special.logsumexp(logits, axis=1))


def test_every_score_is_larger_for_the_more_confident_row():
    for name, (sure, unsure) in ood_scores([[9.0, 0.0, 0.0], [1.0, 0.9, 0.8]]).items():
        assert sure > unsure, name


def test_scores_of_saturated_logits_are_finite():
    scores = ood_scores(np.array([[1e4, -1e4]], dtype=np.float32))
    assert {name: value.tolist() for name, value in scores.items()} == {
        "msp": [1.0],
        "max_logit": [1e4],
        "entropy": [0.0],
        "energy": [1e4],
    }


def test_separated_scores_are_detected_perfectly():
    assert ood_detection([3.0, 4.0], [1.0, 2.0]) == {
        "auroc": 1.0,
        "aupr_in": 1.0,
        "aupr_out": 1.0,
        "fpr95_ood_pos": 0.0,
        "fpr95_id_pos": 0.0,
    }


def test_auroc_is_the_share_of_pairs_in_the_right_order_with_ties_as_half():
    # ID 3, 1 against OOD 2, 1: 3>2 and 3>1 right, 1<2 wrong, 1=1 half -> 2.5 of 4
    assert ood_detection([3, 1], [2, 1])["auroc"] == pytest.approx(2.5 / 4)


def test_aupr_is_the_trapezoid_area_of_the_class_it_is_named_for():
    # descending: ID 4, OOD 3, ID 2, OOD 1. (recall, precision) for ID, from no row to all:
    # (0,1) (1/2,1) (1/2,1/2) (1,2/3) (1,1/2) -> area 1/2 * 1 + 1/2 * (1/2 + 2/3) / 2
    # for OOD, ascending: OOD, ID, OOD, ID, the same curve
    result = ood_detection([4, 2], [3, 1])
    assert result["aupr_in"] == pytest.approx(1 / 2 + 7 / 24)
    assert result["aupr_out"] == pytest.approx(1 / 2 + 7 / 24)


def test_aupr_in_and_out_differ_when_one_set_is_larger():
    # constant score: one threshold, precision = share of positives; trapezoid from (0, 1)
    result = ood_detection([0.0], [0.0, 0.0, 0.0])
    assert result["aupr_in"] == pytest.approx((1 + 1 / 4) / 2)
    assert result["aupr_out"] == pytest.approx((1 + 3 / 4) / 2)


def test_the_two_fpr95_are_not_the_same_number():
    # ID: 19 images at 10 and one at 0; OOD: 10 images at 5 and 10 at -5.
    # ID positive: 19 of 20 ID images pass at threshold 10, no OOD image does -> 0.
    # OOD positive: 19 of 20 OOD images are only caught by rejecting all at most 5 -> 1 ID of 20.
    result = ood_detection([10] * 19 + [0], [5] * 10 + [-5] * 10)
    assert result["fpr95_id_pos"] == 0.0
    assert result["fpr95_ood_pos"] == 1 / 20


def test_fpr95_stops_at_exactly_95_percent():
    # 19 of the 20 ID scores 1..20 are at least 2; OOD scores 1.5 stay below, 2 would pass
    ids = np.arange(1, 21)
    assert ood_detection(ids, [1.5, 1.5])["fpr95_id_pos"] == 0.0
    assert ood_detection(ids, [1.5, 2.0])["fpr95_id_pos"] == 0.5


@pytest.mark.parametrize("seed", range(3))
def test_detection_agrees_with_scikit_learn_on_uneven_sets(seed):
    rng = np.random.default_rng(seed)
    inside, outside = rng.normal(1.0, 1.0, 300), rng.normal(0.0, 2.0, 170)
    scores = np.concatenate([inside, outside])
    is_ood = np.arange(470) >= 300
    result = ood_detection(inside, outside)
    assert result["auroc"] == pytest.approx(roc_auc_score(is_ood, -scores))
    for name, positive, values in [("in", ~is_ood, scores), ("out", is_ood, -scores)]:
        precision, recall, _ = precision_recall_curve(positive, values)
        assert result[f"aupr_{name}"] == pytest.approx(auc(recall, precision))
    for name, positive, values in [("id", ~is_ood, scores), ("ood", is_ood, -scores)]:
        fpr, tpr, _ = roc_curve(positive, values, drop_intermediate=False)
        assert result[f"fpr95_{name}_pos"] == pytest.approx(fpr[np.argmax(tpr >= 0.95)])


@given(ANY_SCORES, ANY_SCORES)
@example([0.25] * 7, [0.25] * 3)
@example([1.0], [0.0])
@example([0.0], [1.0])
@example([0.0, -0.0], [-0.0, 5e-324])
def test_detection_agrees_with_scikit_learn_however_scores_are_tied(inside, outside):
    assert ood_detection(inside, outside) == pytest.approx(
        by_scikit_learn(inside, outside), rel=0, abs=1e-12
    )


def test_detection_agrees_with_scikit_learn_on_sets_of_the_usual_size():
    rng = np.random.default_rng(0)
    inside, outside = (
        np.round(rng.normal(mean, 1, size), 3) for mean, size in [(1, 10_000), (0, 26_000)]
    )
    assert ood_detection(inside, outside) == pytest.approx(
        by_scikit_learn(inside, outside), rel=0, abs=1e-12
    )


@given(SCORES, SCORES)
def test_fpr95_agrees_with_the_full_roc_curve_when_scores_are_tied(inside, outside):
    is_id = np.arange(len(inside) + len(outside)) < len(inside)
    fpr, tpr, _ = roc_curve(is_id, inside + outside, drop_intermediate=False)
    expected = fpr[np.argmax(tpr >= 0.95)]
    assert ood_detection(inside, outside)["fpr95_id_pos"] == pytest.approx(expected)


@given(SCORES, SCORES)
def test_swapping_and_negating_the_sets_swaps_the_roles(inside, outside):
    result = ood_detection(inside, outside)
    swapped = ood_detection(outside, inside)
    assert result["auroc"] + swapped["auroc"] == pytest.approx(1)
    mirrored = ood_detection(-np.array(outside), -np.array(inside))
    assert mirrored["aupr_in"] == pytest.approx(result["aupr_out"])
    assert mirrored["fpr95_id_pos"] == pytest.approx(result["fpr95_ood_pos"])


@given(SCORES, SCORES, st.randoms(use_true_random=False))
def test_only_the_order_of_the_scores_matters(inside, outside, random):
    result = ood_detection(inside, outside)
    stretched = ood_detection(np.exp(inside), np.exp(outside))
    assert stretched == pytest.approx(result)
    random.shuffle(inside)
    assert ood_detection(inside, outside) == pytest.approx(result)
    assert all(0 <= value <= 1 + 1e-12 for value in result.values())


@pytest.mark.parametrize(
    ("inside", "outside", "message"),
    [
        ([], [1.0], "id_scores must not be empty"),
        ([1.0], [], "ood_scores must not be empty"),
        ([1.0], [np.nan], "ood_scores must be finite; 1 values are not"),
        ([[1.0]], [1.0], r"id_scores must have shape \[N\]; got \(1, 1\)"),
    ],
)
def test_bad_detection_scores_are_refused_with_what_is_wrong(inside, outside, message):
    with pytest.raises(UsageError, match=message):
        ood_detection(inside, outside)


def test_infinite_logits_are_refused():
    with pytest.raises(UsageError, match="logits must be finite"):
        ood_scores([[np.inf, 0.0]])


def test_importing_the_metrics_loads_neither_torch_nor_scikit_learn():
    code = (
        "import sys, dcbench.metrics.ood; "
        "sys.exit(bool({'torch', 'sklearn', 'scipy'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
