import hashlib
import io
import json
import shutil
from pathlib import Path

import filelock
import numpy as np
import pytest
from typer.testing import CliRunner

from dcbench.cli import app
from dcbench.records.arrays import arrays_sha256, is_packed, unpack
from dcbench.records.collect import collect, counts
from dcbench.records.files import read_predictions, read_record, read_stored, write_record
from dcbench.records.prune import prune
from dcbench.records.recompute import measure_again
from dcbench.records.schema import Record
from tests.records.test_collect import ERM, contents, flip, put

WEIGHTS_BYTES = 32 * 99


@pytest.fixture
def results(tmp_path: Path) -> Path:
    return tmp_path / "results"


def put_old(results: Path, seed: int = 0, **changes) -> Path:
    """A run as it was recorded when predictions went by the hash of their bytes."""
    folder = put(results, seed=seed, **changes)
    record = read_record(folder)
    content = io.BytesIO()
    np.savez_compressed(content, **unpack((folder / "predictions.npz").read_bytes()))
    (folder / "predictions.npz").write_bytes(content.getvalue())
    digest = hashlib.sha256(content.getvalue()).hexdigest()
    old = {"file": "predictions.npz", "sha256": digest}
    write_record(folder, Record.model_validate({**record.model_dump(), "predictions": old}))
    return folder


def everything(record: Record) -> bool:
    return True


def test_run_without_its_weights_is_whole_and_keeps_their_hash(results: Path):
    folder = put(results)
    before = read_record(folder)
    [outcome] = prune(results, everything, weights=True)
    assert (outcome.state, outcome.weights, outcome.predictions) == ("pruned", WEIGHTS_BYTES, 0)
    assert not (folder / "model.safetensors").exists()
    record = read_record(folder)
    assert (record.model.kept, record.model.sha256) == (False, before.model.sha256)
    assert record.as_recorded == before
    assert measure_again(folder).differing == []
    assert [each.state for each in prune(results, everything, weights=True)] == ["unchanged"]


def test_predictions_are_packed_without_a_bit_lost_and_answer_to_their_old_hash(results: Path):
    folder = put_old(results)
    before, old = read_record(folder), unpack((folder / "predictions.npz").read_bytes())
    size = (folder / "predictions.npz").stat().st_size
    [outcome] = prune(results, everything, repack=True)
    content = (folder / "predictions.npz").read_bytes()
    assert is_packed(content)
    assert outcome.predictions == size - len(content)
    new = unpack(content)
    assert {key: each.tobytes() for key, each in new.items()} == {
        key: each.tobytes() for key, each in old.items()
    }
    record = read_record(folder)
    assert record.predictions.sha256 == arrays_sha256(old)
    assert record.predictions.recorded_sha256 == before.predictions.sha256
    assert record.as_recorded == before
    assert measure_again(folder).differing == []
    assert (folder / "model.safetensors").exists()
    assert [each.state for each in prune(results, everything, repack=True)] == ["unchanged"]


def test_packing_that_was_cut_off_after_the_record_leaves_a_whole_run_and_is_finished(
    results: Path, monkeypatch
):
    folder = put_old(results)
    before = (folder / "predictions.npz").read_bytes()

    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("dcbench.records.prune.write_bytes", killed)
        with pytest.raises(KeyboardInterrupt):
            prune(results, everything, repack=True)
    assert (folder / "predictions.npz").read_bytes() == before
    assert read_predictions(folder, read_record(folder)).ood.keys() == {"noise"}
    assert [each.state for each in prune(results, everything, repack=True)] == ["pruned"]
    assert is_packed((folder / "predictions.npz").read_bytes())
    assert read_record(folder).predictions.before is not None


def test_removal_that_was_cut_off_after_the_record_is_finished(results: Path, monkeypatch):
    folder = put(results)

    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("dcbench.records.prune.remove", killed)
        with pytest.raises(KeyboardInterrupt):
            prune(results, everything, weights=True)
    assert (folder / "model.safetensors").exists()
    assert [each.weights for each in prune(results, everything, weights=True)] == [WEIGHTS_BYTES]
    assert not (folder / "model.safetensors").exists()


def test_dry_run_says_what_pruning_would_do_and_touches_nothing(results: Path):
    put_old(results, 0)
    put(results, seed=1)
    before = contents(results)
    said = prune(results, everything, weights=True, repack=True, dry_run=True)
    assert contents(results) == before
    assert not list(results.rglob(".lock"))
    assert said == prune(results, everything, weights=True, repack=True)


def test_nothing_else_is_touched(results: Path, tmp_path: Path):
    folder = put(results)
    strangers = {
        "notes.txt": "mine",
        f"{ERM}/seed-0/other.safetensors": "mine",
        "elsewhere/model.safetensors": "mine",
        f"{ERM}/seed-9/model.safetensors": "of a run that goes on",
        f"{ERM}/seed-9/checkpoint.pt": "of a run that goes on",
    }
    for name, text in strangers.items():
        (results / name).parent.mkdir(parents=True, exist_ok=True)
        (results / name).write_text(text)
    copied = tmp_path / "results/backup/seed-0"
    copied.parent.mkdir()
    shutil.copytree(folder, copied)
    linked = put(results, seed=2)
    (tmp_path / "store").write_bytes(b"weights")
    (linked / "model.safetensors").unlink()
    (linked / "model.safetensors").symlink_to(tmp_path / "store")
    before = contents(results)
    outcomes = {each.folder: each for each in prune(results, everything, weights=True)}
    assert {each.state for each in outcomes.values()} == {"pruned", "refused"}
    assert "is the record of v1/digits/subset-0/erm/seed-0" in outcomes[copied].message
    assert "is a link" in outcomes[linked].message
    changed = {name for name, content in contents(results).items() if before[name] != content}
    assert changed == {f"{ERM}/seed-0/record.json"}
    assert before.keys() - contents(results).keys() == {f"{ERM}/seed-0/model.safetensors"}
    assert (tmp_path / "store").read_bytes() == b"weights"


