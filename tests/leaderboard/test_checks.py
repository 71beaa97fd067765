import hashlib
import io
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from dcbench.cli import app
from dcbench.config.protocol import load_protocol
from dcbench.data.splits import split_config
from dcbench.leaderboard.build import build
from dcbench.leaderboard.checks import check
from dcbench.leaderboard.checks.duplicates import twin_problems
from dcbench.leaderboard.checks.read import RowsFile
from dcbench.leaderboard.readme import readme
from dcbench.records.arrays import unpack
from dcbench.records.files import read_record, write_arrays, write_record
from dcbench.records.prune import prune
from dcbench.records.schema import Record
from dcbench.records.store import address_of
from tests.leaderboard.tampering import edit, put, rows_of, runs, set_cell, summary

ROOT = Path(__file__).parents[2]


def problems(board: Path, **options) -> list[str]:
    return check(board, **options).problems


def command(*arguments: object) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, ["leaderboard", "check", *(str(each) for each in arguments)])
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result.exit_code, result.stdout, result.stderr


def test_whole_leaderboard_passes_and_says_what_held(made: Path, whole: Path):
    code, said, _ = command(whole, "--predictions", made / "results", "--base", whole)
    assert code == 0
    assert "30 rows of 1 leaderboards" in said
    assert f"as in {whole}" in said
    assert "30 rows, 0 have none there" in said


def test_leaderboards_that_ship_pass():
    assert problems(ROOT / "leaderboard", base=str(ROOT / "leaderboard")) == []


def test_readme_that_ships_describes_the_columns_of_this_version():
    assert (ROOT / "leaderboard/README.md").read_text(encoding="utf-8") == readme()


@pytest.mark.parametrize(
    ("column", "cell", "right"),
    [
        ("accuracy", "1.200000", "a fraction from 0 to 1 with six decimals"),
        ("accuracy", "-0.100000", "a fraction from 0 to 1 with six decimals"),
        ("accuracy", "0.5", "a fraction from 0 to 1 with six decimals"),
        ("accuracy", "", "a fraction from 0 to 1 with six decimals"),
        ("accuracy", "nan", "a fraction from 0 to 1 with six decimals"),
        ("ece15", "53.300000", "a fraction from 0 to 1 with six decimals"),
        ("ood.uniform.msp.auroc", "1.000001", "a fraction from 0 to 1 with six decimals"),
        ("nll", "-1.000000", "a number of 0 or more with six decimals"),
        ("nll", "inf", "a number of 0 or more with six decimals"),
        ("brier", "2.100000", "a number from 0 to 2 with six decimals"),
        ("seed", "1.5", "a whole number"),
        ("seed", "03", "a whole number"),
        ("subset", "00", "a whole number"),
        ("nll", "00.500000", "a number of 0 or more with six decimals"),
        ("subset", "", "a whole number"),
        ("method", "=cmd()", "lower-case words joined by hyphens"),
        ("method", "<script>", "lower-case words joined by hyphens"),
        ("method", "ERM", "lower-case words joined by hyphens"),
        ("device", "=1+1", "text on one line that does not begin with = + - @"),
        ("footnote", "@sum", "text on one line that does not begin with = + - @"),
        ("footnote", "two\nlines", "text on one line"),
        ("predictions_sha256", "abc", "64 hexadecimal digits in lower case"),
        ("predictions_sha256", "A" * 64, "64 hexadecimal digits in lower case"),
        ("train_seconds", "-1.0", "a number of 0 or more with one decimal"),
        ("peak_memory_bytes", "1e9", "a whole number"),
        ("status", "fine", "protocol or custom"),
        ("finished", "yesterday", "a time as 2026-11-22T23:21:21+00:00"),
        ("commit", "main", "40 hexadecimal digits"),
    ],
)
def test_cell_that_is_not_of_its_column_is_named_with_what_would_be_right(
    whole: Path, column, cell, right
):
    set_cell(runs(whole), 3, **{column: cell})
    found = [line for line in problems(whole) if f"{column}='{cell}'" in line]
    assert len(found) == 1
    assert found[0].startswith(f"{runs(whole)}, line 5 (")
    assert right in found[0]


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        ({"status": "custom"}, "a custom run: no leaderboard takes it"),
        ({"seed": "10"}, "seed=10: the protocol asks for 0, 1, 2"),
        ({"subset": "3"}, "subset=3: the protocol asks for 0, 1, 2"),
        ({"method": "erm[fit=train]"}, "fit=train: a custom run; fit should be trainval"),
        ({"method": "mixup[alpha=0.2]"}, "alpha=0.2: a custom run; alpha should be 1.0"),
        (
            {"method": "ic-mixup[axes=none]"},
            "axes=none: a custom run; axes should be one of class, pair, both",
        ),
        ({"index_sha256": "b" * 64}, "trained on other images; should be 08c68ed1b61031d7"),
        ({"ood.uniform.msp.auroc": ""}, "ood.uniform.msp.auroc is empty: should hold a number"),
        ({"accuracy_few": "0.500000"}, "accuracy_few='0.500000': should be empty here"),
    ],
)
def test_row_that_the_protocol_does_not_take_is_named(whole: Path, cells, message):
    set_cell(runs(whole), 9, **cells)
    [found] = [line for line in problems(whole) if message in line]
    assert found.startswith(f"{runs(whole)}, line 11 (")


