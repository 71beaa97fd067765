from __future__ import annotations

import dataclasses
import hashlib
import json
import logging
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from scipy.special import log_softmax
from sklearn.metrics import accuracy_score, balanced_accuracy_score

import dcbench
from dcbench.data.source import Folder
from dcbench.data.splits import load_split
from dcbench.errors import DataError, RunError, UsageError
from dcbench.metrics.measure import measure
from dcbench.models import build_model
from dcbench.records import files, schema
from dcbench.records.arrays import arrays_sha256, unpack
from dcbench.records.checkpoint import Checkpoint
from dcbench.records.recompute import measure_again
from dcbench.records.store import Store
from dcbench.runs import execute as runs
from dcbench.runs import finish as finish_module
from dcbench.runs.execute import execute, execute_together
from dcbench.runs.machine import find_device
from dcbench.runs.plan import plan_run
from dcbench.runs.session import Session
from dcbench.training.trainer import Trainer
from tests.records.test_store import a_record, disk_that_fills_at, some_predictions

SOURCE = Path(dcbench.__file__).parents[1]
CPU = torch.device("cpu")
SHORT = {"epochs": 2}
FILES = ["history.csv", "model.safetensors", "predictions.npz", "record.json"]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, schema.Record]:
    """The results folder and the record of a whole run under the protocol."""
    results = tmp_path_factory.mktemp("finished")
    return results, dcbench.run("ic-regmixup", "digits", seed=1, device="cpu", results=results)


class Shown:
    """A progress that remembers: the tasks that were begun, and how far each came."""

    def __init__(self) -> None:
        self.tasks: list[ShownTask] = []

    def task(self, title: str, total: int, done: int = 0, unit: str = "") -> ShownTask:
        self.tasks.append(ShownTask(title, total, [done]))
        return self.tasks[-1]


@dataclasses.dataclass
class ShownTask:
    title: str
    total: int
    done: list[int]
    closed: bool = False

    def advance(self, count: int = 1, detail: str = "") -> None:
        assert not self.closed
        self.done.append(self.done[-1] + count)

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def said(caplog: pytest.LogCaptureFixture) -> Iterator[Callable[[], list[str]]]:
    """What runs tell, sentence by sentence."""
    with caplog.at_level(logging.INFO, logger="dcbench"):
        yield lambda: [record.getMessage() for record in caplog.records]


def short_run(results: Path, method: str = "erm", **options) -> schema.Record:
    return dcbench.run(method, "digits", settings=SHORT, device="cpu", results=results, **options)


def folder_of(results: Path, label: str = "erm,epochs=2", seed: int = 0) -> Path:
    return results / "v1" / "digits" / "subset-0" / label / f"seed-{seed}"


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.name != ".lock")


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_finished_run_has_its_files_and_no_checkpoint(finished):
    results, _ = finished
    assert names(folder_of(results, "ic-regmixup", 1)) == FILES


def test_record_has_the_promised_keys_and_values(finished):
    results, record = finished
    content = json.loads((folder_of(results, "ic-regmixup", 1) / "record.json").read_text())
    promised = {
        *("schema_version", "protocol", "status", "split", "subset", "method", "settings"),
        *("seed", "recipe", "data", "metrics", "predictions", "cost", "environment"),
        *("started", "finished"),
    }
    assert promised <= content.keys()
    assert content["predictions"].keys() == {"file", "sha256", "hash", "before"}
    assert content["cost"].keys() == {
        *("train_seconds", "evaluate_seconds", "images_per_second"),
        *("peak_memory_bytes", "device", "model_flops", "ceiling_share", "runs_together"),
    }
    assert content["schema_version"] == 1
    assert (record.protocol, record.status, record.departures) == ("v1", "protocol", ())
    assert (record.split, record.subset, record.seed) == ("digits", 0, 1)
    assert (record.method, record.label) == ("ic-regmixup", "ic-regmixup")
    assert record.settings["alpha"] == 20.0
    assert record.recipe.epochs == 60
    assert record.started <= record.finished
    assert record.cost.train_seconds > 0
    # digits-cnn on 8 x 8 pixels, a multiply-add as two; 150 images, clean and mixed, 60 epochs;
    # a backward pass takes two forward passes.
    image = 2 * (8 * 8 * 16 * 27 + 4 * 4 * 32 * 144 + 4 * 4 * 32 * 288 + 32 * 10)
    assert record.cost.model_flops == 3 * image * 150 * 2 * 60
    assert 0 < record.cost.ceiling_share < 1
    assert record.cost.runs_together == 1
    assert record.cost.peak_memory_bytes > 10_000_000
    assert record.environment["torch"] == torch.__version__
    assert record.environment["dcbench"] == dcbench.__version__
    assert record.cost.images_per_second == pytest.approx(
        150 * 60 / record.cost.train_seconds, rel=0.02
    )


