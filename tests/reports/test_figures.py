import logging
import math
import re
import warnings
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import auc, roc_auc_score
from typer.testing import CliRunner

from dcbench.cli import app
from dcbench.config.protocol import load_protocol
from dcbench.data.splits import load_split
from dcbench.errors import DataError, UsageError
from dcbench.leaderboard.boards import Board, choose_boards, load_boards
from dcbench.leaderboard.build import build
from dcbench.methods import method_names
from dcbench.metrics.measure import Predictions, measure
from dcbench.records import files
from dcbench.records.schema import EpochSummary
from dcbench.reports.figures import draw_figures, parse_formats
from dcbench.reports.figures.accuracy import draw_accuracy
from dcbench.reports.figures.frequency import draw_frequency, recall_by_count
from dcbench.reports.figures.layout import columns_and_width
from dcbench.reports.figures.learning import draw_learning
from dcbench.reports.figures.ood_scores import shares
from dcbench.reports.figures.palette import families, sorted_methods, styles_of
from dcbench.reports.figures.reliability import confidence_and_accuracy, pooled
from dcbench.reports.figures.roc import draw_roc, true_positive_rate
from dcbench.reports.figures.run_data import find_runs, read_runs, reduce_predictions
from dcbench.reports.figures.spread import interval, percent_texts
from dcbench.reports.figures.style import settings
from dcbench.reports.kinship import kinship
from tests.records.test_store import a_record

SPLIT = "cifar10-lt-100"
COUNTS = np.array(load_split(SPLIT).class_counts)
RECIPE = load_protocol("v1-lite").entry(load_split(SPLIT).config.recipe).training.model_dump()
OOD = ("cifar100", "gaussian")
METHODS = ("erm", "ic-mixup", "ic-mixup[axes=class]")
FIGURES = ("accuracy", "cost", "reliability", "learning", "frequency", "ood-scores", "roc")
SVG = "{http://www.w3.org/2000/svg}"


def predictions_of(method: str, seed: int) -> Predictions:
    generator = np.random.default_rng([seed, METHODS.index(method)])
    labels = np.repeat(np.arange(10), 30)
    logits = generator.normal(size=(300, 10)) + 2 * np.eye(10)[labels]
    ood = {name: generator.normal(size=(90, 10)).astype(np.float32) for name in OOD}
    return Predictions(logits.astype(np.float32), labels, COUNTS, ood)


def put(results: Path, method: str, seed: int, **changes: Any) -> Path:
    """A stored run, whole."""
    folder = results / method / f"seed-{seed}"
    folder.mkdir(parents=True)
    predictions = predictions_of(method, seed)
    history = [EpochSummary(epoch, 2 / (epoch + 1), 0.1, 0.5) for epoch in range(4)]
    files.write_history(folder, history)
    record = a_record(
        **{
            "split": SPLIT,
            "protocol": "v1-lite",
            "label": method,
            "seed": seed,
            "recipe": RECIPE,
            "metrics": measure(predictions, long_tailed=True, ood_sets=OOD),
            "predictions": files.write_predictions(folder, predictions),
            **changes,
        }
    )
    files.write_record(folder, record)
    return folder


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("results")
    for method in METHODS:
        for seed in range(2):
            put(folder, method, seed)
    return folder


