"""What the page says first, and what it says of protocols and cost."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from dcbench.leaderboard.boards import Board
from dcbench.reports.page.about import about_protocols, trained_images, training_of
from dcbench.reports.page.content import method_tables, slugs
from dcbench.reports.page.cost import relative_costs
from dcbench.reports.page.overview import Answer, Cell, overview_of
from tests.reports.page.made import board, reported, two_boards
from tests.reports.page.test_rendering import made
from tests.reports.test_latex import of_later_subsets


def answer_of(shown: Board) -> Answer:
    [table] = method_tables(shown)
    [answer] = overview_of(shown.protocol, {"key": (shown, table)}).answers
    return answer


def test_answer_names_the_pick_what_is_level_with_it_and_how_much_it_gains():
    answer = answer_of(two_boards()[0])
    assert answer.images == "50 images of each of 10 classes"
    assert answer.pick is not None
    assert answer.pick.method == "ic-mixup"
    # ic-mixup 54, 54, 55.5; erm 9.5, 10, 10.5: differences 44.5, 44, 45 of standard error 0.2887
    # and t(0.975, 2) = 4.3027
    assert answer.sure == [
        "These runs do not separate it from mixup; it is significantly better than the other 2 "
        "methods with all runs.",
        "+44.5 points over erm: 95 % interval +43.3 to +45.7, 3 paired runs.",
        "Not ranked, for too few runs: one method; remix may be better: 60.50 % in 2 runs.",
    ]


def test_no_answer_is_given_where_no_method_has_all_its_runs():
    answer = answer_of(board({"erm": (0.5, 0.6), "mixup": (0.7,)}, {}))
    assert answer.pick is None
    assert answer.sure == [
        "Not decided: a rank takes 3 runs of a method, and 2 methods have at most 2."
    ]


def test_numbers_of_other_subsets_are_no_answer():
    first = two_boards()[0]
    later = of_later_subsets(first)
    answer = answer_of(later)
    assert answer.pick is None
    assert answer.sure == ["No run is of subset 0, which these answers are of."]
    [table], [others] = method_tables(first), method_tables(later)
    both = overview_of("v1-lite", {"key": (first, table), "other": (later, others)})
    assert {cells[1] for _, cells in both.rows} == {Cell()}


def test_cells_say_who_is_best_and_who_has_too_few_runs():
    first = two_boards()[0]
    [table] = method_tables(first)
    rows = dict(overview_of("v1-lite", {"key": (first, table)}).rows)
    marks = {method: (cell.text, cell.mark) for method, [cell] in rows.items()}
    assert marks["mixup"] == ("53.00", "★")
    assert marks["erm"] == ("10.00", "")
    assert marks["remix"] == ("60.50", "2/3")
    assert list(rows)[:2] == ["ic-mixup", "mixup"]
    other = board({"cutmix": (0.5,)}, {}, split="digits")
    [fewer] = method_tables(other)
    both = overview_of("v1-lite", {"key": (first, table), "other": (other, fewer)})
    assert dict(both.rows)["cutmix"][0] == Cell()


def test_amount_of_data_counts_what_is_trained_on():
    assert trained_images("v1-lite", "cifair10-common") == "50 images of each of 10 classes"
    assert trained_images("v1-lite", "cifar10-lt-100") == (
        "5,000 to 50 images of a class, 10 classes"
    )


def test_protocol_without_runs_says_so_and_the_other_what_it_is():
    lite, standard = about_protocols([board({"erm": (0.5,)}, {}, split="cifar10-lt-100")])
    assert (lite.name, lite.empty) == ("v1-lite", False)
    assert lite.said[0] == "It trains wrn-10-1 for 20 epochs."
    assert "resnet-32 for 200 epochs" in lite.said[1]
    assert "do not compare these numbers with those of papers" in lite.said[1]
    assert (standard.name, standard.empty) == ("v1", True)
    assert "No runs yet" in standard.said[0]
    assert [about.empty for about in about_protocols(two_boards())] == [False, False]


def test_reported_numbers_stand_beside_what_was_trained_here(tmp_path: Path):
    lite = board({"erm": (0.476,)}, {}, split="cifar10-lt-100")
    published = [reported("erm", 0.7187, split="cifar10-lt-100")]
    words = made(tmp_path, [lite], published).words()
    assert training_of("v1-lite", "cifar10-lt-100").there == (
        "resnet-32 for 200 epochs, in batches of 128"
    )
    assert "v1 trains resnet-32 for 200 epochs" in words
    assert "The rows above trained wrn-10-1 for 20 epochs" in words
    assert "no failed reproduction" in words


def test_track_says_in_what_it_departs_from_the_protocol():
    for track, words in (
        ("open", "but for the network or augmentation"),
        ("extra-data", "but for images beside the split's"),
        ("tuned(20)", "but for settings that a search has found"),
    ):
        training = training_of("v1-lite", "cifar10-lt-100", track)
        assert training.here.startswith("wrn-10-1 for 20 epochs, in batches of 128, but for")
        assert words in training.here
        assert training.there == ""


def timed(*rows: tuple[str, str, float, float | None]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["method", "device", "train_seconds", "model_flops"])


def test_cost_is_the_fastest_run_beside_that_of_erm_on_the_same_machine():
    erm = [("erm", "a", 10.0, 4.0), ("erm", "a", 80.0, 4.0), ("erm", "a", 12.0, 4.0)]
    sam = [("sam", "a", 21.0, 8.0), ("sam", "a", 300.0, 8.0), ("sam", "a", 20.0, 8.0)]
    other = [("sam", "b", 1.0, 8.0)]
    found = relative_costs(timed(*erm, *sam, *other))["sam"]
    assert (found.text, found.flops_text) == ("2.0×", "2.0× FLOPs")


def test_cost_of_few_runs_is_a_bound_and_of_another_machine_none():
    erm = [("erm", "a", 10.0, None)] * 3
    found = relative_costs(timed(*erm, ("sam", "a", 45.0, None), ("swa", "b", 9.0, None)))
    assert (found["sam"].text, found["sam"].flops_text) == ("≤ 4.5×", "")
    assert found["swa"].text == "–"
    assert relative_costs(timed(*erm[:2], ("sam", "a", 45.0, None)))["sam"].text == "–"


def test_cost_of_a_method_without_all_its_runs_is_a_bound():
    [table] = method_tables(
        board({"erm": (0.1,) * 4, "mixup": (0.2,) * 4, "sam": (0.4,) * 3}, {}, asked=4)
    )
    costs = {row.method: row.cost.text for row in table.rows}
    assert costs == {"erm": "1.0×", "mixup": "2.0×", "sam": "≤ 4.0×"}


def test_runs_that_shared_a_device_are_not_compared_with_others():
    rows = timed(*[("erm", "a", 10.0, None)] * 3, *[("sam", "a", 20.0, None)] * 3)
    shared = rows.assign(runs_together=[1] * 3 + [4] * 3)
    assert relative_costs(shared)["sam"].text == "–"
    assert relative_costs(rows)["sam"].text == "2.0×"
    assert relative_costs(rows.drop(columns=["train_seconds"]))["sam"].text == "–"


def test_names_that_differ_in_signs_alone_have_addresses_of_their_own():
    assert slugs(["a[b=1]", "a-b-1", "[]", "ic-mixup"]) == {
        "a-b-1": "a-b-1",
        "a[b=1]": "a-b-1-2",
        "[]": "method",
        "ic-mixup": "ic-mixup",
    }