def test_run_learns_something(finished):
    assert finished[1].metrics.accuracy > 0.6  # chance is 0.1


def test_hashes_of_a_record_are_those_of_its_files(finished):
    results, record = finished
    folder = folder_of(results, "ic-regmixup", 1)
    arrays = unpack((folder / record.predictions.file).read_bytes())
    assert record.predictions.sha256 == arrays_sha256(arrays)
    assert record.model.sha256 == sha256(folder / record.model.file)
    split = load_split("digits", 0)
    train, test = (Folder(Path()).part("digits", part) for part in ("train", "test"))
    used = train.images[np.concatenate([split.train, split.val])]
    assert record.data["fit"].sha256 == hashlib.sha256(used.tobytes()).hexdigest()
    assert record.data["fit"].images == 150
    assert record.data["test"].sha256 == hashlib.sha256(test.images.tobytes()).hexdigest()
    assert record.data["test"].images == 1197
    assert record.index_sha256 == split.hashes.index_sha256
    assert {name for name in record.data if name.startswith("ood.")} == {
        "ood.gaussian",
        "ood.uniform",
    }


def test_metrics_of_a_record_follow_from_its_predictions(finished):
    results, record = finished
    stored = unpack((folder_of(results, "ic-regmixup", 1) / "predictions.npz").read_bytes())
    logits, labels = stored["logits"], stored["labels"]
    assert labels.tolist() == Folder(Path()).part("digits", "test").labels.tolist()
    guesses = logits.argmax(axis=1)
    log_probs = log_softmax(logits.astype(np.float64), axis=1)
    assert record.metrics.accuracy == pytest.approx(accuracy_score(labels, guesses))
    assert record.metrics.balanced_accuracy == pytest.approx(
        balanced_accuracy_score(labels, guesses)
    )
    assert record.metrics.nll == pytest.approx(-log_probs[np.arange(1197), labels].mean())
    assert record.metrics.accuracy_few is None
    assert record.metrics.ood.keys() == {"gaussian", "uniform"}


def test_stored_weights_give_the_stored_predictions(finished):
    results, _ = finished
    folder = folder_of(results, "ic-regmixup", 1)
    network = build_model("digits-cnn", 10)
    network.load_state_dict(load_file(folder / "model.safetensors"))
    split = load_split("digits", 0)
    train, test = (Folder(Path()).part("digits", part).images for part in ("train", "test"))
    pixels = train[np.concatenate([split.train, split.val])] / 255.0
    images = (test / 255.0 - pixels.mean((0, 1, 2))) / pixels.std((0, 1, 2))
    with torch.no_grad():
        logits = network.eval()(torch.from_numpy(images).float().permute(0, 3, 1, 2)).numpy()
    stored = unpack((folder / "predictions.npz").read_bytes())
    assert logits == pytest.approx(stored["logits"], rel=1e-3, abs=1e-3)


def test_history_has_a_row_an_epoch(finished):
    results, _ = finished
    rows = (folder_of(results, "ic-regmixup", 1) / "history.csv").read_text().splitlines()
    assert rows[0] == "epoch,loss,learning_rate,seconds"
    assert [row.split(",")[0] for row in rows[1:]] == [str(epoch) for epoch in range(60)]