def test_every_problem_is_told_on_a_line_of_its_own(whole: Path):
    set_cell(runs(whole), 0, accuracy="7.000000", nll="x")
    set_cell(runs(whole), 4, device="+1")
    code, said, error = command(whole)
    lines = said.splitlines()
    assert code == 1
    for number, text in ((2, "accuracy='7.000000'"), (2, "nll='x'"), (6, "device='+1'")):
        assert [line for line in lines if f"line {number} (" in line and text in line]
    assert f"{len(lines)} problems" in " ".join(error.split())
    code, said, _ = command(whole, "--json")
    assert code == 1
    assert json.loads(said)["problems"] == lines


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty; should begin with a line of column names"),
        (b"\xff\xfe", "cannot be read"),
        (b"subset,method\n0,erm\n", "there is no column seed"),
        (b'subset,"method\n', "cannot be read"),
    ],
)
def test_file_that_is_no_table_is_named(whole: Path, content, message):
    runs(whole).write_bytes(content)
    [found] = [line for line in problems(whole) if message in line]
    assert found.startswith(str(runs(whole)))


def test_columns_that_are_unknown_or_out_of_order_are_named(whole: Path):
    edit(runs(whole), lambda rows: [row.update(extra="1") for row in rows])
    assert f"{runs(whole)}: unknown column extra" in "\n".join(problems(whole))
    edit(runs(whole), lambda rows: [(row.pop("extra"), row.pop("footnote")) for row in rows])
    edit(runs(whole), lambda rows: [row.update(footnote="", nll=row.pop("nll")) for row in rows])
    assert any("not in the order" in line for line in problems(whole))


def test_run_that_is_there_twice_is_named_with_both_lines(whole: Path):
    edit(runs(whole), lambda rows: rows.append(dict(rows[4])))
    found = "\n".join(problems(whole))
    assert f"{runs(whole)}, line 32 (subset 0, method erm, seed 4): is there twice" in found
    assert "first in line 6" in found


def test_rows_that_are_not_sorted_are_named(whole: Path):
    edit(runs(whole), lambda rows: rows.reverse())
    assert any("line 3" in line and "not sorted" in line for line in problems(whole))


def test_run_with_the_predictions_of_another_is_named_with_it(whole: Path):
    copied = rows_of(runs(whole))[0]["predictions_sha256"]
    set_cell(runs(whole), 7, predictions_sha256=copied)
    [found] = problems(whole)
    assert found.startswith(f"{runs(whole)}, line 9 (subset 0, method erm, seed 7)")
    assert "has the predictions of subset 0, method erm, seed 0" in found


def test_methods_that_are_not_known_to_be_one_need_a_footnote_to_agree(whole: Path):
    copied = rows_of(runs(whole))[0]["predictions_sha256"]
    set_cell(runs(whole), 10, predictions_sha256=copied)
    [found] = problems(whole)
    assert "method mixup, seed 0): has the predictions of subset 0, method erm, seed 0" in found
    assert "add the footnote 'same predictions as erm'" in found
    set_cell(runs(whole), 10, footnote="slow; same predictions as erm")
    assert problems(whole) == []
    set_cell(runs(whole), 10, footnote="same predictions as ermine")
    assert len(problems(whole)) == 1


@pytest.mark.parametrize(
    ("split", "one", "other", "agree"),
    [
        ("digits", "mixup", "remix", True),
        ("digits", "ic-mixup", "ic-remix", True),
        ("digits", "ic-mixup[axes=class]", "ic-remix[axes=class,kappa=2.0]", True),
        ("digits", "ic-mixup[axes=class]", "ic-remix", False),
        ("digits", "mixup", "ic-remix", False),
        ("cifar10-lt-100", "mixup", "remix", False),
        ("digits", "mixup-drw", "remix-drw", True),
        ("digits", "mixup-drw[begin=0.5]", "remix-drw", False),
        ("digits", "mixup", "remix-drw", False),
        ("digits", "ldam", "ldam-drw[beta=0.9]", True),
        ("digits", "ldam[margin=0.1]", "ldam-drw", False),
        ("digits", "no-such-method", "remix", False),
        ("cifar10-lt-100", "ldam", "ldam-drw", False),
    ],
)
def test_methods_may_agree_that_are_one_where_classes_are_of_one_size(split, one, other, agree):
    rows = [
        {"subset": "0", "method": method, "seed": "0", "predictions_sha256": "a" * 64}
        for method in (one, other)
    ]
    file = RowsFile(Path("runs.csv"), load_protocol("v1"), split_config(split), rows)
    assert (list(twin_problems([file])) == []) is agree


