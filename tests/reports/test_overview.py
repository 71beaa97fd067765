from dcbench.reports.overview import MethodStanding, overview_rows, sentences

STANDINGS = [
    MethodStanding("cifair10", "erm", 0.5, 10, 10, 2),
    MethodStanding("cifair10", "mixup", 0.61, 10, 10, 1),
    MethodStanding("cifair10", "cutmix", 0.7, 3, 10, None),
    MethodStanding("digits", "erm", 0.8, 10, 10, 1),
    MethodStanding("digits", "mixup", 0.81, 10, 10, 1),
]


def test_methods_stand_by_splits_with_their_marks_and_the_most_often_best_first():
    columns, rows = overview_rows(STANDINGS)
    assert columns == ["method", "cifair10", "digits"]
    assert rows == [
        ["mixup", "61.0*", "81.0*"],
        ["erm", "50.0", "80.0*"],
        ["cutmix", "70.0 3/10", "–"],
    ]


def test_what_is_missing_is_said_split_by_split():
    marks, lacking = sentences("v1-lite", STANDINGS)
    assert marks.startswith("* best, or not significantly different from the best")
    assert lacking == "cifair10: 1 of 3 methods have too few runs for a rank"
    absent = "cifair100: left out: no run of subset 0, which this table is of"
    assert sentences("v1-lite", STANDINGS, ["cifair100"]) == [marks, lacking, absent]
    assert sentences("v1-lite", [], ["cifair100"]) == [absent]
    assert sentences("v1", []) == [
        "v1: no rows yet; `dcbench plan SPLIT --protocol v1` lists its runs"
    ]