def test_finished_run_is_found_and_not_repeated(tmp_path: Path, said):
    first = short_run(tmp_path)
    folder = folder_of(tmp_path)
    before = {name: (folder / name).stat().st_mtime_ns for name in FILES}
    plan = plan_run("erm", "digits", settings=SHORT)
    noted = len(said())
    again = execute(plan, Store(tmp_path), Session(Folder(tmp_path), CPU))
    assert again == first
    assert {name: (folder / name).stat().st_mtime_ns for name in FILES} == before
    assert said()[noted:] == [f"found {folder / 'record.json'}; not run again"]


def test_run_whose_weights_are_not_kept_is_the_same_run_and_is_found(tmp_path: Path, said):
    kept = short_run(tmp_path / "kept")
    plan = plan_run("erm", "digits", settings=SHORT)
    session = Session(Folder(tmp_path), CPU)
    record = execute(plan, Store(tmp_path / "none", "none"), session)
    folder = folder_of(tmp_path / "none")
    assert names(folder) == [name for name in FILES if name != "model.safetensors"]
    assert not record.model.kept
    assert record.model.sha256 == kept.model.sha256
    assert record.predictions == kept.predictions
    assert measure_again(folder).differing == []
    assert execute(plan, Store(tmp_path / "none", "none"), session) == record
    assert said()[-1].endswith("not run again")
    assert execute(plan, Store(tmp_path / "none", "keep"), session) == record
    assert said()[-1] == "its weights were not kept; --restart trains it again"


def test_protocol_says_whether_weights_are_kept_unless_the_store_does(tmp_path: Path):
    plan = plan_run("erm", "digits", settings=SHORT)
    thrifty = dataclasses.replace(
        plan, protocol=plan.protocol.model_copy(update={"weights": "none"})
    )
    assert thrifty.identity.difference(plan.identity.configuration) is None
    session = Session(Folder(tmp_path), CPU)
    assert not execute(thrifty, Store(tmp_path / "one"), session).model.kept
    assert execute(thrifty, Store(tmp_path / "two", "keep"), session).model.kept
    assert execute(plan, Store(tmp_path / "three"), session).model.kept


def test_restart_repeats_a_finished_run(tmp_path: Path):
    first = short_run(tmp_path)
    before = (folder_of(tmp_path) / "record.json").stat().st_mtime_ns
    again = short_run(tmp_path, restart=True)
    assert (folder_of(tmp_path) / "record.json").stat().st_mtime_ns > before
    assert again.predictions == first.predictions


def test_restart_throws_a_damaged_record_and_checkpoint_away(tmp_path: Path):
    folder = folder_of(tmp_path)
    folder.mkdir(parents=True)
    (folder / "record.json").write_text("{")
    (folder / "checkpoint.pt").write_text("?")
    with pytest.raises(DataError, match=r"record\.json.*--restart"):
        short_run(tmp_path)
    (folder / "record.json").unlink()
    with pytest.raises(DataError, match=r"checkpoint\.pt.*--restart"):
        short_run(tmp_path)
    (folder / "record.json").write_text("{")
    assert short_run(tmp_path, restart=True).seed == 0
    assert names(folder) == FILES


@pytest.mark.parametrize("method", ["erm", "ic-remix"])
def test_same_run_in_another_folder_has_the_same_predictions(tmp_path: Path, method):
    one, other = (short_run(tmp_path / name, method) for name in ("a", "b"))
    assert one.predictions.sha256 == other.predictions.sha256
    assert one.model.sha256 == other.model.sha256
    assert one.metrics == other.metrics


def test_seed_subset_and_method_each_change_the_run(tmp_path: Path):
    runs_made = [
        short_run(tmp_path),
        short_run(tmp_path, seed=1),
        short_run(tmp_path, subset=1),
        short_run(tmp_path, "mixup"),
    ]
    assert len({record.predictions.sha256 for record in runs_made}) == 4
    assert len({record.index_sha256 for record in runs_made}) == 2
    assert len({record.data["fit"].sha256 for record in runs_made}) == 2
    assert len({record.data["test"].sha256 for record in runs_made}) == 1


