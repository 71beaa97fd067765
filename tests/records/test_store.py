import contextlib
import csv
import errno
import hashlib
import io
import json
import logging
import os
import random
import resource
import shutil
import stat
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from dcbench.config.protocol import load_protocol
from dcbench.errors import DataError, RunError
from dcbench.metrics.measure import Predictions, measure
from dcbench.records import files, store
from dcbench.records.arrays import arrays_sha256, unpack
from dcbench.records.atomic import write_whole
from dcbench.records.checkpoint import Checkpoint
from dcbench.records.files import read_predictions, read_record
from dcbench.records.identity import Configuration, Identity
from dcbench.records.schema import EpochSummary, Record


def some_predictions(seed: int = 0) -> Predictions:
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, 4, 60)
    logits = (generator.normal(size=(60, 4)) + 2 * np.eye(4)[labels]).astype(np.float32)
    ood = generator.normal(size=(40, 4)).astype(np.float32)
    return Predictions(logits, labels, np.array([3, 3, 2, 2]), {"noise": ood})


DIGITS = {
    "model": "digits-cnn",
    "epochs": 60,
    "batch_size": 25,
    "learning_rate": 0.05,
    "momentum": 0.9,
    "weight_decay": 0.0005,
    "schedule": "cosine",
    "padding": 1,
}
"""The recipe of `digits` under protocol v1."""


def a_record(**changes: Any) -> Record:
    """A record as a run on `digits` would make it."""
    content = {
        "schema_version": 1,
        "protocol": "v1",
        "status": "protocol",
        "departures": [],
        "split": "digits",
        "subset": 0,
        "index_sha256": "a" * 64,
        "method": "erm",
        "settings": {},
        "method_sha256": None,
        "label": "erm",
        "seed": 0,
        "recipe": DIGITS,
        "data": {"fit": {"images": 150, "sha256": "b" * 64, "official": True}, "ood.noise": None},
        "missing": {"noise": "it was not there"},
        "metrics": measure(some_predictions(), long_tailed=False, ood_sets=("noise",)),
        "predictions": {"file": "predictions.npz", "sha256": "c" * 64},
        "model": {"file": "model.safetensors", "sha256": "d" * 64},
        "cost": {
            "train_seconds": 12.34,
            "evaluate_seconds": 1.0,
            "images_per_second": 700.0,
            "peak_memory_bytes": 123456789,
            "device": "a processor, 2 threads",
        },
        "environment": {"dcbench": "0.1.0", "commit": None, "torch": "2.6.0"},
        "started": "2024-01-01T00:00:00+00:00",
        "finished": "2024-01-01T00:01:00+00:00",
    }
    return Record.model_validate({**content, **changes})


