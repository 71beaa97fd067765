from pathlib import Path

import pytest

from dcbench.config.paths import results_root
from dcbench.errors import DataError
from dcbench.records import files
from dcbench.records.store import Finished, Store, address_of, find_records, unfinished_folders
from dcbench.runs.plan import plan_run
from tests.records.test_store import a_record


def test_results_folder_is_the_option_then_the_variable_then_here(monkeypatch):
    monkeypatch.setenv("DCBENCH_RESULTS", "variable")
    assert results_root("option") == Path("option")
    assert results_root() == Path("variable")
    monkeypatch.delenv("DCBENCH_RESULTS")
    assert results_root() == Path("results")


def test_record_lies_where_its_plan_says():
    plan = plan_run("ic-mixup[axes=class]", "digits", subset=2, seed=7, protocol="v1-lite")
    label = "ic-mixup[axes=class]"
    record = a_record(protocol="v1-lite", subset=2, method="ic-mixup", label=label, seed=7)
    expected = Path("v1-lite/digits/subset-2/ic-mixup,axes=class/seed-7")
    assert plan.folder == address_of(record) == expected


@pytest.mark.parametrize(
    "label", ["erm", "ic-mixup[axes=class]", "cutmix[alpha=0.5,probability=1.0]"]
)
def test_run_is_found_where_an_earlier_version_put_it_and_otherwise_without_brackets(
    tmp_path: Path, label
):
    plan = plan_run(label, "digits", seed=7, protocol="v1-lite")
    store, identity = Store(tmp_path), plan.identity
    assert "[" not in str(store.folder(identity))
    earlier = tmp_path / "v1-lite/digits/subset-0" / label / "seed-7"
    record = a_record(**identity.configuration.model_dump(mode="json"), label=label)
    earlier.mkdir(parents=True)
    (earlier / "predictions.npz").write_bytes(b"there")
    files.write_record(earlier, record)
    assert store.folder(identity) == earlier
    found = store.find(identity)
    assert isinstance(found, Finished)
    assert found.record == record


def test_records_are_found_in_the_order_of_their_paths_and_one_that_is_none_is_named(
    tmp_path: Path,
):
    for name, seed in (("b/deep", 1), ("a", 2)):
        (tmp_path / name).mkdir(parents=True)
        files.write_record(tmp_path / name, a_record(seed=seed))
    found = list(find_records(tmp_path))
    assert [path for path, _ in found] == [
        tmp_path / "a/record.json",
        tmp_path / "b/deep/record.json",
    ]
    assert [record.seed for _, record in found] == [2, 1]
    (tmp_path / "a/record.json").write_text("{")
    with pytest.raises(DataError, match=r"a/record\.json"):
        list(find_records(tmp_path))


def test_records_behind_a_link_to_a_folder_are_not_found_twice(tmp_path: Path):
    (tmp_path / "results/a").mkdir(parents=True)
    files.write_record(tmp_path / "results/a", a_record())
    (tmp_path / "results/again").symlink_to(tmp_path / "results/a")
    (tmp_path / "results/a/up").symlink_to(tmp_path / "results")
    assert len(list(find_records(tmp_path / "results"))) == 1


def test_unfinished_are_folders_with_something_of_a_run_and_no_record(tmp_path: Path):
    for name in ("done", "begun", "locked", "other", "deep/cut-off"):
        (tmp_path / name).mkdir(parents=True)
    files.write_record(tmp_path / "done", a_record())
    (tmp_path / "done/predictions.npz").write_bytes(b"x")
    (tmp_path / "begun/checkpoint.pt").write_bytes(b"x")
    (tmp_path / "locked/.lock").write_bytes(b"")
    (tmp_path / "other/notes.txt").write_bytes(b"x")
    (tmp_path / "deep/cut-off/predictions.npz").write_bytes(b"x")
    (tmp_path / "deep/cut-off/model.safetensors").write_bytes(b"x")
    assert unfinished_folders(tmp_path) == [tmp_path / "begun", tmp_path / "deep/cut-off"]