def test_run_with_another_recipe_does_not_pass_for_the_one_that_was_asked(
    tmp_path: Path, monkeypatch
):
    short_run(tmp_path)
    path = folder_of(tmp_path) / "record.json"
    content = json.loads(path.read_text())
    content["recipe"]["weight_decay"] = 0.25
    path.write_text(json.dumps(content))
    with pytest.raises(RunError, match=r"another recipe: weight_decay=0\.25 and not 0\.0005") as e:
        short_run(tmp_path)
    for part in (str(path), "--restart", "--results"):
        assert part in str(e.value)


def test_half_done_run_with_another_recipe_is_not_gone_on_with(tmp_path: Path):
    plan = plan_run("erm", "digits", settings=SHORT)
    folder = tmp_path / plan.folder
    folder.mkdir(parents=True)
    other = plan_run("erm", "digits", settings={"epochs": 3})
    Checkpoint(folder, other.identity).write({})
    with pytest.raises(DataError, match=r"another recipe"):
        short_run(tmp_path)


def test_departure_makes_a_run_custom_and_is_named(tmp_path: Path):
    record = short_run(tmp_path, seed=10)
    assert record.status == "custom"
    assert record.departures[0] == "epochs=2 instead of 60"
    assert "seed 10 is not among those that the protocol asks" in record.departures
    assert folder_of(tmp_path, seed=10).is_dir()


def with_ood(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    """Give the split `digits` other OOD sets."""

    def load(name: str, subset: int = 0):
        split = load_split(name, subset)
        return dataclasses.replace(split, config=split.config.model_copy(update={"ood": names}))

    monkeypatch.setattr("dcbench.runs.plan.load_split", load)
    # Images of 32 pixels are no set for digits; here it only matters that they are not there.
    monkeypatch.setattr("dcbench.data.ood_sets.unfit", lambda name, split: None)


@pytest.mark.parametrize(
    ("absent", "departures"),
    [("svhn", ()), ("mnist", ("OOD set mnist is missing",))],
)
def test_missing_ood_set_is_recorded_and_custom_unless_the_protocol_can_do_without(
    tmp_path: Path, monkeypatch, absent, departures, said
):
    with_ood(monkeypatch, "uniform", absent)
    plan = plan_run("erm", "digits", settings=SHORT)
    session = Session(Folder(tmp_path / "nowhere"), CPU)
    record = execute(plan, Store(tmp_path / "r"), session)
    assert record.departures == ("epochs=2 instead of 60", *departures)
    assert record.data[f"ood.{absent}"] is None
    assert record.metrics.ood[absent] is None
    assert record.metrics.ood["uniform"]["msp"].auroc is not None
    assert record.missing.keys() == {absent}
    assert str(tmp_path / "nowhere") in record.missing[absent]
    so = "is left out, so the run is custom" if departures else "is optional and left out"
    execute(plan_run("mixup", "digits", settings=SHORT), Store(tmp_path / "r"), session)
    assert sum(f"OOD set {absent} {so}" in note for note in said()) == 1


def test_every_task_that_is_shown_is_closed_however_its_run_ends(tmp_path: Path):
    short_run(tmp_path)
    shown = Shown()
    plans = [
        plan_run("erm", "digits", settings=SHORT),  # found
        plan_run("mixup", "digits", settings=SHORT),
        plan_run("erm", "digits", settings={**SHORT, "learning_rate": 1e6}),  # fails
        plan_run("erm", "cifair10", settings=SHORT),  # has no images
    ]
    execute_together(plans, Store(tmp_path), Session(Folder(tmp_path), CPU), progress=shown)
    assert [task.title.partition(" ")[0] for task in shown.tasks] == ["train", "train", "predict"]
    assert all(task.closed for task in shown.tasks)


def test_every_epoch_and_every_image_is_shown(tmp_path: Path, said):
    shown, plan = Shown(), plan_run("erm", "digits", settings=SHORT)
    execute(plan, Store(tmp_path), Session(Folder(tmp_path), CPU), progress=shown)
    trained, predicted = shown.tasks
    assert (trained.total, trained.done) == (2, [0, 1, 2])
    assert predicted.total == predicted.done[-1] == 1197 + 2 * 2000
    assert any("12 steps" in note for note in said())


def test_estimate_writes_nothing(tmp_path: Path):
    plan = plan_run("erm", "digits")
    text = str(runs.estimate(plan, Session(Folder(tmp_path), CPU)))
    assert "360 steps" in text  # 60 epochs of six batches of 25
    assert "5197 images" in text
    assert list(tmp_path.iterdir()) == []


def test_diverged_run_leaves_no_record(tmp_path: Path):
    with pytest.raises(RunError, match="diverged"):
        dcbench.run(
            "erm",
            "digits",
            settings={**SHORT, "learning_rate": 1e6},
            device="cpu",
            results=tmp_path,
        )
    assert list(tmp_path.rglob("record.json")) == []


def test_run_that_could_not_be_written_is_written_later_without_training_again(
    tmp_path: Path, said
):
    with disk_that_fills_at(150_000), pytest.raises(RunError, match=r"predictions\.npz") as caught:
        short_run(tmp_path)
    assert caught.value.exit_code == 1
    assert "record.json" not in names(folder_of(tmp_path))
    plan = plan_run("erm", "digits", settings=SHORT)
    record = execute(plan, Store(tmp_path), Session(Folder(tmp_path), CPU))
    assert "going on from epoch 2, step 0" in said()
    assert record.predictions == short_run(tmp_path / "another").predictions
    assert names(folder_of(tmp_path)) == FILES


def in_a_process(code: str, *arguments: object) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        cwd=SOURCE,
        stdout=subprocess.PIPE,
        text=True,
    )


