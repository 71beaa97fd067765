"""Stored runs compared: which are paired, what the tests say, and under which names they stand."""

import json
from pathlib import Path
from typing import Any

import pytest
from scipy import stats
from typer.testing import CliRunner

import dcbench
from dcbench.cli import app
from dcbench.errors import UsageError
from dcbench.leaderboard.comparison import Comparison, compare
from dcbench.metrics.measure import measure
from dcbench.metrics.table import find_metric
from dcbench.records import files
from dcbench.reports.compared import comparison_rows, comparison_table, verdict
from dcbench.reports.latex import to_latex, to_markdown
from tests.leaderboard.tampering import predictions
from tests.records.test_store import DIGITS, a_record

ERM = [0.50, 0.52, 0.47, 0.55, 0.51]
HIGHER = [0.56, 0.57, 0.53, 0.60, 0.58]
"""Higher than `ERM` by 0.05 to 0.07: p of the paired t-test is 6e-5."""
EQUAL = [0.51, 0.51, 0.48, 0.54, 0.51]


def put(root: Path, label: str, accuracies: list[float], **changes: Any) -> None:
    """A record a seed; predictions that are not stored differ from run to run."""
    metrics = measure(predictions(0), long_tailed=False, ood_sets=("gaussian", "uniform"))
    changes.setdefault("subset", 0)
    for seed, accuracy in enumerate(accuracies):
        folder = root / str(changes["subset"]) / label / str(seed)
        folder.mkdir(parents=True)
        file = {"file": "predictions.npz", "sha256": str(folder).encode().hex()[-64:]}
        content = {"label": label, "method": label.partition("[")[0], "predictions": file}
        measured = metrics.model_copy(update={"accuracy": accuracy})
        record = a_record(**{**content, "seed": seed, "metrics": measured, **changes})
        files.write_record(folder, record)


def one(*roots: Path, metrics: tuple[str, ...] = ("accuracy",), **options: Any) -> Comparison:
    [found] = compare(roots, metrics, **options)
    return found


def command(*arguments: object) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, ["compare", *map(str, arguments)])
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result.exit_code, result.stdout, result.stderr


def test_changed_recipe_is_told_from_the_default_over_five_seeds(tmp_path: Path):
    put(tmp_path, "erm", ERM)
    short = {**DIGITS, "epochs": 20}
    departs = {"status": "custom", "departures": ["epochs=20 instead of 60"]}
    put(tmp_path, "erm[epochs=20]", HIGHER, recipe=short, **departs)
    found = one(tmp_path)
    [each] = found.differences
    expected = stats.ttest_rel(HIGHER, ERM)
    assert (each.method, each.against, each.n) == ("erm[epochs=20]", "erm", 5)
    assert each.mean == pytest.approx(0.058)
    assert (each.p, each.p_holm) == pytest.approx((expected.pvalue, expected.pvalue))
    assert found.recipe_of("erm[epochs=20]") == ["epochs=20 instead of 60"]
    code, said, noted = command(tmp_path)
    assert code == 0
    assert "significantly better" in said
    assert "digits, protocol v1: erm[epochs=20]: epochs=20 instead of 60" in said
    assert "rank" not in said
    assert "Holm's correction over one test of each metric" in noted


def test_holms_correction_is_over_all_methods_and_splits_of_a_metric(tmp_path: Path):
    put(tmp_path / "a", "erm", ERM)
    put(tmp_path / "a", "mixup", HIGHER)
    put(tmp_path / "b", "erm", ERM, split="cifair10")
    put(tmp_path / "b", "mixup", HIGHER, split="cifair10")
    put(tmp_path / "b", "remix", EQUAL, split="cifair10")
    found = compare([tmp_path], ["accuracy"])
    p = stats.ttest_rel(HIGHER, ERM).pvalue
    tests = {
        (group.board.split, each.method): each.p_holm
        for group in found
        for each in group.differences
    }
    # Holm (1979): the two equal p come first, times 3 and 2, and the second is not below the first.
    assert tests["digits", "mixup"] == pytest.approx(3 * p)
    assert tests["cifair10", "mixup"] == pytest.approx(3 * p)
    assert tests["cifair10", "remix"] == pytest.approx(stats.ttest_rel(EQUAL, ERM).pvalue)


