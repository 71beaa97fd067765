"""What is predicted of further image sets after a run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from dcbench.config.image_sets import CORRUPTIONS
from dcbench.errors import DataError
from dcbench.metrics.measure import flatten
from dcbench.metrics.shift import verdicts
from dcbench.records import files
from dcbench.records.collect import collect
from dcbench.records.recompute import measure_again
from dcbench.records.schema import ImagesUsed
from dcbench.records.set_files import read_completed, read_sets, write_arrays, write_set
from dcbench.records.sets import Arrays, FurtherSet, measure_set
from dcbench.records.store import Finished, Store, find_records
from tests.records.test_collect import contents, put, states
from tests.records.test_store import a_run

FOREIGN = np.random.default_rng(3).normal(size=(30, 4)).astype(np.float32)


def add(folder: Path, name: str, arrays: Arrays | None = None, **changes: Any) -> FurtherSet:
    """A set of a run with predictions that follow from its name."""
    record = files.read_record(folder)
    predictions = files.read_predictions(folder, record)
    kind = "corruption" if name in CORRUPTIONS else "ood"
    if arrays is None:
        drawn = np.random.default_rng(len(name)).normal(size=(5, *predictions.logits.shape))
        each = [verdicts(logits, predictions.labels) for logits in drawn]
        stacked = {key: np.stack([getattr(one, key) for one in each]) for key in each[0]._fields}
        arrays = stacked if kind == "corruption" else {"logits": FOREIGN}
    values: dict[str, Any] = {
        "name": name,
        "kind": kind,
        "model_sha256": record.model.sha256,
        "images": ImagesUsed(images=30, sha256="0" * 64, official=True),
        "predictions": write_arrays(folder, name, arrays),
        **measure_set(kind, arrays, predictions),
        "seconds": 1.5,
        "device": "a CPU",
        "environment": {},
        "finished": "2026-11-27T10:00:00+00:00",
    }
    found = FurtherSet.model_validate({**values, **changes})
    write_set(folder, found)
    return found


def lacking(results: Path, *names: str, other: tuple[str, ...] = ()) -> Path:
    """A run that is custom for want of OOD sets, and for other reasons."""
    folder = put(results)
    record = files.read_record(folder)
    metrics = record.metrics.model_copy(
        update={"ood": {**record.metrics.ood, **dict.fromkeys(names)}}
    )
    changed = {
        "status": "custom",
        "departures": (*(f"OOD set {name} is missing" for name in names), *other),
        "missing": dict.fromkeys(names, "no such file"),
        "data": {**record.data, **{f"ood.{name}": None for name in names}},
        "metrics": metrics,
    }
    files.write_record(folder, record.model_copy(update=changed))
    return folder


def test_record_and_predictions_stay_as_the_run_wrote_them(tmp_path: Path):
    folder = put(tmp_path)
    before = contents(folder)
    add(folder, "tin")
    after = contents(folder)
    assert {name: after[name] for name in before} == before
    assert after.keys() - before.keys() == {"sets/tin.json", "sets/tin.npz"}


def test_numbers_of_a_set_stand_beside_those_of_the_run(tmp_path: Path):
    folder = put(tmp_path)
    before = files.read_record(folder)
    add(folder, "tin")
    found = read_completed(folder)
    logits = files.read_predictions(folder, before).logits
    scores = np.concatenate([logits, FOREIGN]).max(axis=1)
    expected = roc_auc_score([1] * len(logits) + [0] * len(FOREIGN), scores)
    assert found.metrics.ood["tin"]["max_logit"].auroc == pytest.approx(expected, abs=1e-12)
    known, now = flatten(before.metrics), flatten(found.metrics)
    assert {key: now[key] for key in known} == known
    assert found.data["ood.tin"].images == 30


def test_every_reader_of_results_sees_the_sets(tmp_path: Path):
    add(put(tmp_path, seed=1), "tin")
    [(_, record)] = find_records(tmp_path)
    assert "tin" in record.metrics.ood
    found = Store(tmp_path).find(a_run(seed=1, recipe=record.recipe))
    assert isinstance(found, Finished)
    assert "tin" in found.record.metrics.ood


@pytest.mark.parametrize(
    ("other", "status"), [((), "protocol"), (("epochs=2 instead of 60",), "custom")]
)
def test_run_without_an_ood_set_is_custom_for_other_reasons_alone(tmp_path, other, status):
    folder = lacking(tmp_path, "mnist", other=other)
    assert read_completed(folder).status == "custom"
    add(folder, "mnist")
    found = read_completed(folder)
    assert (found.status, found.departures) == (status, other)
    assert found.missing == {}
    assert found.metrics.ood["mnist"] is not None
    assert files.read_record(folder).status == "custom"


def test_one_of_two_missing_sets_is_not_enough(tmp_path: Path):
    folder = lacking(tmp_path, "mnist", "cifar100")
    add(folder, "mnist")
    found = read_completed(folder)
    assert found.departures == ("OOD set cifar100 is missing",)
    assert found.missing.keys() == {"cifar100"}


def test_mean_over_near_sets_is_none_until_all_are_there(tmp_path: Path):
    folder = lacking(tmp_path, "cifar100")
    add(folder, "tin")
    assert read_completed(folder).metrics.ood["near"] is None
    add(folder, "cifar100", {"logits": 2 * FOREIGN})
    ood = read_completed(folder).metrics.ood
    for score in ("msp", "energy"):
        mean = (ood["tin"][score].auroc + ood["cifar100"][score].auroc) / 2
        assert ood["near"][score].auroc == pytest.approx(mean, abs=1e-12)
    assert "far" not in ood, "no set of that group was predicted"
    add(folder, "textures")
    assert read_completed(folder).metrics.ood["far"] is None


def test_mean_over_corruptions_is_none_until_all_fifteen_are_there(tmp_path: Path):
    folder = put(tmp_path)
    added = [add(folder, name) for name in CORRUPTIONS[:-1]]
    assert read_completed(folder).metrics.shift["corruptions"] is None
    added.append(add(folder, CORRUPTIONS[-1]))
    shift = read_completed(folder).metrics.shift
    every = [level.accuracy for each in added for level in each.severities]
    assert len(every) == 75
    assert shift["corruptions"].accuracy == pytest.approx(np.mean(every), abs=1e-12)
    assert shift["fog"].accuracy == pytest.approx(
        np.mean([level.accuracy for level in added[CORRUPTIONS.index("fog")].severities])
    )


def test_metrics_of_sets_follow_from_their_predictions(tmp_path: Path):
    folder = put(tmp_path)
    add(folder, "tin")
    for name in CORRUPTIONS:
        add(folder, name)
    again = measure_again(folder)
    assert (again.differing, again.new) == ([], [])
    assert {"ood.tin.msp.auroc", "shift.corruptions.accuracy", "ood.near"} <= set(again.later)
    path = folder / "sets/fog.json"
    changed = json.loads(path.read_text())
    changed["severities"][0]["accuracy"] += 0.01
    path.write_text(json.dumps(changed))
    found = measure_again(folder).differing
    assert found == ["shift.fog.accuracy", "shift.corruptions.accuracy"]


def test_set_of_other_weights_is_refused(tmp_path: Path):
    folder = put(tmp_path)
    add(folder, "tin", model_sha256="f" * 64)
    with pytest.raises(DataError, match=r"tin\.json: was predicted by other weights"):
        read_completed(folder)


@pytest.mark.parametrize("content", ["{", "[]", '{"name": "tin"}'])
def test_damaged_set_is_named(tmp_path: Path, content: str):
    folder = put(tmp_path)
    add(folder, "tin")
    (folder / "sets/tin.json").write_text(content)
    with pytest.raises(DataError, match=r"sets/tin\.json"):
        read_completed(folder)


def test_damaged_predictions_of_a_set_are_named(tmp_path: Path):
    folder = put(tmp_path)
    add(folder, "tin")
    (folder / "sets/tin.npz").write_bytes(b"PK")
    with pytest.raises(DataError, match=r"sets/tin\.npz: not a predictions file"):
        measure_again(folder)


def test_set_that_was_cut_off_before_its_record_is_no_set(tmp_path: Path):
    folder = put(tmp_path)
    write_arrays(folder, "tin", {"logits": FOREIGN})
    assert read_sets(folder, files.read_record(folder)) == []
    assert "tin" not in read_completed(folder).metrics.ood


def test_run_that_begins_again_keeps_no_set(tmp_path: Path):
    folder = put(tmp_path)
    add(folder, "tin")
    files.clear(folder)
    assert not (folder / "sets").exists()


def test_sets_of_several_machines_come_together(tmp_path: Path):
    lab, cluster, results = (tmp_path / name for name in ("lab", "cluster", "results"))
    add(put(lab), "tin")
    add(put(cluster), "usps")
    outcomes = collect([lab, cluster], results)
    run = "v1/digits/subset-0/erm/seed-0"
    assert states(outcomes) == [(run, "copied"), (run, "there_already")]
    [(path, record)] = find_records(results)
    assert {"tin", "usps"} <= record.metrics.ood.keys()
    assert measure_again(path.parent).differing == []
    before = contents(results)
    add(lab / run, "kmnist")
    [again, _] = collect([lab, cluster], results)
    assert again.message == "sets added: kmnist"
    assert contents(results).items() >= before.items()


def test_other_predictions_of_one_set_are_not_mixed(tmp_path: Path):
    lab, results = tmp_path / "lab", tmp_path / "results"
    add(put(lab), "tin")
    there = put(results)
    add(there, "tin", {"logits": 2 * FOREIGN})
    before = contents(results)
    [outcome] = collect([lab], results)
    assert outcome.state == "damaged"
    assert "hold other predictions of tin" in outcome.message
    assert contents(results) == before


def test_nothing_of_a_set_is_written_by_a_dry_run(tmp_path: Path):
    lab, results = tmp_path / "lab", tmp_path / "results"
    add(put(lab), "tin")
    put(results)
    before = contents(results)
    [outcome] = collect([lab], results, dry_run=True)
    assert outcome.message == "sets added: tin"
    assert contents(results) == before