RUN_WITH_A_CHECKPOINT_EVERY_STEP = """
import sys, torch
torch.set_num_threads(1)
import dcbench, dcbench.training.loop
dcbench.training.loop.save_interval = lambda saving: 0.0
dcbench.run("ic-regmixup", "digits", seed=1, device="cpu", results=sys.argv[1])
"""


def test_run_that_was_killed_ends_as_one_that_was_not_bit_for_bit(finished, tmp_path: Path, said):
    folder = folder_of(tmp_path, "ic-regmixup", 1)
    process = in_a_process(RUN_WITH_A_CHECKPOINT_EVERY_STEP, tmp_path)
    try:
        deadline = time.monotonic() + 120
        while not (folder / "checkpoint.pt").exists() and time.monotonic() < deadline:
            time.sleep(0.005)
        time.sleep(random.uniform(0, 0.4))
    finally:
        process.kill()
        process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert not (folder / "record.json").exists()
    plan = plan_run("ic-regmixup", "digits", seed=1)
    record = execute(plan, Store(tmp_path), Session(Folder(tmp_path), CPU))
    assert any(note.startswith("going on from epoch") for note in said())
    whole, expected = finished
    assert record.predictions.sha256 == expected.predictions.sha256
    assert record.model.sha256 == expected.model.sha256
    assert record.metrics == expected.metrics
    stored = (folder / "model.safetensors").read_bytes()
    assert stored == (folder_of(whole, "ic-regmixup", 1) / "model.safetensors").read_bytes()
    assert [name for name in names(folder) if not name.startswith(".")] == FILES


RUN_SLOWLY = """
import sys, time, torch
from pathlib import Path
torch.set_num_threads(1)
from dcbench.config.progress import NoProgress
from dcbench.data.source import Folder
from dcbench.records.store import Store
from dcbench.runs.execute import execute
from dcbench.runs.plan import plan_run
from dcbench.runs.session import Session
class Slow(NoProgress):
    def task(self, *about, **more):
        return self
    def advance(self, count=1, detail=""):
        print("training", flush=True)
        time.sleep(0.3)
    def close(self):
        pass
plan = plan_run("erm", "digits", settings={"epochs": 4})
session = Session(Folder(Path()), torch.device("cpu"))
execute(plan, Store(Path(sys.argv[1])), session, progress=Slow())
"""


def test_second_process_waits_for_the_first_and_finds_its_record(tmp_path: Path, said):
    process = in_a_process(RUN_SLOWLY, tmp_path)
    assert process.stdout is not None
    assert process.stdout.readline() == "training\n"
    plan = plan_run("erm", "digits", settings={"epochs": 4})
    record = execute(plan, Store(tmp_path), Session(Folder(tmp_path), CPU))
    process.communicate(timeout=60)
    assert process.returncode == 0
    folder = tmp_path / plan.folder
    assert said() == [
        f"another process is at work in {folder}; waiting for it to finish",
        f"found {folder / 'record.json'}; not run again",
    ]
    assert record == files.read_record(folder)