def test_run_under_a_name_of_earlier_versions_is_pruned_too(results: Path):
    folder = put(results, label="ic-mixup[axes=class]", method="ic-mixup")
    earlier = folder.parents[1] / "ic-mixup[axes=class]" / folder.name
    earlier.parent.mkdir()
    folder.rename(earlier)
    outcomes = prune(results, everything, weights=True)
    assert [(each.folder, each.state) for each in outcomes] == [(earlier, "pruned")]


def test_run_that_is_damaged_or_at_work_is_left_as_it_is(results: Path):
    damaged = put_old(results, 0)
    flip("predictions.npz")(damaged)
    (put(results, seed=1) / "record.json").write_text("{")
    busy = put(results, seed=2)
    with filelock.FileLock(busy / ".lock"):
        before = contents(results)
        outcomes = prune(results, everything, weights=False, repack=True)
        assert [each.state for each in outcomes] == ["damaged", "damaged", "refused"]
        assert "another process is at work" in outcomes[2].message
        assert contents(results) == before


@pytest.mark.parametrize("order", [("whole", "pruned"), ("pruned", "whole")])
def test_weights_that_one_folder_has_are_collected_whatever_the_order(
    tmp_path: Path, order: tuple[str, str]
):
    folders = {name: tmp_path / name for name in order}
    for folder in folders.values():
        put(folder)
    prune(folders["pruned"], everything, weights=True)
    collect([folders[name] for name in order], tmp_path / "results")
    assert (tmp_path / "results" / ERM / "seed-0" / "model.safetensors").exists()


def test_pruned_run_and_the_whole_one_are_the_same_run_to_collect(results: Path, tmp_path: Path):
    lab = tmp_path / "lab"
    put_old(lab)
    put_old(results)
    prune(results, everything, weights=True, repack=True)
    before = contents(results)
    assert counts(collect([lab], results))["there_already"] == 1
    assert contents(results) == before
    assert counts(collect([results], tmp_path / "third"))["copied"] == 1
    assert contents(tmp_path / "third") == before
    assert counts(collect([lab], tmp_path / "third"))["there_already"] == 1


def test_weights_that_are_gone_are_missed_in_one_line(results: Path):
    folder = put(results)
    prune(results, everything, weights=True)
    with pytest.raises(Exception, match="weights of this run were not kept") as caught:
        read_stored(folder, read_record(folder).model)
    assert len(str(caught.value).splitlines()) == 1


def command(*arguments: object) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, ["results", "prune", *map(str, arguments)])
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result.exit_code, result.stdout, result.stderr


def test_command_prunes_what_was_selected_and_says_how_much_it_gave_back(results: Path):
    kept = put(results, seed=0)
    gone = put(results, seed=1)
    other = put(results, seed=1, method="ic-mixup", label="ic-mixup")
    asked = ("--results", results, "--weights", "--method", "er*", "--keep-seeds", "0", "--json")
    code, out, _ = command(*asked, "--dry-run")
    said = json.loads(out)
    assert (code, said["dry_run"]) == (0, True)
    assert said["bytes"] == {"weights": WEIGHTS_BYTES, "predictions": 0}
    assert [run["folder"] for run in said["runs"]] == [str(gone)]
    assert (gone / "model.safetensors").exists()
    code, out, _ = command(*asked, "--yes")
    assert (code, json.loads(out)["counts"]["pruned"]) == (0, 1)
    there = [(folder / "model.safetensors").exists() for folder in (kept, gone, other)]
    assert there == [True, False, True]


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ((), "say what to prune: --weights, --repack, or both"),
        (("--weights",), "look at it with --dry-run, then say --yes"),
        (("--weights", "--yes", "--split", "cifar*"), "no finished run of --protocol '*', --split"),
        (("--weights", "--yes", "--keep-seeds", "x"), "x"),
    ],
)
def test_wrong_use_of_the_command_removes_nothing(results: Path, flags, message):
    put(results)
    before = contents(results)
    code, _, error = command("--results", results, *flags)
    assert code == 2
    assert message in " ".join(error.split())
    assert contents(results) == before


def test_damaged_run_makes_the_command_end_with_1(results: Path):
    flip("predictions.npz")(put_old(results))
    code, out, error = command("--results", results, "--repack", "--yes")
    assert code == 1
    assert "predictions.npz: SHA-256 is" in "".join(out.split("\n"))
    assert "1 damaged" in error


def test_folder_without_runs_is_wrong_use(results: Path):
    results.mkdir()
    code, _, error = command("--results", results, "--weights", "--dry-run")
    assert code == 2
    assert "holds no record" in " ".join(error.split())