def test_predictions_on_two_splits_are_never_the_same():
    row = {"subset": "0", "method": "erm", "seed": "0", "predictions_sha256": "a" * 64}
    files = [
        RowsFile(Path(f"{split}.csv"), load_protocol("v1"), split_config(split), [dict(row)])
        for split in ("cifair10", "digits")
    ]
    [found] = twin_problems(files)
    assert found.startswith("digits.csv, line 2 (")
    assert "on cifair10" in found


def test_rules_that_are_not_those_of_the_protocol_are_named(whole: Path):
    path = whole / "v1/protocol.yaml"
    text = path.read_text()
    path.write_text(text.replace("epochs: 60", "epochs: 61"))
    assert problems(whole) == [
        f"{path}: recipes.digits.training.epochs=61 was frozen, now it is 60; "
        "a changed rule is a new protocol version"
    ]
    path.write_text(text.replace("kappa: 3.0", "kappa: 4.0"))
    [found] = problems(whole)
    assert "recipes.digits.methods.remix.kappa=4.0 was frozen, now it is 3.0" in found
    path.write_text(text.replace("      remix:", "      ic-remix:"))
    assert f"{path}: recipes.digits.methods lacks remix; build again" in problems(whole)
    path.write_text(text.replace("training:", "trainings:"))
    assert any(line.startswith(f"{path}: ") and "training" in line for line in problems(whole))
    path.unlink()
    assert problems(whole) == [f"{path}: no such file; build again"]


def test_folder_of_no_protocol_and_file_of_no_split_are_named(whole: Path):
    (whole / "v7").mkdir()
    shutil.copy(runs(whole), whole / "v1/runs/digit.csv")
    digit, v7 = problems(whole)
    assert f"{whole / 'v1/runs/digit.csv'}: unknown split 'digit'; did you mean digits" in digit
    assert f"{whole / 'v7'}: unknown protocol 'v7'" in v7


def test_incomplete_set_that_is_called_complete_is_named(whole: Path):
    edit(runs(whole), lambda rows: rows.pop(4))
    found = "\n".join(problems(whole))
    assert (
        f"{summary(whole)} (subsets 0, method erm): state=ranked with 9 of 10 runs: should be "
        "provisional"
    ) in found


@pytest.mark.parametrize(
    ("column", "cell"),
    [("accuracy_mean", "0.900000"), ("rank", "7"), ("tied", "erm"), ("n", "11"), ("nll_sd", "")],
)
def test_summary_that_does_not_follow_from_its_runs_is_named(whole: Path, column, cell):
    before = rows_of(summary(whole))[1][column]
    set_cell(summary(whole), 1, **{column: cell})
    assert problems(whole) == [
        f"{summary(whole)} (subsets 0, method mixup): {column}='{cell}', but the runs give "
        f"'{before}'; build again"
    ]


def test_summary_with_a_row_too_many_or_too_few_is_named(whole: Path):
    edit(summary(whole), lambda rows: rows[0].update(method="best"))
    found = problems(whole)
    assert len(found) == 2
    assert any("method erm): is not there, though there are runs" in line for line in found)
    assert any("method best): there are no such runs" in line for line in found)


def test_summary_or_rows_that_are_gone_are_named(whole: Path):
    content = summary(whole).read_bytes()
    summary(whole).unlink()
    assert problems(whole) == [f"{summary(whole)}: no such file; build again"]
    summary(whole).write_bytes(content)
    runs(whole).unlink()
    [found] = problems(whole)
    assert found.startswith(f"{summary(whole)}: a summary without rows")


def test_metric_that_the_stored_predictions_do_not_give_is_named(made: Path, whole: Path):
    true = rows_of(runs(whole))[2]["nll"]
    set_cell(runs(whole), 2, nll="0.000001")
    found = problems(whole, predictions=made / "results")
    [line] = [line for line in found if "the predictions give" in line]
    assert line.startswith(f"{runs(whole)}, line 4 (subset 0, method erm, seed 2)")
    assert line.endswith(f"nll='0.000001', the predictions give {true}")