def test_only_runs_of_equal_subset_and_seed_are_paired_and_one_pair_is_no_test(tmp_path: Path):
    put(tmp_path, "erm", ERM)
    put(tmp_path, "mixup", HIGHER[:1])
    put(tmp_path, "mixup", [0.9], subset=1)
    put(tmp_path, "remix", HIGHER)
    found = {each.method: each for each in one(tmp_path).differences}
    assert (found["mixup"].n, found["mixup"].mean) == (1, pytest.approx(0.06))
    assert found["mixup"].p_holm is None
    assert found["remix"].p_holm == pytest.approx(stats.ttest_rel(HIGHER, ERM).pvalue)
    accuracy = find_metric("accuracy")
    assert accuracy is not None
    assert verdict(found["mixup"], accuracy) == "too few pairs"


def test_lower_is_better_for_a_loss(tmp_path: Path):
    put(tmp_path, "erm", ERM)
    put(tmp_path, "mixup", HIGHER)
    [each] = one(tmp_path).differences
    nll, temperature = find_metric("nll"), find_metric("temperature")
    assert nll is not None
    assert temperature is not None
    assert verdict(each, nll) == "significantly worse"
    assert verdict(each, temperature) == "significantly higher"


def test_run_that_lies_in_two_folders_counts_once(tmp_path: Path):
    put(tmp_path / "results", "erm", ERM)
    put(tmp_path / "results", "mixup", HIGHER)
    found = one(tmp_path / "results", tmp_path / "results" / "0" / "erm")
    assert {name: len(runs) for name, runs in found.sides.items()} == {"erm": 5, "mixup": 5}


def test_same_runs_of_two_folders_are_sides_named_by_their_folders(tmp_path: Path):
    for name, accuracies in (("before", ERM), ("after", HIGHER)):
        put(tmp_path / name, "mine", accuracies)
    before, after = (f"mine ({tmp_path / name})" for name in ("before", "after"))
    with pytest.raises(UsageError, match="say what to compare with: --against, one of mine"):
        compare([tmp_path / "before", tmp_path / "after"], ["accuracy"])
    found = one(tmp_path / "before", tmp_path / "after", against=before)
    assert [(each.method, each.mean) for each in found.differences] == [
        (after, pytest.approx(0.058))
    ]


def test_two_versions_of_a_methods_file_are_never_averaged(tmp_path: Path):
    put(tmp_path / "a", "mine", ERM[:2], method_sha256="a" * 64)
    put(tmp_path / "b", "mine", HIGHER, method_sha256="b" * 64)
    found = one(tmp_path, against="mine (method file aaaaaaaa)")
    assert {name: len(runs) for name, runs in found.sides.items()} == {
        "mine (method file aaaaaaaa)": 2,
        "mine (method file bbbbbbbb)": 5,
    }
    assert found.recipe_of("mine (method file bbbbbbbb)") == [
        "method file bbbbbbbb instead of aaaaaaaa"
    ]


def test_setting_that_an_old_record_lacks_has_its_default(tmp_path: Path):
    put(tmp_path, "erm", ERM)
    put(tmp_path, "label-smoothing", HIGHER, settings={})
    put(tmp_path, "label-smoothing", HIGHER, settings={"smoothing": 0.1}, subset=1)
    assert {name: len(runs) for name, runs in one(tmp_path).sides.items()} == {
        "erm": 5,
        "label-smoothing": 10,
    }


def test_device_torch_and_numerics_are_told_where_they_differ(tmp_path: Path):
    cost = a_record().cost.model_dump() | {"device": "another processor, 1 threads"}
    put(tmp_path, "erm", ERM)
    put(tmp_path, "mixup", HIGHER, cost=cost, environment={"torch": "2.9.0"}, numerics=2)
    assert one(tmp_path).recipe_of("mixup") == [
        "device another processor, 1 threads instead of a processor, 2 threads",
        "torch 2.9.0 instead of 2.6.0",
        "numerics 2 instead of unknown",
    ]