def test_measuring_again_says_the_same(finished):
    results, record = finished
    again = measure_again(folder_of(results, "ic-regmixup", 1))
    assert (again.differing, again.new) == ([], [])
    assert again.metrics == record.metrics


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda metrics: metrics.update(accuracy=metrics["accuracy"] + 1e-6), ["accuracy"]),
        (lambda metrics: metrics.update(nll=metrics["nll"] - 1e-6), ["nll"]),
        (
            lambda metrics: metrics["ood"]["noise"]["msp"].update(auroc=0.5),
            ["ood.noise.msp.auroc"],
        ),
    ],
)
def test_measuring_again_finds_a_number_that_was_changed(tmp_path: Path, change, expected):
    record = a_record(predictions=files.write_predictions(tmp_path, some_predictions()))
    content = record.model_dump(mode="json")
    change(content["metrics"])
    (tmp_path / "record.json").write_text(json.dumps(content))
    assert measure_again(tmp_path).differing == expected


@pytest.mark.parametrize("counts", [[3, 3, 2, 2], [500, 50, 50, 5], [60, 50, 40, 30]])
def test_measuring_a_long_tailed_run_again_knows_its_groups(tmp_path: Path, counts):
    predictions = dataclasses.replace(some_predictions(), class_counts=np.array(counts))
    record = a_record(
        split="cifar10-lt-100",
        predictions=files.write_predictions(tmp_path, predictions),
        metrics=measure(predictions, long_tailed=True, ood_sets=("noise",)),
    )
    files.write_record(tmp_path, record)
    again = measure_again(tmp_path)
    assert (again.differing, again.new) == ([], [])
    assert again.metrics == record.metrics


@pytest.mark.parametrize(
    "arrays",
    [
        {"logits": np.zeros((3, 4)), "labels": np.zeros(2, int), "class_counts": np.ones(4, int)},
        {"logits": np.full((3, 4), np.nan), "labels": np.zeros(3, int), "class_counts": np.ones(4)},
    ],
)
def test_measuring_predictions_that_make_no_sense_names_the_damaged_file(tmp_path: Path, arrays):
    np.savez_compressed(tmp_path / "predictions.npz", **arrays)
    file = {"file": "predictions.npz", "sha256": sha256(tmp_path / "predictions.npz")}
    files.write_record(tmp_path, a_record(predictions=file))
    with pytest.raises(DataError, match=r"predictions\.npz"):
        measure_again(tmp_path)


def test_address_of_a_run_is_its_configuration():
    plan = plan_run("ic-mixup[axes=class]", "digits", subset=2, seed=7)
    assert plan.folder == Path("v1/digits/subset-2/ic-mixup,axes=class/seed-7")
    assert plan.departures == ()
    both = plan_run("ic-mixup", "digits", subset=2, seed=7, settings={"axes": "class"})
    assert both.identity.configuration == plan.identity.configuration
    assert both.folder == plan.folder


def test_training_part_alone_leaves_the_validation_part_out(tmp_path: Path):
    plan = plan_run("erm", "digits", settings={**SHORT, "fit": "train"})
    assert plan.num_images == 100
    record = execute(plan, Store(tmp_path), Session(Folder(tmp_path), CPU))
    assert record.data["fit"].images == 100
    assert plan_run("erm", "digits").num_images == 150


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"seed": -1}, "seed -1"),
        ({"subset": 3}, "no subset 3; there are: 0, 1, 2"),
        ({"settings": {"batch_size": 151}}, "batch_size=151: .*150 training images"),
        ({"settings": {"batch_size": 101, "fit": "train"}}, "100 training images"),
        ({"settings": {"model": "resnet-33"}}, "got 33"),
        ({"settings": {"model": "digit-cnn"}}, "did you mean digits-cnn"),
        ({"protocol": "v9"}, "unknown protocol 'v9'"),
        ({"method": "ic-mixp"}, "did you mean ic-mixup"),
        ({"method": "erm[alpha=1]"}, "unknown setting of erm"),
        ({"split": "digit"}, "did you mean digits"),
    ],
)
def test_run_that_cannot_be_is_refused_before_it_begins(options, message):
    given = {"method": "erm", "split": "digits", **options}
    with pytest.raises(UsageError, match=message):
        plan_run(**given)