def test_number_of_a_set_that_the_record_says_was_not_there_is_named(tmp_path: Path):
    results, board = tmp_path / "results", tmp_path / "leaderboard"
    put(results, "erm", 0, 7)
    record = read_record(results / "erm/0")
    ood = {**record.metrics.ood, "uniform": None}
    metrics = {**record.metrics.model_dump(mode="json"), "ood": ood}
    arrays = unpack((results / "erm/0/predictions.npz").read_bytes())
    del arrays["ood_uniform"]
    stored = write_arrays(results / "erm/0", arrays)
    changes = {"metrics": metrics, "predictions": stored.model_dump()}
    write_record(results / "erm/0", Record.model_validate({**record.model_dump(), **changes}))
    build(results, board)
    set_cell(runs(board), 0, **{"ood.uniform.msp.auroc": "0.990000"})
    found = "\n".join(problems(board, predictions=results))
    assert "ood.uniform.msp.auroc='0.990000', the predictions give none" in found


def test_row_with_the_stored_predictions_of_another_run_is_named(made: Path, whole: Path):
    other = rows_of(runs(whole))[5]["predictions_sha256"]
    edit(runs(whole), lambda rows: (rows.pop(5), rows[2].update(predictions_sha256=other)))
    found = "\n".join(problems(whole, predictions=made / "results"))
    assert "seed 2): its predictions are those of another run, v1/digits/0/erm/5" in found


def test_row_whose_twin_alone_is_there_is_not_taken_for_a_copy(
    made: Path, whole: Path, tmp_path: Path
):
    shutil.copytree(made / "results", tmp_path / "results")
    [mixup] = (tmp_path / "results").rglob("mixup")
    shutil.rmtree(mixup)
    code, said, _ = command(whole, "--predictions", tmp_path / "results")
    assert code == 0
    assert "20 rows, 10 have none there" in said


def as_of_old(run: Path) -> None:
    """Let a run's predictions go by the hash of their bytes, as those of older versions do."""
    record = read_record(run)
    content = io.BytesIO()
    np.savez_compressed(content, **unpack((run / "predictions.npz").read_bytes()))
    (run / "predictions.npz").write_bytes(content.getvalue())
    digest = hashlib.sha256(content.getvalue()).hexdigest()
    old = {"file": "predictions.npz", "sha256": digest}
    write_record(run, Record.model_validate({**record.model_dump(), "predictions": old}))


def test_copy_of_an_old_run_is_found_in_a_new_one_by_their_stored_predictions(tmp_path: Path):
    results, board = tmp_path / "results", tmp_path / "leaderboard"
    put(results, "erm", 0, 7)
    put(results, "sam", 1, 7)
    as_of_old(results / "erm/0")
    build(results, board)
    rows = rows_of(runs(board))
    assert rows[0]["predictions_sha256"] != rows[1]["predictions_sha256"]
    assert not [line for line in problems(board) if "has the predictions of" in line]
    found = problems(board, predictions=results)
    assert [line for line in found if "has the predictions of subset 0, method erm, seed 0" in line]


def test_rows_of_old_runs_hold_when_their_predictions_are_packed_anew(tmp_path: Path):
    results, board = tmp_path / "results", tmp_path / "leaderboard"
    put(results, "erm", 0, 7)
    run = results / "erm/0"
    as_of_old(run)
    home = results / address_of(read_record(run))
    home.parent.mkdir(parents=True)
    shutil.move(run, home)
    build(results, board)
    before = runs(board).read_bytes()
    assert [each.state for each in prune(results, lambda record: True, repack=True)] == ["pruned"]
    assert check(board, predictions=results).recomputed == 1
    build(results, board)
    assert runs(board).read_bytes() == before


def test_damaged_predictions_are_named_and_lacking_ones_counted(
    made: Path, whole: Path, tmp_path: Path
):
    results = tmp_path / "results"
    shutil.copytree(made / "results" / "erm", results / "erm")
    (results / "erm/3/predictions.npz").write_bytes(b"nothing")
    report = check(whole, predictions=results)
    [found] = report.problems
    assert "seed 3): " in found
    assert "predictions.npz: not a predictions file" in found
    assert (report.rows, report.recomputed) == (30, 10)


@pytest.mark.parametrize("option", ["folder", "--predictions", "--base"])
def test_folder_that_is_not_there_is_wrong_use(whole: Path, tmp_path: Path, option):
    gone = tmp_path / "gone"
    code, said, error = command(gone) if option == "folder" else command(whole, option, gone)
    assert (code, said) == (2, "")
    assert str(gone) in "".join(error.split("\n"))