@pytest.fixture(scope="module")
def leaderboard(results: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("leaderboard")
    build(results, folder)
    return folder


@pytest.fixture(scope="module")
def board(leaderboard: Path) -> Board:
    [board] = load_boards(leaderboard)
    return board


@pytest.fixture(scope="module")
def drawn(leaderboard: Path, results: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every figure, drawn once by the command."""
    output = tmp_path_factory.mktemp("figures") / "new"
    arguments = ("--from", leaderboard, "--results", results, "-o", output)
    code, out, said = command(SPLIT, "--protocol", "v1-lite", *arguments)
    assert (code, said) == (0, "")
    assert sorted(Path(line) for line in out.split()) == sorted(output.iterdir())
    return output


def command(*arguments: object) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, ["leaderboard", "figures", *map(str, arguments)])
    assert result.exception is None or isinstance(result.exception, SystemExit), (
        f"a traceback reached the user: {result.exception!r}"
    )
    return result.exit_code, result.stdout, result.stderr


def test_every_figure_comes_as_svg_and_as_pdf(drawn: Path):
    expected = {f"v1-lite-{SPLIT}-{name}.{form}" for name in FIGURES for form in ("svg", "pdf")}
    assert {path.name for path in drawn.iterdir()} == expected


@pytest.mark.parametrize("name", FIGURES)
def test_svg_has_a_title_a_description_and_letters_as_text(drawn: Path, name: str):
    root = ET.parse(drawn / f"v1-lite-{SPLIT}-{name}.svg").getroot()
    title, description = root.findtext(f"{SVG}title"), root.findtext(f"{SVG}desc")
    words = " ".join(text for each in root.iter(f"{SVG}text") for text in each.itertext())
    assert title
    assert title.endswith(f"{SPLIT} (v1-lite)")
    assert "subset 0" in (description or "")
    assert SPLIT in words
    assert all(method in words for method in METHODS)
    assert root.find(f".//{SVG}script") is None


@pytest.mark.parametrize("name", FIGURES)
def test_letters_in_svg_are_at_least_7_points(drawn: Path, name: str):
    text = (drawn / f"v1-lite-{SPLIT}-{name}.svg").read_text()
    sizes = [float(size) for size in re.findall(r"font(?:-size)?:[^;\"]*?([\d.]+)px", text)]
    assert sizes
    assert min(sizes) >= 7


@pytest.mark.parametrize("name", FIGURES)
def test_pdf_embeds_its_letters_as_truetype_and_has_no_date(drawn: Path, name: str):
    content = (drawn / f"v1-lite-{SPLIT}-{name}.pdf").read_bytes()
    assert b"/FontFile2" in content
    assert b"/Subtype /Type3" not in content
    assert b"/CreationDate" not in content


def test_same_rows_and_runs_give_the_same_bytes(
    board: Board, results: Path, drawn: Path, tmp_path: Path
):
    with matplotlib.rc_context({"font.size": 20, "savefig.bbox": "tight"}):  # a user's own
        files = draw_figures([board], results, tmp_path)
    for path in files:
        assert path.read_bytes() == (drawn / path.name).read_bytes(), path.name


def test_numbers_of_the_rows_stand_in_the_description(drawn: Path, board: Board):
    text = (drawn / f"v1-lite-{SPLIT}-reliability.svg").read_text()
    values = board.runs.loc[board.runs["method"] == "erm", "ece15"]
    # t(0.975, 1) = 12.7062; the standard error of two values is half of their distance
    half = 12.7062 * abs(values.iloc[0] - values.iloc[1]) / 2
    assert f"ECE {100 * values.mean():.1f} ± {100 * half:.1f} %" in text
    assert f"ECE in percent: erm {100 * values.mean():.1f} ± {100 * half:.1f}," in text


def two_class(rows: list[tuple[float, int]]) -> Any:
    """A run from the probability of class 0 and the label of each row."""
    probs = np.array([[p, 1 - p] for p, _ in rows])
    labels = np.array([label for _, label in rows])
    nothing = np.zeros(0)
    predictions = Predictions(np.log(probs).astype(np.float32), labels, np.array([1, 1]), {})
    return reduce_predictions("erm", predictions, nothing)


def test_pooled_bins_are_those_of_all_rows_together():
    # of 15 bins, 0.7 falls in bin 10 (0.667, 0.733] and 0.9 in bin 13 (0.867, 0.933]
    one = two_class([(0.7, 0), (0.7, 1), (0.9, 0)])
    other = two_class([(0.7, 1), (0.1, 1)])
    bins = pooled([one, other])
    assert bins.rows.sum() == 5
    assert (bins.rows[10], bins.rows[13]) == (3, 2)
    confidence, accuracy = confidence_and_accuracy(bins)
    assert confidence[[10, 13]] == pytest.approx([0.7, 0.9])
    assert accuracy[[10, 13]] == pytest.approx([1 / 3, 1])
    assert np.isnan(confidence[[0, 14]]).all()


def test_pooled_gaps_add_up_to_the_ece_of_one_run(board: Board, results: Path):
    [run, *_] = read_runs(board.runs, find_runs(results))
    confidence, accuracy = confidence_and_accuracy(run.bins)
    share = run.bins.rows / run.bins.rows.sum()
    assert run.bins.rows.sum() == 300
    assert np.nansum(share * abs(accuracy - confidence)) == pytest.approx(
        board.runs["ece15"].iloc[0], abs=1e-6
    )


def test_recall_stands_by_the_training_images_of_its_class():
    # class 0: 2 of 2 right, class 1: 1 of 2, class 2: 0 of 1; 30, 5 and 200 training images
    scores = np.eye(3)[[0, 0, 1, 2, 0]].astype(np.float32)
    predictions = Predictions(scores, np.array([0, 0, 1, 1, 2]), np.array([30, 5, 200]), {})
    counts, [recall] = recall_by_count([reduce_predictions("erm", predictions, np.zeros(0))])
    assert counts.tolist() == [5, 30, 200]
    assert recall.tolist() == [0.5, 1, 0]


def test_many_classes_share_points_with_their_neighbours():
    classes = np.arange(40)
    scores = np.eye(40)[np.where(classes < 20, classes, 0)].astype(np.float32)
    predictions = Predictions(scores, classes, 10 * (classes + 1), {})
    counts, [recall] = recall_by_count([reduce_predictions("erm", predictions, np.zeros(0))])
    assert counts.tolist() == [15 + 20 * group for group in range(20)]
    assert recall.tolist() == [1] * 10 + [0] * 10


def test_training_of_one_epoch_shows_a_mark_and_not_an_empty_panel(board: Board, results: Path):
    runs = read_runs(board.runs, find_runs(results))
    short = [replace(run, losses=run.losses[:1]) for run in runs]
    for drawn, marked in ((short, True), (runs, False)):
        for axes in draw_learning(board, drawn).figure.axes:
            markers = {line.get_marker() for line in axes.lines}
            assert (markers == {"None"}) != marked


def test_panel_of_recall_names_every_method_that_it_shows(board: Board, results: Path):
    runs = read_runs(board.runs, find_runs(results))
    [axes] = draw_frequency(board, runs).figure.axes
    assert axes.get_title().replace("\n", " ") == "erm, ic-mixup, ic-mixup[axes=class]"


def test_panel_of_accuracy_has_no_row_for_a_method_without_runs_there(board: Board):
    two = board.runs[board.runs["method"] != "ic-mixup"]
    lost = two.assign(accuracy=two["accuracy"].where(two["method"] != "erm"))
    others = [
        Board(board.protocol, name, runs, board.summary)
        for name, runs in (("digits", two), ("cifair10", lost))
    ]
    titled = draw_accuracy([others[1], board, others[0]])
    rows = {
        axes.get_title(): [label.get_text() for label in axes.get_yticklabels()]
        for axes in titled.figure.axes
    }
    third = "ic-mixup[axes=class]"
    assert rows == {SPLIT: list(METHODS), "digits": ["erm", third], "cifair10": [third]}


def test_curves_keep_their_height_beside_a_long_list_of_methods(board: Board, results: Path):
    [run, *_] = read_runs(board.runs, find_runs(results))
    many = [replace(run, method=f"method-{number}") for number in range(30)]
    with matplotlib.rc_context(settings()):
        figure = draw_roc(board, many).figure
        figure.draw_without_rendering()
    heights = [axes.get_window_extent().height / figure.dpi for axes in figure.axes[::2]]
    assert min(heights) > 1


@pytest.mark.parametrize("name", OOD)
def test_area_under_the_roc_curve_is_the_auroc_of_the_row(board: Board, results: Path, name: str):
    rates = np.linspace(0, 1, 501)
    for run, row in zip(
        read_runs(board.runs, find_runs(results)), board.runs.to_dict("records"), strict=True
    ):
        inside, outside = run.scores, run.ood_scores[name]
        area = auc(rates, true_positive_rate(inside, outside))
        is_test = np.repeat([1, 0], [len(inside), len(outside)])
        oracle = roc_auc_score(is_test, np.concatenate([inside, outside]))
        assert area == pytest.approx(oracle, abs=3e-3)
        assert row[f"ood.{name}.msp.auroc"] == pytest.approx(oracle, abs=1e-6)


def test_roc_curve_of_a_hand_made_case():
    # accepted in the order test, OOD, test, OOD: half of the tests before any OOD image
    rate = true_positive_rate(np.array([0.9, 0.5]), np.array([0.7, 0.3]))
    assert rate[[100, 400]].tolist() == [0.5, 1]


def test_shares_of_a_histogram_add_up_to_one_and_take_both_ends():
    share, edges = shares([np.array([0.1, 0.1, 1.0]), np.array([0.55])], 0.1)
    assert share.sum() == pytest.approx(1)
    assert (share[0], share[-1]) == (0.5, 0.25)
    assert share[np.searchsorted(edges, 0.5501) - 1] == 0.25


def test_interval_is_students_and_of_no_width_for_one_run():
    # t(0.975, 1) = 12.7062, standard error 0.05
    assert interval([0.4, 0.5]) == pytest.approx((0.45 - 0.63531, 0.45 + 0.63531), abs=1e-5)
    assert interval([0.4]) == (0.4, 0.4)
    runs = pd.DataFrame({"method": ["mixup", "erm", "erm"], "x": [0.25, math.nan, 0.5]})
    assert percent_texts(runs, "x") == {"erm": "50.0", "mixup": "25.0"}


def test_methods_stand_by_family_and_settings_by_their_plain_form():
    methods = ["zebra", "ic-mixup[axes=class]", "regmixup", "ic-mixup", "mixup", "erm", "ant"]
    assert sorted_methods(methods) == [
        *("erm", "mixup", "ic-mixup", "ic-mixup[axes=class]", "regmixup", "ant", "zebra")
    ]
    assert families(methods) == [
        ["erm", "mixup", "ic-mixup", "ic-mixup[axes=class]"],
        *(["erm", "regmixup"], ["erm", "ant"], ["erm", "zebra"]),
    ]
    assert families(["erm"]) == [["erm"]]


def test_no_two_methods_look_alike_in_gray():
    third_party = [f"ic-mixup[alpha={alpha}]" for alpha in range(8)]
    names = [*("erm", "mixup", "ic-mixup", "remix", "ic-remix", "regmixup", "ic-regmixup")]
    styles = styles_of(names + third_party)
    assert len({(style.marker, style.filled, style.line) for style in styles.values()}) == len(
        styles
    )


def test_method_looks_the_same_whatever_else_is_drawn():
    names = method_names()
    together = styles_of(names)
    fixed = ("erm", "mixup", "ic-mixup", "remix", "ic-remix", "regmixup", "ic-regmixup")
    assert all(styles_of([name]) == {name: together[name]} for name in fixed)
    assert len(set(together.values())) == len(names)
    assert together["ic-mixup"] not in styles_of(["mixup", "mixup-drw"]).values()


def test_name_in_a_table_is_never_run_as_a_file(tmp_path: Path):
    (tmp_path / "made.py").write_text("raise SystemExit('it ran')")
    name = f"{tmp_path / 'made.py'}:Made"
    assert kinship(name) == (name, "")


def test_methods_that_predict_the_same_keep_their_own_runs(tmp_path: Path):
    same = files.write_predictions(tmp_path, predictions_of("erm", 0))
    for method in ("erm", "ic-mixup"):
        put(tmp_path / "results", method, 0)
    for path in (tmp_path / "results").rglob("record.json"):
        record = files.read_record(path).model_copy(update={"predictions": same})
        files.write_predictions(path.parent, predictions_of("erm", 0))
        files.write_record(path.parent, record)
    rows = pd.DataFrame(
        {"method": ["erm", "ic-mixup"], "seed": 0, "subset": 0, "predictions_sha256": same.sha256}
    )
    runs = read_runs(rows, find_runs(tmp_path / "results"))
    assert [run.method for run in runs] == ["erm", "ic-mixup"]


def test_runs_that_are_not_stored_are_logged_once_and_the_rows_still_drawn(
    board: Board, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.INFO, "dcbench")
    files = draw_figures([board], tmp_path / "nowhere", tmp_path / "out", ["svg"])
    (said,) = caplog.messages
    assert said.startswith(f"6 of 6 runs are not stored under {tmp_path / 'nowhere'}")
    assert [path.stem.rpartition("-")[2] for path in files] == ["accuracy", "cost"]


def test_several_splits_share_a_figure_of_accuracy(board: Board, tmp_path: Path):
    other = Board(board.protocol, "digits", board.runs, board.summary)
    files = draw_figures([board, other], tmp_path, tmp_path / "out", ["svg"])
    assert files[0].name == "v1-lite-all-accuracy.svg"
    words = files[0].read_text()
    assert all(name in words for name in (">digits<", f">{SPLIT}<"))


@pytest.mark.parametrize(
    ("column", "other", "told"),
    [
        ("device", "a graphics card", "● a graphics card; ■ a processor"),
        ("device", "<script>", "● &lt;script&gt;; ■ a processor"),
        (
            "runs_together",
            4,
            "■ a processor, 2 threads, shared by 4 runs.",
        ),
    ],
)
def test_times_of_other_devices_or_of_shared_ones_have_marks_of_their_own(
    board: Board, tmp_path: Path, column: str, other: object, told: str
):
    values = board.runs[column].where(board.runs["seed"] == 0, other)
    mixed = Board(board.protocol, board.split, board.runs.assign(**{column: values}), board.summary)
    [_, cost] = draw_figures([mixed], tmp_path, tmp_path / "out", ["svg"])
    assert told in cost.read_text().replace("\N{NO-BREAK SPACE}", " ")


@pytest.mark.parametrize("methods", [1, 2, 3])
def test_panel_of_few_methods_has_the_room_that_it_needs(board: Board, methods: int):
    few = replace(board, runs=board.runs[board.runs["method"].isin(METHODS[:methods])])
    with matplotlib.rc_context(settings()), warnings.catch_warnings():
        warnings.simplefilter("error")
        figure = draw_accuracy([few]).figure
        figure.draw_without_rendering()
    [axes] = figure.axes
    # Three rows of 0.17 inches each; what is around the panel has 0.6.
    assert axes.get_window_extent().height / figure.dpi > 3 * 0.17
    below = axes.get_tightbbox().y0
    assert below > max(text.get_window_extent().y1 for text in figure.texts[1:])


def test_board_without_a_run_of_subset_0_is_named_and_the_others_are_drawn(
    board: Board, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    later = replace(board, split="digits", runs=board.runs.assign(subset=1))
    with caplog.at_level(logging.INFO, "dcbench"):
        drawn = draw_figures([board, later], tmp_path, tmp_path / "out", ["svg"])
    assert {path.name for path in drawn} == {
        f"v1-lite-{SPLIT}-accuracy.svg",
        f"v1-lite-{SPLIT}-cost.svg",
    }
    said = "v1-lite-digits: left out: no run of subset 0, which its figures are of"
    assert said in caplog.messages


def test_board_without_a_run_of_subset_0_is_wrong_use(board: Board, tmp_path: Path):
    for runs in (board.runs.assign(subset=1), board.runs.iloc[:0], pd.DataFrame()):
        empty = Board(board.protocol, board.split, runs, board.summary)
        with pytest.raises(UsageError, match="no leaderboard has a run of subset 0"):
            draw_figures([empty], tmp_path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("damage", ["predictions", "no history", "history"])
def test_damaged_run_is_refused_by_name(board: Board, tmp_path: Path, damage: str):
    folder = put(tmp_path / "results", "erm", 0)
    history = folder / files.HISTORY
    if damage == "predictions":
        (folder / files.PREDICTIONS).write_bytes(b"no archive")
    elif damage == "history":
        history.write_text("epoch,loss\n0,low\n")
    else:
        history.unlink()
    with pytest.raises(DataError, match=re.escape(str(folder))):
        draw_figures([board], tmp_path / "results", tmp_path / "out", ["svg"])


def test_splits_and_protocols_choose_leaderboards(board: Board):
    other = Board("v1", "digits", board.runs, board.summary)
    assert choose_boards([board, other], [], None) == [board, other]
    assert choose_boards([board, other], ["digits"], None) == [other]
    assert choose_boards([board, other], [], "v1-lite") == [board]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["digit"], "digits"),
        (["digits"], "there is no leaderboard of digits yet"),
        (["--protocol", "v1"], "there is no leaderboard under protocol v1 yet"),
        (["--protocol", "v9"], "v9"),
        (["--format", "svg,png"], "unknown figure format 'png'"),
    ],
)
def test_wrong_use_ends_with_2_and_draws_nothing(
    leaderboard: Path, tmp_path: Path, arguments: list[str], message: str
):
    output = tmp_path / "out"
    code, _, said = command(*arguments, "--from", leaderboard, "-o", output)
    assert code == 2
    assert message in " ".join(said.split())
    assert not output.exists()


def test_no_panel_is_left_alone_in_a_row_where_they_can_be_shared_out():
    columns = {panels: columns_and_width(panels, 4)[0] for panels in range(1, 9)}
    assert columns == {1: 1, 2: 2, 3: 3, 4: 4, 5: 3, 6: 3, 7: 4, 8: 4}


def test_formats_may_be_one_or_both():
    assert parse_formats("pdf") == ["pdf"]
    assert parse_formats("pdf, svg,pdf") == ["svg", "pdf"]