def images(**digests: str) -> dict[str, Any]:
    return {
        name: {"images": 150, "sha256": digest * 64, "official": False}
        for name, digest in digests.items()
    }


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"index_sha256": "e" * 64}, "images"),
        ({"data": images(fit="e", test="c")}, "training images"),
        ({"data": images(fit="b", test="e")}, "test images"),
        ({"data_sha256": "e" * 64}, "images or labels"),
    ],
)
def test_subset_of_other_images_is_refused_and_not_paired(tmp_path: Path, changes, what):
    whole = {"data": images(fit="b", test="c"), "data_sha256": "d" * 64}
    put(tmp_path, "erm", ERM, **whole)
    put(tmp_path, "mixup", HIGHER, **{**whole, **changes})
    with pytest.raises(UsageError, match=f"subset 0 of digits has other {what} than that of erm"):
        compare([tmp_path], ["accuracy"])


def test_old_record_that_does_not_say_what_it_was_tested_on_is_paired(tmp_path: Path):
    put(tmp_path, "erm", ERM)
    put(tmp_path, "mixup", HIGHER, data=images(fit="b", test="c"), data_sha256="d" * 64)
    assert [each.n for each in one(tmp_path).differences] == [5]


def test_file_of_a_network_is_told_of_any_two_methods(tmp_path: Path):
    put(tmp_path, "erm", ERM, network_sha256="a" * 64)
    put(tmp_path, "mixup", HIGHER, network_sha256="b" * 64)
    put(tmp_path, "remix", HIGHER)
    found = one(tmp_path)
    assert found.recipe_of("mixup") == ["network file bbbbbbbb instead of aaaaaaaa"]
    assert found.recipe_of("remix") == ["network file none instead of aaaaaaaa"]


@pytest.mark.filterwarnings("error:constrained_layout")
def test_method_without_a_pair_has_its_runs_and_its_mean(tmp_path: Path):
    put(tmp_path, "erm", ERM)
    put(tmp_path, "mixup", HIGHER)
    put(tmp_path, "remix", EQUAL, subset=1)
    [mixup, remix] = comparison_rows(one(tmp_path))[1:]
    assert mixup[6] == "5"
    assert remix == ["Accuracy (%)", "remix", "5", "51.00 ± 2.63", *"––0––", "no pairs"]
    table = dcbench.compare(tmp_path, metrics=["accuracy"]).set_index("method")
    assert list(table["n"]) == [5, 0]
    assert table.loc["remix", ["mean", "p", "p_holm"]].isna().all()
    assert "remix & 51.0 $\\pm$ 2.6 & -- \\\\" in to_latex(comparison_table([one(tmp_path)]))
    code, said, _ = command(tmp_path, "--metrics", "accuracy", "--figures", tmp_path / "figures")
    assert (code, "v1-digits-differences.svg" in said) == (0, True)
    assert "remix" not in (tmp_path / "figures" / "v1-digits-differences.svg").read_text("utf-8")


def test_methods_without_any_pair_are_named_with_their_runs(tmp_path: Path):
    put(tmp_path, "erm", ERM[:2])
    put(tmp_path, "mixup", HIGHER[:1], subset=1)
    code, _, error = command(tmp_path, "--metrics", "accuracy")
    assert code == 2
    assert (
        "no two runs of equal subset and seed have it: erm on digits has subset 0 (seeds 0-1); "
        "mixup on digits has subset 1 (seeds 0)"
    ) in " ".join(error.split())


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--against", "mixpu"], "unknown method of these records 'mixpu'; did you mean mixup?"),
        (["--metrics", "acuracy"], "unknown metric 'acuracy'; did you mean accuracy"),
        (["--metrics", "accuracy_few"], "metric accuracy_few: no two runs of equal subset and"),
        (["--latex", "--markdown"], "--latex beside --markdown: give one of them"),
    ],
)
def test_wrong_use_is_answered_in_a_line(tmp_path: Path, arguments, said):
    put(tmp_path, "erm", ERM)
    put(tmp_path, "mixup", HIGHER)
    code, _, error = command(tmp_path, *arguments)
    assert code == 2
    assert said in " ".join(error.split())


