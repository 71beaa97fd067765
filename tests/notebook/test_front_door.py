"""What a notebook reaches: names, objects, and errors that are of Python's kinds too."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

import dcbench
from dcbench.data.places import splits_folder
from dcbench.data.source import Folder
from dcbench.records.files import read_predictions

OPTIONS = {"protocol": "v1-lite", "device": "cpu", "settings": {"epochs": 2}}


@pytest.fixture(scope="module")
def results(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("notebook")
    dcbench.run("erm", "digits", seeds="0-1", results=folder, **OPTIONS)
    return folder


def test_completion_offers_the_promised_names_and_no_others():
    assert dir(dcbench) == sorted(
        [
            *("DataError", "DcbenchError", "Method", "OutOfTimeError", "Record", "RunError"),
            *("UsageError", "__version__", "compare", "list_methods", "list_splits"),
            *("load_leaderboard", "load_model", "load_posthoc", "load_records", "load_split"),
            *("register", "run", "run_many"),
        ]
    )
    for name in dir(dcbench):
        assert getattr(dcbench, name) is not None


def test_import_of_the_package_imports_neither_torch_nor_pandas():
    code = "import sys, dcbench; print({'torch', 'pandas', 'pydantic'} & sys.modules.keys())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_wrong_value_is_a_value_error_too():
    with pytest.raises(ValueError, match="unknown split 'digit'; did you mean digits"):
        dcbench.load_split("digit")


def test_several_seeds_are_a_list_and_are_found_again(results: Path):
    records = dcbench.run("erm", "digits", seeds=range(2), results=results, **OPTIONS)
    assert [record.seed for record in records] == [0, 1]
    assert all(0 < record.metrics.accuracy < 1 for record in records)


@pytest.mark.parametrize(
    "given",
    [
        {"seeds": np.arange(2)},
        {"seeds": (np.int64(0), 1), "settings": {"epochs": np.int64(2)}},
    ],
)
def test_numbers_of_numpy_ask_for_the_same_runs(results: Path, given: dict):
    records = dcbench.run("erm", "digits", results=results, **{**OPTIONS, **given})
    assert [record.seed for record in records] == [0, 1]
    many = dcbench.run_many("erm", "digits", results=results, **{**OPTIONS, **given})
    assert many == records


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"seed": "0"}, "seed '0': should be a whole number"),
        ({"seed": 1.5}, r"seed 1\.5: should be a whole number"),
        ({"seed": -1}, "seed -1: should be 0 or more"),
        ({"subset": "0"}, "subset '0': should be a whole number"),
        ({"subset": 1.0}, r"subset 1\.0: should be a whole number"),
        ({"seed": np.arange(2), "seeds": [1]}, r"seed array\(\[0, 1\]\): should be a whole number"),
        ({"threads": 0}, "threads 0: should be 1 or more"),
        ({"weights": "all"}, "weights 'all': should be keep or none"),
        ({"method": 3}, "method 3: should be a name"),
        ({"split": None}, "split None: should be a name"),
        ({"protocol": 1}, "protocol 1: should be a name"),
        ({"data": 3}, "data 3: should be a path"),
        ({"results": 3}, "results 3: should be a path"),
        ({"settings": {1: 2}}, "setting 1: should be a name"),
        ({"settings": "epochs=2"}, "settings 'epochs=2': should be a mapping"),
        ({"settings": {"epochs": object()}}, "epochs <object .*: should be a number"),
    ],
)
def test_wrong_kind_is_refused_in_one_line(given: dict, message: str):
    with pytest.raises(dcbench.UsageError, match=message):
        dcbench.run(**{"method": "erm", "split": "digits", **given})


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"methods": []}, "run_many: methods="),
        ({"methods": 3}, "methods 3: should be names"),
        ({"methods": [3]}, "methods 3: should be a name"),
        ({"weights": "all"}, "weights 'all': should be keep or none"),
        ({"seeds": []}, "seeds '': write a number"),
        ({"seeds": "x"}, "seeds 'x': write a number"),
        ({"seeds": [1, 1]}, "a seed is given twice"),
        ({"seeds": [0, -1]}, "write a number, a range"),
        ({"engine": 3}, "engine 3: should be a name"),
        ({"results": 3}, "results 3: should be a path"),
        ({"subsets": [0.5]}, "subset 0.5: should be a whole number"),
        ({"threads": 0}, "threads 0: should be 1 or more"),
    ],
)
def test_wrong_kind_of_many_is_refused_in_one_line(given: dict, message: str):
    with pytest.raises(dcbench.UsageError, match=message):
        dcbench.run_many(**{"methods": "erm", "splits": "digits", **given})


@pytest.mark.parametrize(
    ("load", "message"),
    [
        (lambda: dcbench.load_split("digits", "0"), "subset '0': should be a whole number"),
        (lambda: dcbench.load_split(3), "split 3: should be a name"),
        (lambda: dcbench.load_leaderboard("digits", protocol=1), "protocol 1: should be a name"),
        (lambda: dcbench.load_leaderboard("digits", folder=3), "folder 3: should be a path"),
        (lambda: dcbench.load_records(3), "results 3: should be a path"),
        (lambda: dcbench.load_model(3), "run 3: should be a name"),
        (lambda: dcbench.compare(metrics=[3]), "metrics 3: should be a name"),
        (lambda: dcbench.compare(against=3), "against 3: should be a name"),
    ],
)
def test_wrong_kind_to_load_is_refused_in_one_line(load, message: str):
    with pytest.raises(dcbench.UsageError, match=message):
        load()


def test_path_of_a_split_file_may_be_a_path_object():
    path = splits_folder() / "digits.yaml"
    assert dcbench.load_split(path).name == "digits"
    with pytest.raises(dcbench.UsageError, match="unknown method 'zzz'"):
        dcbench.run("zzz", path)
    with pytest.raises(dcbench.UsageError, match="unknown method 'zzz'"):
        dcbench.run_many("zzz", [path])


def test_text_names_one_metric_or_several(results: Path):
    dcbench.run("mixup", "digits", results=results, **OPTIONS)
    table = dcbench.compare(results, against="erm[epochs=2]", metrics="accuracy,nll")
    assert set(table["metric"]) == {"accuracy", "nll"}


def test_seed_beside_seeds_is_refused():
    with pytest.raises(dcbench.UsageError, match=r"seed=3 beside seeds='0-1': give one of them"):
        dcbench.run("erm", "digits", seed=3, seeds="0-1")


def test_many_runs_come_in_the_order_asked_for(results: Path):
    records = dcbench.run_many(
        ["erm", "mixup"], ["digits"], seeds=range(2), results=results, **OPTIONS
    )
    assert [(each.method, each.seed) for each in records] == [
        ("erm", 0),
        ("mixup", 0),
        ("erm", 1),
        ("mixup", 1),
    ]


def test_engine_is_chosen_by_its_name_and_told_its_options(results: Path):
    def asked(engine: str, **options: int) -> list[dcbench.Record]:
        chosen = {"engine": engine, "engine_options": options}
        return dcbench.run_many(["erm"], ["digits"], seeds=1, results=results, **OPTIONS, **chosen)

    assert [each.seed for each in asked("loky", workers=1)] == [1]
    with pytest.raises(dcbench.UsageError, match="unknown engine 'loki'; did you mean loky"):
        asked("loki")
    with pytest.raises(dcbench.UsageError, match="unknown key 'worker'; did you mean 'workers'"):
        asked("loky", worker=1)


def test_failed_runs_are_named_and_the_others_are_recorded(tmp_path: Path):
    with pytest.raises(dcbench.RunError, match=r"1 of 2 runs failed: .*learning_rate.*diverged"):
        dcbench.run_many(
            ["erm", "erm[learning_rate=1000000.0]"], ["digits"], results=tmp_path, **OPTIONS
        )
    assert dcbench.load_records(tmp_path)["method"].tolist() == ["erm[epochs=2]"]


def test_records_are_one_row_a_run_with_metrics_as_numbers(results: Path):
    table = dcbench.load_records(results)
    erm = table[table["method"] == "erm[epochs=2]"].sort_values("seed")
    assert erm["seed"].tolist() == [0, 1]
    for _, row in erm.iterrows():
        content = json.loads((Path(row["path"]) / "record.json").read_text())
        assert row["accuracy"] == pytest.approx(content["metrics"]["accuracy"], abs=1e-6)
        assert (row["protocol"], row["split"]) == ("v1-lite", "digits")


def test_no_records_are_an_empty_table(tmp_path: Path):
    table = dcbench.load_records(tmp_path)
    assert len(table.groupby("method")["accuracy"].mean()) == 0
    assert {"protocol", "split", "path", "seed"} < set(table.columns)
    for load in (dcbench.load_records, dcbench.load_posthoc):
        with pytest.raises(dcbench.UsageError, match="nowhere: there is no such folder"):
            load(tmp_path / "nowhere")


def test_leaderboard_is_two_data_frames():
    board = dcbench.load_leaderboard("cifair10-common", "v1-lite")
    assert isinstance(board.rows, pd.DataFrame)
    assert isinstance(board.summary, pd.DataFrame)
    erm = board.rows[(board.rows["method"] == "erm") & (board.rows["subset"] == 0)]
    means = board.summary.set_index(["subsets", "method"])["accuracy_mean"]
    assert means["0", "erm"] == pytest.approx(erm["accuracy"].mean(), abs=1e-6)


def test_split_without_images_has_its_rows_and_counts():
    split = dcbench.load_split("cifair10", subset=1)
    assert len(split.train) == 300
    assert split.class_counts == [30] * 10


def test_split_with_images_feeds_a_data_loader():
    split = dcbench.load_split("digits", images=True)
    assert isinstance(split.train, torch.utils.data.Dataset)
    whole = Folder(Path()).part("digits", "train")
    assert len(split.train) == len(split.listed.train)
    image, label = split.train[3]
    assert label == whole.labels[split.listed.train[3]]
    expected = whole.images[split.listed.train[3]].transpose(2, 0, 1) / np.float32(255)
    assert np.allclose(image.numpy(), expected)
    assert split.train.classes == split.listed.config.class_names
    images, labels = next(iter(torch.utils.data.DataLoader(split.train, batch_size=4)))
    assert images.shape == (4, 3, 8, 8)
    assert len(labels) == 4


def test_split_and_leaderboard_are_shown_in_a_line_and_not_with_their_arrays():
    assert repr(dcbench.load_split("digits")) == (
        "<Split: digits, subset 0; 100 training and 50 validation images of 10 classes>"
    )
    loaded = dcbench.load_split("digits", images=True)
    counts = "train 100, val 50, test 1197, gaussian 2000, uniform 2000"
    assert repr(loaded) == f"<LoadedSplit: digits, subset 0; images: {counts}>"
    assert repr(loaded.train) == "100 images of 8 x 8 pixels, 10 classes"
    board = repr(dcbench.load_leaderboard("digits", "v1-lite"))
    assert board.startswith("<Board: digits, protocol v1-lite; .rows: ")
    assert "\n" not in board


def test_transform_is_given_a_pillow_image():
    split = dcbench.load_split("digits", images=True, transform=lambda image: image.size)
    assert split.test[0][0] == (8, 8)


def test_trained_network_predicts_what_its_run_has_predicted(results: Path):
    record = dcbench.run("erm", "digits", seed=1, results=results, **OPTIONS)
    folder = next(results.rglob("erm*/seed-1"))
    network = dcbench.load_model(folder)
    test = dcbench.load_split("digits", images=True).test
    stored = read_predictions(folder, record)
    assert np.array_equal(network.predict(test.images), stored.logits)
    with torch.no_grad():
        logits = network(torch.stack([test[index][0] for index in range(20)]))
    assert np.allclose(logits.numpy(), stored.logits[:20], atol=1e-4)
    assert network.classes == test.classes


def test_weights_that_are_gone_are_named(results: Path, tmp_path: Path):
    folder = next(results.rglob("erm*/seed-0"))
    (tmp_path / "record.json").write_bytes((folder / "record.json").read_bytes())
    with pytest.raises(dcbench.DataError, match=r"model\.safetensors: no such file"):
        dcbench.load_model(tmp_path)


def test_lists_take_wildcards():
    assert {"ic-mixup", "ic-remix", "ic-regmixup"} <= set(dcbench.list_methods("ic-*"))
    assert "cifair10-common" in dcbench.list_splits("cifair10*")