@contextlib.contextmanager
def disk_that_fills_at(size: int):
    """No file of this process can grow beyond `size` bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def a_run(seed: int = 1, **changes: Any) -> Identity:
    """The run of `erm` on digits that a checkpoint or a record is of."""
    values = {key: getattr(a_record(seed=seed), key) for key in Configuration.model_fields}
    values["recipe"] = load_protocol("v1").entry("digits").training
    return Identity(Configuration.model_validate({**values, **changes}), "erm")


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_record_comes_back_as_it_was_written(tmp_path: Path):
    record = a_record()
    files.write_record(tmp_path, record)
    assert read_record(tmp_path) == record
    assert read_record(tmp_path / "record.json") == record
    content = json.loads((tmp_path / "record.json").read_text())
    assert content["metrics"]["accuracy"] == record.metrics.accuracy
    assert content["missing"] == {"noise": "it was not there"}


def test_finished_record_takes_the_checkpoint_away(tmp_path: Path):
    Checkpoint(tmp_path, a_run()).write({})
    files.write_record(tmp_path, a_record())
    assert names(tmp_path) == ["record.json"]


def test_record_names_the_data_that_was_not_official():
    used = {"images": 1, "sha256": "e" * 64}
    data = {"fit": {**used, "official": True}, "test": {**used, "official": False}, "ood.x": None}
    assert a_record(data=data).unverified_data == ["test"]


def without(key: str):
    return lambda content: {name: content[name] for name in content if name != key}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda content: {**content, "schema_version": 2}, "schema_version=2"),
        (lambda content: {**content, "schema_version": "1"}, "schema_version='1'"),
        (without("schema_version"), "schema_version=None"),
        (lambda content: {**content, "sede": 3}, "unknown key 'sede'; did you mean 'seed'"),
        (without("seed"), "key 'seed' is missing"),
        (lambda content: {**content, "seed": "three"}, "seed='three'"),
        (lambda content: {**content, "status": "fine"}, "'protocol' or 'custom'"),
        (
            lambda content: {**content, "predictions": {"file": "predictions.npz"}},
            "key 'predictions.sha256' is missing",
        ),
        (
            lambda content: {**content, "model": {"file": "../other", "sha256": "d" * 64}},
            "model.file='../other'",
        ),
        (lambda content: [content], "schema_version=None"),
        (lambda content: None, "schema_version=None"),
    ],
)
def test_record_that_is_not_one_is_refused_by_file_and_key(tmp_path: Path, change, message):
    path = tmp_path / "record.json"
    path.write_text(json.dumps(change(a_record().model_dump(mode="json"))))
    with pytest.raises(DataError) as caught:
        read_record(tmp_path)
    assert str(path) in str(caught.value)
    assert message in str(caught.value)
    assert caught.value.exit_code == 3


@pytest.mark.parametrize(
    "content", [b"", b"{", b"not JSON", b"\xff\xfe", b"\x00" * 50, b"[" * 100_000]
)
def test_record_that_is_not_json_is_refused_by_file(tmp_path: Path, content):
    (tmp_path / "record.json").write_bytes(content)
    with pytest.raises(DataError, match=r"record\.json: cut off or not JSON.*--restart"):
        read_record(tmp_path)


def test_record_cut_off_anywhere_is_refused(tmp_path: Path):
    files.write_record(tmp_path, a_record())
    whole = (tmp_path / "record.json").read_bytes()
    for length in range(0, len(whole) - 2, 97):
        (tmp_path / "record.json").write_bytes(whole[:length])
        with pytest.raises(DataError, match=r"record\.json"):
            read_record(tmp_path)


@pytest.mark.parametrize(
    "metrics", [{}, {"ood": {}}, {"accuracy": "high", "ood": {}}, {"ood": None}]
)
def test_record_whose_metrics_are_not_those_of_a_record_is_refused(tmp_path: Path, metrics):
    content = a_record().model_dump(mode="json")
    (tmp_path / "record.json").write_text(json.dumps({**content, "metrics": metrics}))
    with pytest.raises(DataError, match=r"record\.json: .*metrics"):
        read_record(tmp_path)


def test_missing_record_is_named(tmp_path: Path):
    with pytest.raises(DataError, match=r"record\.json: no such file"):
        read_record(tmp_path)
    with pytest.raises(DataError, match="nowhere: no such file"):
        read_record(tmp_path / "nowhere")
    (tmp_path / "record.json").mkdir()
    with pytest.raises(DataError, match=r"record\.json: is a folder"):
        read_record(tmp_path)


def test_predictions_come_back_bit_for_bit_and_give_the_same_metrics(tmp_path: Path):
    stored = some_predictions()
    file = files.write_predictions(tmp_path, stored)
    arrays = unpack((tmp_path / "predictions.npz").read_bytes())
    assert arrays.keys() == {"logits", "labels", "class_counts", "ood_noise"}
    assert (file.file, file.hash) == ("predictions.npz", "arrays")
    assert file.sha256 == arrays_sha256(arrays)
    found = read_predictions(tmp_path, a_record(predictions=file))
    assert np.array_equal(found.logits, stored.logits)
    assert found.logits.dtype == np.float32
    assert np.array_equal(found.labels, stored.labels)
    assert np.array_equal(found.class_counts, stored.class_counts)
    assert found.ood.keys() == {"noise"}
    assert np.array_equal(found.ood["noise"], stored.ood["noise"])
    both = [measure(each, long_tailed=True, ood_sets=("noise",)) for each in (stored, found)]
    assert both[0] == both[1]


def test_same_predictions_have_one_hash_and_others_another(tmp_path: Path):
    hashes = [files.write_predictions(tmp_path, some_predictions(seed)) for seed in (0, 0, 1)]
    assert hashes[0] == hashes[1]
    assert hashes[0] != hashes[2]


@pytest.mark.parametrize("damage", ["cut off", "one bit", "another run", "empty"])
def test_predictions_that_are_not_those_of_the_record_are_refused(tmp_path: Path, damage):
    file = files.write_predictions(tmp_path, some_predictions())
    path = tmp_path / "predictions.npz"
    content = bytearray(path.read_bytes())
    expected = [str(path), "--restart"]
    if damage == "cut off":
        path.write_bytes(content[:-20])
    elif damage == "one bit":
        content[content.index(b"logits.low.npy") + 200] ^= 1  # beyond the header of the member
        path.write_bytes(content)
    elif damage == "empty":
        path.write_bytes(b"")
    else:
        other = files.write_predictions(tmp_path, some_predictions(1))
        expected += [other.sha256, file.sha256]
    with pytest.raises(DataError) as caught:
        read_predictions(tmp_path, a_record(predictions=file))
    for part in expected:
        assert part in str(caught.value)


OLD = Path(__file__).parent / "samples" / "predictions-2026-11.npz"
"""Of `some_predictions()`, as `numpy.savez_compressed` wrote them once."""

OLD_SHA256 = "42e54ca95494bc7645329f4768269597df2b4b0a8320f8ed46561ae2f0207ff5"


def test_old_predictions_are_read_by_the_hash_of_their_bytes(tmp_path: Path):
    shutil.copy(OLD, tmp_path / "predictions.npz")
    record = a_record(predictions={"file": "predictions.npz", "sha256": OLD_SHA256})
    found, expected = read_predictions(tmp_path, record), some_predictions()
    assert found.logits.tobytes() == expected.logits.tobytes()
    assert found.labels.tolist() == expected.labels.tolist()
    assert found.class_counts.tolist() == [3, 3, 2, 2]
    assert found.ood["noise"].tobytes() == expected.ood["noise"].tobytes()


def test_old_predictions_with_another_byte_are_refused_though_they_could_be_read(tmp_path: Path):
    (tmp_path / "predictions.npz").write_bytes(OLD.read_bytes() + b"\0")
    record = a_record(predictions={"file": "predictions.npz", "sha256": OLD_SHA256})
    with pytest.raises(DataError, match=r"predictions\.npz: SHA-256 is .* 42e54ca9"):
        read_predictions(tmp_path, record)


def test_old_and_new_file_of_the_same_arrays_have_one_hash(tmp_path: Path):
    new = files.write_predictions(tmp_path, some_predictions())
    shutil.copy(OLD, tmp_path / "predictions.npz")
    assert read_predictions(tmp_path, a_record(predictions=new)).ood.keys() == {"noise"}


def test_record_of_weights_that_are_not_kept_has_their_hash_and_says_how_to_get_them(
    tmp_path: Path,
):
    (tmp_path / "model.safetensors").write_bytes(b"of an attempt that was cut off")
    model = files.write_weights(tmp_path, b"weights", keep=False)
    assert model.sha256 == hashlib.sha256(b"weights").hexdigest()
    assert names(tmp_path) == []
    with pytest.raises(DataError, match=r"were not kept.*--restart --weights keep"):
        files.read_stored(tmp_path, model)


def test_record_of_before_weights_could_be_left_out_has_its_weights():
    assert a_record().model.kept
    assert a_record().predictions.hash == "bytes"


def test_missing_predictions_are_named_with_the_hash_that_is_expected(tmp_path: Path):
    with pytest.raises(DataError, match=r"predictions\.npz: no such file.* c{64}"):
        read_predictions(tmp_path, a_record())


def archive(**arrays: Any) -> bytes:
    content = io.BytesIO()
    np.savez_compressed(content, **arrays)
    return content.getvalue()


def array_alone() -> bytes:
    content = io.BytesIO()
    np.save(content, np.zeros(3))
    return content.getvalue()


def badly_compressed() -> bytes:
    content = bytearray(archive(logits=np.random.default_rng(0).normal(size=(50, 4))))
    content[80:120] = b"\xff" * 40
    return bytes(content)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"PK\3\4 not an archive",
        b"words",
        archive(logits=np.zeros((3, 2), np.float32)),
        archive(logits=np.array([None]), labels=np.zeros(1), class_counts=np.zeros(1)),
        array_alone(),
        badly_compressed(),
    ],
    ids=["empty", "cut off", "text", "no labels", "objects", "one array", "bad compression"],
)
@pytest.mark.parametrize("kind", ["bytes", "arrays"])
def test_file_that_holds_no_predictions_is_refused_whatever_the_record_names(
    tmp_path: Path, content, kind
):
    (tmp_path / "predictions.npz").write_bytes(content)
    digest = hashlib.sha256(content).hexdigest()
    if kind == "arrays":
        with contextlib.suppress(Exception):
            digest = arrays_sha256(unpack(content))
    file = {"file": "predictions.npz", "sha256": digest, "hash": kind}
    with pytest.raises(DataError, match=r"predictions\.npz: not a predictions file"):
        read_predictions(tmp_path, a_record(predictions=file))


def test_history_has_a_row_an_epoch(tmp_path: Path):
    rows = [EpochSummary(0, 2.5, 0.1, 1.25), EpochSummary(1, 1 / 3, 0.05, 1.5)]
    files.write_history(tmp_path, rows)
    with (tmp_path / "history.csv").open(newline="") as file:
        found = list(csv.DictReader(file))
    assert [row["epoch"] for row in found] == ["0", "1"]
    assert [float(row["loss"]) for row in found] == [2.5, 1 / 3]
    assert found[1] == {
        "epoch": "1",
        "loss": str(1 / 3),
        "learning_rate": "0.05",
        "seconds": "1.5",
    }


def test_file_is_written_whole_readable_by_all_and_hashed(tmp_path: Path):
    path = tmp_path / "file"
    digest = write_whole(path, lambda file: file.write(b"new"))
    assert path.read_bytes() == b"new"
    assert digest == hashlib.sha256(b"new").hexdigest()
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert names(tmp_path) == ["file"]


def full(file: io.BufferedIOBase) -> None:
    file.write(b"half of the ne")
    raise OSError(errno.ENOSPC, "No space left on device")


def interrupted(file: io.BufferedIOBase) -> None:
    file.write(b"half of the ne")
    raise KeyboardInterrupt


@pytest.mark.parametrize(("write", "error"), [(full, RunError), (interrupted, KeyboardInterrupt)])
def test_old_file_stays_and_nothing_else_is_left_when_writing_fails(tmp_path: Path, write, error):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    with pytest.raises(error):
        write_whole(path, write)
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["file"]


def test_old_file_stays_when_the_disk_really_fills(tmp_path: Path):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    with disk_that_fills_at(10_000), pytest.raises(RunError) as caught:
        write_whole(path, lambda file: file.write(b"x" * 100_000))
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["file"]
    assert str(path) in str(caught.value)
    assert caught.value.exit_code == 1


def test_message_of_a_full_disk_says_what_and_what_to_do(tmp_path: Path):
    with pytest.raises(RunError) as caught:
        write_whole(tmp_path / "record.json", full)
    for part in (str(tmp_path / "record.json"), "No space left on device", "--results", "again"):
        assert part in str(caught.value)
    assert caught.value.exit_code == 1


def test_checkpoint_and_record_of_before_survive_a_full_disk(tmp_path: Path):
    state = {"weights": torch.arange(6.0)}
    Checkpoint(tmp_path, a_run()).write(state)
    with disk_that_fills_at(500), pytest.raises(RunError, match=r"checkpoint\.pt"):
        Checkpoint(tmp_path, a_run()).write({"weights": torch.zeros(5000)})
    found = Checkpoint(tmp_path, a_run()).read()
    assert found is not None
    assert torch.equal(found["weights"], state["weights"])
    assert names(tmp_path) == ["checkpoint.pt"]


def test_folder_that_cannot_be_made_is_named(tmp_path: Path):
    (tmp_path / "results").write_text("in the way")
    folder = tmp_path / "results" / "v1"
    with pytest.raises(RunError) as caught, store.locked(folder):
        pytest.fail("it was locked")
    assert str(folder) in str(caught.value)
    assert caught.value.exit_code == 1


def test_checkpoint_comes_back_bit_for_bit(tmp_path: Path):
    generator = torch.Generator().manual_seed(0)
    state = {
        "network": {"weight": torch.randn(7, 3, generator=generator)},
        "progress": {"epoch": 3, "loss_sum": 1 / 3, "history": [(0, 0.1, 0.2, 0.3)]},
    }
    Checkpoint(tmp_path, a_run()).write(state)
    found = Checkpoint(tmp_path, a_run()).read()
    assert found is not None
    assert torch.equal(found["network"]["weight"], state["network"]["weight"])
    assert found["progress"] == state["progress"]


def test_no_checkpoint_is_none(tmp_path: Path):
    assert Checkpoint(tmp_path, a_run()).read() is None


def test_checkpoint_of_another_configuration_is_refused(tmp_path: Path):
    Checkpoint(tmp_path, a_run()).write({})
    with pytest.raises(DataError, match=r"of a run with another.*--restart.*--results") as caught:
        Checkpoint(tmp_path, a_run(seed=2)).read()
    assert str(tmp_path / "checkpoint.pt") in str(caught.value)
    assert caught.value.exit_code == 3


@pytest.fixture
def stored_checkpoint(tmp_path: Path) -> Path:
    generator = torch.Generator().manual_seed(0)
    weights = {f"layer.{n}": torch.randn(40, 10, generator=generator) for n in range(4)}
    Checkpoint(tmp_path, a_run()).write({"network": weights, "progress": {"step": 3}})
    return tmp_path / "checkpoint.pt"


def assert_damage_is_found(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"checkpoint\.pt.*damaged.*--restart"):
        Checkpoint(path.parent, a_run()).read()


def test_checkpoint_cut_off_anywhere_is_refused(stored_checkpoint: Path):
    whole = stored_checkpoint.read_bytes()
    for length in range(0, len(whole), len(whole) // 40):
        assert_damage_is_found(stored_checkpoint, whole[:length])


def test_checkpoint_with_a_changed_byte_is_refused_and_never_trained_on(stored_checkpoint: Path):
    whole = stored_checkpoint.read_bytes()
    chance = random.Random(0)
    for _ in range(60):
        content = bytearray(whole)
        content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
        assert_damage_is_found(stored_checkpoint, bytes(content))


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_checkpoint_of_noise_is_refused(stored_checkpoint: Path):
    chance = random.Random(0)
    for start in (b"", b"\x80\x02", b"PK\3\4", b"0", b"\x80\x02X"):
        for _ in range(20):
            assert_damage_is_found(
                stored_checkpoint, start + chance.randbytes(chance.randrange(60))
            )


@pytest.mark.parametrize(
    "content", [3, [1], {"configuration": '{"seed": 1}'}, {"configuration": 1, "state": 5}]
)
def test_file_that_torch_reads_but_that_is_no_checkpoint_is_refused(
    stored_checkpoint: Path, content
):
    torch.save(content, stored_checkpoint)
    with pytest.raises(DataError, match=r"checkpoint\.pt"):
        Checkpoint(stored_checkpoint.parent, a_run()).read()


def test_checkpoint_never_runs_code_that_it_brings(stored_checkpoint: Path, tmp_path: Path):
    class Evil:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "it ran",))

    torch.save({"configuration": '{"seed": 1}', "state": Evil()}, stored_checkpoint)
    with pytest.raises(DataError, match="damaged"):
        Checkpoint(stored_checkpoint.parent, a_run()).read()
    assert not (tmp_path / "it ran").exists()


def test_clearing_leaves_nothing_of_a_run(tmp_path: Path):
    for name in ("record.json", "predictions.npz", "history.csv", "model.safetensors"):
        (tmp_path / name).write_text("x")
    (tmp_path / "checkpoint.pt").write_text("x")
    (tmp_path / "notes.txt").write_text("mine")
    files.clear(tmp_path)
    assert names(tmp_path) == ["notes.txt"]


def test_second_holder_of_a_folder_says_so_and_waits(tmp_path: Path, caplog):
    held, release, done = (threading.Event() for _ in range(3))

    def first() -> None:
        with store.locked(tmp_path, busy="try again"):
            held.set()
            release.wait(10)

    def second() -> None:
        with store.locked(tmp_path):
            done.set()

    threads = [threading.Thread(target=first), threading.Thread(target=second)]
    with caplog.at_level(logging.INFO, logger="dcbench.records"):
        threads[0].start()
        assert held.wait(10)
        threads[1].start()
        assert not done.wait(0.5)
        release.set()
        assert done.wait(10)
        for thread in threads:
            thread.join(10)
    said = [record.getMessage() for record in caplog.records]
    assert said == [f"another process is at work in {tmp_path}; waiting for it to finish"]


def test_second_holder_that_does_not_wait_is_told_what_to_do(tmp_path: Path):
    with store.locked(tmp_path), pytest.raises(RunError, match=r"at work in .*; try again"):  # noqa: SIM117
        with store.locked(tmp_path, busy="try again"):
            pytest.fail("it was locked twice")


def test_folder_is_free_again_after_a_failure(tmp_path: Path):
    with pytest.raises(ValueError, match="inside"), store.locked(tmp_path, busy="try again"):
        raise ValueError("inside")
    with store.locked(tmp_path, busy="try again"):
        pass


def test_folder_on_a_file_system_without_flock_is_held_all_the_same(tmp_path: Path, monkeypatch):
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

    monkeypatch.setattr("fcntl.flock", refuse)
    with store.locked(tmp_path / "run"):
        assert store.is_held(tmp_path / "run")
    assert not store.is_held(tmp_path / "run")