def test_folder_without_a_record_or_with_one_method_is_wrong_use(tmp_path: Path):
    code, _, error = command(tmp_path / "nowhere")
    assert (code, "holds no record" in error) == (2, True)
    put(tmp_path, "erm", ERM)
    code, _, error = command(tmp_path)
    assert code == 2
    assert "there is nothing to compare with erm" in " ".join(error.split())


def test_json_has_every_side_and_difference_and_no_number_that_is_none(tmp_path: Path):
    put(tmp_path, "erm", ERM)
    put(tmp_path, "mixup", HIGHER[:1], status="custom", departures=["seed"])
    code, said, _ = command(tmp_path, "--json", "--metrics", "accuracy")
    [found] = json.loads(said)["comparisons"]
    assert code == 0
    assert (found["protocol"], found["split"], found["against"]) == ("v1", "digits", "erm")
    assert [(each["name"], each["custom"]) for each in found["methods"]] == [
        ("erm", False),
        ("mixup", True),
    ]
    [each] = found["differences"]
    assert (each["n"], each["low"], each["p_holm"]) == (1, None, None)


def test_papers_table_has_means_and_marks_significant_differences_alone(tmp_path: Path):
    put(tmp_path, "erm", ERM)
    put(tmp_path, "mixup", HIGHER)
    put(tmp_path, "remix", EQUAL)
    table = comparison_table(compare([tmp_path], ["accuracy"]))
    latex, markdown = to_latex(table), to_markdown(table)
    # The half-width by hand: t(0.975, 4) = 2.776445, sd = 0.0083666, root of 5.
    assert "mixup & 56.8 $\\pm$ 3.2 & \\textbf{+5.8} $\\pm$ 1.0 \\\\" in latex
    assert "| remix | 51.0 ± 2.6 | +0.0 ± 1.2 |" in markdown
    assert "| erm | 51.0 ± 3.6 | – |" in markdown


def test_minus_signs_of_a_papers_table_are_no_hyphens_and_zero_has_none(tmp_path: Path):
    put(tmp_path, "erm", ERM)
    put(tmp_path, "ic-mixup", [each - 0.02 for each in ERM])
    put(tmp_path, "remix", [each - 0.0001 for each in ERM])
    table = comparison_table(compare([tmp_path], ["accuracy"]))
    latex, markdown = to_latex(table), to_markdown(table)
    assert "Method & Accuracy (\\%) & $-$ erm \\\\" in latex
    assert "ic-mixup & 49.0 $\\pm$ 3.6 & \\textbf{$-$2.0} $\\pm$ 0.0 \\\\" in latex
    assert "| remix | 51.0 ± 3.6 | **+0.0** ± 0.0 |" in markdown
    assert "| ic-mixup | 49.0 ± 3.6 | **−2.0** ± 0.0 |" in markdown


def test_figures_are_drawn_from_records_alone_and_from_what_is_stored_besides(tmp_path: Path):
    put(tmp_path / "results", "erm", ERM)
    put(tmp_path / "results", "mixup", HIGHER)
    code, said, _ = command(tmp_path / "results", "--figures", tmp_path / "figures")
    assert code == 0
    drawn = sorted(path.name for path in (tmp_path / "figures").iterdir())
    assert drawn == ["v1-digits-differences.pdf", "v1-digits-differences.svg"]
    svg = (tmp_path / "figures" / "v1-digits-differences.svg").read_text("utf-8")
    assert "accuracy of mixup: +5.80% (+4.76% to +6.84%)." in svg
    assert str(tmp_path / "figures" / "v1-digits-differences.svg") in said


def test_notebook_has_a_row_a_difference(tmp_path: Path):
    put(tmp_path, "erm", ERM)
    put(tmp_path, "mixup", HIGHER)
    table = dcbench.compare(tmp_path, metrics=["accuracy", "nll"])
    assert list(table["metric"]) == ["accuracy", "nll"]
    assert list(table.columns)[:4] == ["protocol", "split", "method", "against"]
    assert table["mean"][0] == pytest.approx(0.058)