@pytest.mark.parametrize("name", ["gpu", "cuda:x", "meta", "mps", "cuda:99", ""])
def test_device_that_is_not_there_is_refused(name):
    with pytest.raises(UsageError, match="device"):
        find_device(name)


def test_data_that_is_missing_is_named_with_its_place(tmp_path: Path):
    with pytest.raises(DataError) as caught:
        dcbench.run(
            "erm", "cifair10", device="cpu", data=tmp_path / "data", results=tmp_path / "results"
        )
    assert caught.value.exit_code == 3
    assert str(tmp_path / "data") in str(caught.value)
    assert list(tmp_path.rglob("record.json")) == []


@pytest.mark.data
def test_short_run_on_real_images_records_what_it_used(real_data: Path, tmp_path: Path):
    settings = {"epochs": 1, "model": "resnet-8", "batch_size": 50, "learning_rate": 0.05}
    record = dcbench.run(
        "ic-regmixup",
        "cifair10-common",
        settings=settings,
        device="cpu",
        data=real_data,
        results=tmp_path,
    )
    assert record.data["fit"].images == 500
    assert 9000 < record.data["test"].images < 10_000
    assert not any("svhn" in departure for departure in record.departures)
    assert record.metrics.accuracy_many is None
    assert 0.05 < record.metrics.accuracy < 0.6
    [path] = tmp_path.rglob("record.json")
    assert measure_again(path.parent).differing == []


@pytest.mark.gpu
def test_run_on_a_gpu_repeats_itself_and_predicts_as_a_cpu_does(cuda, tmp_path: Path):
    made = [
        dcbench.run("ic-regmixup", "digits", device="cuda", results=tmp_path / name)
        for name in ("a", "b")
    ]
    assert made[0].predictions.sha256 == made[1].predictions.sha256
    cpu = dcbench.run("ic-regmixup", "digits", device="cpu", results=tmp_path / "c")
    assert made[0].metrics.accuracy == pytest.approx(cpu.metrics.accuracy, abs=0.1)


def test_run_whose_flops_cannot_be_counted_is_recorded_without(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(finish_module, "count_flops", lambda *given: 1 / 0)
    record = execute(
        plan_run("erm", "digits", settings=SHORT), Store(tmp_path), Session(Folder(tmp_path), CPU)
    )
    assert (record.cost.model_flops, record.cost.ceiling_share) == (None, None)
    assert record.cost.images_per_second > 0


@pytest.mark.gpu
def test_peak_of_a_runs_memory_is_its_own(cuda, tmp_path: Path):
    earlier = torch.zeros(1 << 30, device=cuda)
    del earlier
    record = dcbench.run("erm", "digits", device="cuda", results=tmp_path, settings=SHORT)
    assert record.cost.peak_memory_bytes < 4 << 30


def test_runs_of_a_kind_are_measured_once_in_a_process(tmp_path: Path, monkeypatch):
    measured, counted = [], []
    steps, flops = Trainer.measure_step, finish_module.count_flops
    monkeypatch.setattr(
        Trainer, "measure_step", lambda trainer: (measured.append(trainer), steps(trainer))[1]
    )
    monkeypatch.setattr(
        finish_module, "count_flops", lambda *given: (counted.append(given), flops(*given))[1]
    )
    session, records = Session(Folder(tmp_path), CPU), []
    for changes in ({}, {"seed": 1}, {"subset": 1}, {"method": "mixup"}):
        asked = {"method": "erm", **changes}
        plan = plan_run(asked.pop("method"), "digits", settings={"epochs": 1}, **asked)
        records.append(execute(plan, Store(tmp_path), session))
    assert (len(measured), len(counted)) == (2, 2)
    assert len({record.cost.model_flops for record in records}) == 1
