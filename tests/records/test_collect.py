import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from dcbench.cli import app
from dcbench.errors import RunError, UsageError
from dcbench.metrics.measure import measure
from dcbench.records import atomic, files, store
from dcbench.records import collect as room
from dcbench.records.arrays import arrays_sha256, unpack
from dcbench.records.checkpoint import Checkpoint
from dcbench.records.collect import Collected, collect, conflicts, counts
from dcbench.records.recompute import measure_again
from dcbench.records.schema import EpochSummary
from dcbench.records.store import address_of
from tests.progress import ToldProgress
from tests.records.test_store import a_record, a_run, disk_that_fills_at, some_predictions

ERM = "v1/digits/subset-0/erm"


def put(results: Path, *, seed: int = 0, drawn: int | None = None, **changes: Any) -> Path:
    """A whole run of a seed at its address, with predictions that follow from `drawn`."""
    made = some_predictions(seed if drawn is None else drawn)
    record = a_record(
        **{
            "seed": seed,
            "metrics": measure(made, long_tailed=False, ood_sets=("noise",)),
            **changes,
        }
    )
    folder = results / address_of(record)
    folder.mkdir(parents=True)
    files.write_history(folder, [EpochSummary(0, 2.5, 0.1, 1.25)])
    stored = {
        "predictions": files.write_predictions(folder, made),
        "model": files.write_weights(folder, hashlib.sha256(made.logits.tobytes()).digest() * 99),
    }
    files.write_record(folder, record.model_copy(update=stored))
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    """Every file in a folder but the locks."""
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != ".lock")
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def states(outcomes: list[Collected]) -> list[tuple[str, str]]:
    return sorted((str(each.run), each.state) for each in outcomes)


@pytest.fixture
def lab(tmp_path: Path) -> Path:
    return tmp_path / "lab"


@pytest.fixture
def cluster(tmp_path: Path) -> Path:
    return tmp_path / "cluster"


@pytest.fixture
def results(tmp_path: Path) -> Path:
    return tmp_path / "results"


def test_runs_of_all_folders_arrive_whole_to_the_last_byte(lab, cluster, results):
    put(lab, seed=0)
    put(cluster, seed=1)
    put(cluster, seed=0, label="ic-mixup[axes=class]", method="ic-mixup")
    put(results, seed=2)
    before = contents(results)
    outcomes = collect([lab, cluster], results)
    assert {each.state for each in outcomes} == {"copied"}
    assert contents(results) == contents(lab) | contents(cluster) | before
    assert measure_again(results / ERM / "seed-1").differing == []


def test_collecting_again_touches_no_file(lab, results):
    put(lab, seed=0)
    put(lab, seed=1)
    collect([lab], results)
    before = {path: path.stat().st_mtime_ns for path in results.rglob("*")}
    assert {each.state for each in collect([lab], results)} == {"there_already"}
    assert {path: path.stat().st_mtime_ns for path in results.rglob("*")} == before


def test_record_that_is_only_set_out_differently_is_the_same_and_stays(lab, results):
    path = put(results) / "record.json"
    put(lab)
    path.write_text(json.dumps(json.loads(path.read_text())))
    before = contents(results)
    assert counts(collect([lab], results))["there_already"] == 1
    assert contents(results) == before


def test_one_run_in_two_folders_is_copied_once(lab, cluster, results):
    put(lab)
    put(cluster)
    outcomes = collect([lab, cluster], results)
    assert [each.state for each in outcomes] == ["copied", "there_already"]
    assert contents(results) == contents(lab)


def test_folder_that_is_named_twice_counts_once(lab, results, tmp_path: Path):
    put(lab)
    (tmp_path / "link").symlink_to(lab)
    assert len(collect([lab, tmp_path / "link", lab], results)) == 1


def test_dry_run_says_what_collecting_would_do_and_writes_nothing(lab, cluster, results):
    put(lab, seed=0)
    put(cluster, seed=0)
    put(lab, seed=1, drawn=5)
    put(cluster, seed=1)
    put(lab, seed=2)
    (put(lab, seed=3) / "predictions.npz").unlink()
    said = states(collect([lab, cluster], results, dry_run=True))
    assert not results.exists()
    put(results, seed=2)
    before = contents(results)
    said_beside = states(collect([lab, cluster], results, dry_run=True))
    assert contents(results) == before
    assert said_beside == states(collect([lab, cluster], results))
    assert (f"{ERM}/seed-2", "copied") in said
    assert (f"{ERM}/seed-2", "there_already") in said_beside


def test_other_record_of_a_run_does_not_overwrite_the_one_that_is_there(lab, results):
    there = put(results, seed=0)
    other = put(lab, seed=0, drawn=7)
    put(lab, seed=1)
    before = contents(there)
    outcomes = {str(each.run): each for each in collect([lab], results)}
    refused = outcomes[f"{ERM}/seed-0"]
    assert refused.state == "refused"
    assert str(there) in refused.message
    assert str(other) in refused.message
    assert "collect again" in refused.message
    assert contents(there) == before
    assert outcomes[f"{ERM}/seed-1"].state == "copied"


def test_same_numbers_at_another_time_are_another_record(lab, results):
    put(results)
    put(lab, finished="2025-01-01T00:00:00+00:00")
    assert counts(collect([lab], results))["refused"] == 1


def test_of_two_records_that_differ_none_is_taken(lab, cluster, results):
    put(lab, seed=0)
    put(cluster, seed=0, drawn=7)
    put(cluster, seed=1)
    outcomes = collect([lab, cluster], results)
    assert states(outcomes) == [
        (f"{ERM}/seed-0", "refused"),
        (f"{ERM}/seed-0", "refused"),
        (f"{ERM}/seed-1", "copied"),
    ]
    assert not (results / ERM / "seed-0").exists()
    assert contents(results / ERM / "seed-1") == contents(cluster / ERM / "seed-1")


def test_damage_does_not_settle_which_of_two_records_is_taken(lab, cluster, results):
    flip("predictions.npz")(put(lab))
    put(cluster, drawn=7)
    outcomes = collect([lab, cluster], results)
    assert [each.state for each in outcomes] == ["damaged", "refused"]
    assert len(conflicts(outcomes)) == 2
    assert not results.exists()


def test_two_against_one_is_no_majority(lab, cluster, results, tmp_path: Path):
    put(lab)
    put(cluster)
    put(tmp_path / "other", drawn=7)
    assert counts(collect([lab, cluster, tmp_path / "other"], results))["refused"] == 3
    assert not results.exists()


def test_record_that_is_there_settles_which_of_two_is_refused(lab, cluster, results):
    put(results)
    put(lab)
    put(cluster, drawn=7)
    found = {each.folder.parents[4].name: each.state for each in collect([lab, cluster], results)}
    assert found == {"lab": "there_already", "cluster": "refused"}


def test_records_at_odds_are_shown_each_once_by_what_tells_them_apart(lab, cluster, results):
    where = {"environment": {"torch": "9.9"}, "finished": "2025-02-03T04:05:06+00:00"}
    folders = [put(lab), put(cluster, drawn=7, **where)]
    found = conflicts(collect([lab, cluster], results))
    assert [each["folder"] for each in found] == [str(folder) for folder in folders]
    assert [each["torch"] for each in found] == ["2.6.0", "9.9"]
    assert found[1]["finished"] == where["finished"]
    for each, folder in zip(found, folders, strict=True):
        stored = unpack((folder / "predictions.npz").read_bytes())
        assert each["predictions_sha256"] == arrays_sha256(stored)
        assert each["accuracy"] == measure_again(folder).metrics.accuracy
        assert each["device"] == "a processor, 2 threads"
        assert each["run"] == f"{ERM}/seed-0"


def flip(name: str) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        content = bytearray((folder / name).read_bytes())
        # In the logits of new predictions, beyond the header of the member; else in the middle.
        logits = content.find(b"logits.low.npy")
        content[len(content) // 2 if logits < 0 else logits + 200] ^= 1
        (folder / name).write_bytes(content)

    return damage


def lose(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).unlink()


def rewrite(change: Callable[[dict[str, Any]], Any]) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        content = json.loads((folder / "record.json").read_text())
        change(content)
        (folder / "record.json").write_text(json.dumps(content))

    return damage


def cut(folder: Path) -> None:
    (folder / "record.json").write_bytes((folder / "record.json").read_bytes()[:300])


def nest(folder: Path) -> None:
    (folder / "record.json").write_text("[" * 100_000)


def make_it_a_folder(folder: Path) -> None:
    (folder / "record.json").unlink()
    (folder / "record.json").mkdir()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (flip("predictions.npz"), "predictions.npz: not a predictions file, or damaged: Bad CRC"),
        (flip("model.safetensors"), "model.safetensors: SHA-256 is"),
        (lose("predictions.npz"), "predictions.npz: no such file; the record names SHA-256"),
        (lose("model.safetensors"), "model.safetensors: no such file; the record names SHA-256"),
        (cut, "record.json: cut off or not JSON"),
        (nest, "record.json: cut off or not JSON"),
        (make_it_a_folder, "record.json: is a folder"),
        (rewrite(lambda content: content.update(schema_version=2)), "schema_version=2"),
        (rewrite(lambda content: content.pop("seed")), "key 'seed' is missing"),
        (
            rewrite(lambda content: content["model"].update(file="../seed-1/model.safetensors")),
            "model.file='../seed-1/model.safetensors'",
        ),
    ],
)
def test_damaged_run_is_named_and_not_copied_and_the_others_are(lab, results, damage, message):
    folder = put(lab, seed=0)
    put(lab, seed=1)
    damage(folder)
    outcomes = {str(each.run): each for each in collect([lab], results)}
    damaged = outcomes[f"{ERM}/seed-0"]
    assert damaged.state == "damaged"
    assert str(folder) in damaged.message
    assert message in damaged.message
    assert not (results / ERM / "seed-0").exists()
    assert contents(results / ERM / "seed-1") == contents(lab / ERM / "seed-1")


def test_damage_is_told_with_the_expected_and_the_found_hash(lab, results):
    path = put(lab) / "model.safetensors"
    expected = hashlib.sha256(path.read_bytes()).hexdigest()
    path.write_bytes(b"something else")
    (found,) = collect([lab], results)
    assert expected in found.message
    assert hashlib.sha256(b"something else").hexdigest() in found.message


def test_run_that_is_damaged_in_one_folder_is_taken_from_another(lab, cluster, results):
    flip("predictions.npz")(put(lab))
    put(cluster)
    outcomes = collect([lab, cluster], results)
    assert [each.state for each in outcomes] == ["damaged", "copied"]
    assert contents(results) == contents(cluster)


@pytest.mark.parametrize("damage", [flip("model.safetensors"), lose("predictions.npz"), cut])
def test_damage_of_a_run_that_is_there_is_named_and_left_as_it_is(lab, results, damage):
    put(lab)
    damage(put(results))
    before = contents(results)
    (found,) = collect([lab], results)
    assert found.state == "damaged"
    assert str(results / ERM / "seed-0") in found.message
    assert "remove" in found.message
    assert contents(results) == before


def test_record_at_another_address_is_refused_by_name(lab, results):
    put(lab, seed=0).rename(lab / ERM / "seed-5")
    put(lab, seed=1)
    outcomes = {str(each.run): each for each in collect([lab], results)}
    refused = outcomes[f"{ERM}/seed-5"]
    assert refused.state == "refused"
    assert f"{ERM}/seed-0" in refused.message
    assert [path.name for path in (results / ERM).iterdir()] == ["seed-1"]


@pytest.mark.parametrize("part", ["../../outside", "/outside"])
def test_record_whose_address_leads_out_of_the_results_is_refused(lab, results, part):
    rewrite(lambda content: content.update(protocol=part))(put(lab))
    (found,) = collect([lab], results)
    assert found.state == "damaged"
    assert f"protocol='{part}': should be a name" in found.message
    assert not results.exists()


@pytest.mark.parametrize("below", ["v1", "v1/digits", f"{ERM}/seed-0"])
def test_part_of_a_results_folder_is_wrong_use_and_the_whole_is_named(lab, results, below):
    put(lab)
    with pytest.raises(UsageError) as caught:
        collect([lab / below], results)
    assert f"{lab / below}: lies within the results folder {lab}; name that" in str(caught.value)


def test_folder_of_results_folders_is_refused_and_each_is_named(tmp_path: Path, results):
    put(tmp_path / "all/lab")
    put(tmp_path / "all/cluster", seed=1)
    outcomes = collect([tmp_path / "all"], results)
    assert [each.state for each in outcomes] == ["refused", "refused"]
    assert f"results folder {tmp_path / 'all/cluster'}; name" in outcomes[0].message


@pytest.mark.parametrize("left", ["checkpoint.pt", "predictions.npz", "model.safetensors"])
def test_run_without_a_record_is_counted_and_not_copied(lab, results, left):
    folder = lab / ERM / "seed-3"
    folder.mkdir(parents=True)
    (folder / left).write_bytes(b"some of it")
    (found,) = collect([lab], results)
    assert (str(found.run), found.state) == (f"{ERM}/seed-3", "unfinished")
    assert str(folder) in found.message
    assert not results.exists()


def test_finished_run_takes_the_place_of_a_half_done_one(lab, results):
    folder = put(lab)
    lose("history.csv")(folder)
    target = results / ERM / "seed-0"
    target.mkdir(parents=True)
    Checkpoint(target, a_run()).write({})
    for name in ("history.csv", "predictions.npz", ".model.safetensors.x.unfinished"):
        (target / name).write_text("of the half-done run")
    assert counts(collect([lab], results))["copied"] == 1
    assert contents(target) == contents(folder)


@pytest.mark.parametrize("at", range(4))
def test_interrupted_copy_is_no_run_and_collecting_again_makes_it_one(
    lab, results, monkeypatch, at
):
    put(lab)
    written = 0

    def write_some(path, write):
        nonlocal written
        written += 1
        if written > at:
            raise KeyboardInterrupt
        return write_whole(path, write)

    write_whole = files.write_whole
    for module in (files, atomic):
        monkeypatch.setattr(module, "write_whole", write_some)
    with pytest.raises(KeyboardInterrupt):
        collect([lab], results)
    assert list(results.rglob("record.json")) == []
    assert len(contents(results)) == at
    monkeypatch.undo()
    assert counts(collect([lab], results))["copied"] == 1
    assert contents(results) == contents(lab)


def test_full_disk_is_told_leaves_no_record_and_stops_no_other_run(lab, results):
    large = put(lab, seed=0)
    content = bytes(100_000)
    (large / "model.safetensors").write_bytes(content)
    digest = hashlib.sha256(content).hexdigest()
    rewrite(lambda record: record["model"].update(sha256=digest))(large)
    put(lab, seed=1)
    with disk_that_fills_at(50_000):
        outcomes = {str(each.run): each for each in collect([lab], results)}
    assert outcomes[f"{ERM}/seed-0"].state == "refused"
    assert "model.safetensors" in outcomes[f"{ERM}/seed-0"].message
    assert outcomes[f"{ERM}/seed-1"].state == "copied"
    assert not (results / ERM / "seed-0/record.json").exists()
    assert counts(collect([lab], results))["copied"] == 1


def test_run_that_another_process_is_at_work_in_is_refused_and_stops_no_other(lab, results):
    put(lab, seed=0)
    put(lab, seed=1)
    with store.locked(results / ERM / "seed-0", busy="try again"):
        outcomes = {str(each.run): each for each in collect([lab], results)}
    busy = outcomes[f"{ERM}/seed-0"]
    assert busy.state == "refused"
    assert f"at work in {results / ERM / 'seed-0'}; collect again" in busy.message
    assert outcomes[f"{ERM}/seed-1"].state == "copied"
    assert counts(collect([lab], results))["copied"] == 1


def on_locking(monkeypatch: pytest.MonkeyPatch, happens: Callable[[], object]) -> None:
    """Something that happens after all was checked and before the folder is held."""

    def locked(folder, **options):
        happens()
        return store.locked(folder, **options)

    monkeypatch.setattr(room, "locked", locked)


@pytest.mark.parametrize(("drawn", "state"), [(0, "there_already"), (7, "refused")])
def test_record_that_comes_there_meanwhile_is_not_overwritten(
    lab, results, monkeypatch, drawn, state
):
    put(lab)
    elsewhere = put(results.parent / "elsewhere", drawn=drawn)

    def comes() -> None:
        shutil.copytree(elsewhere, results / ERM / "seed-0")

    on_locking(monkeypatch, comes)
    (found,) = collect([lab], results)
    assert found.state == state
    assert contents(results / ERM / "seed-0") == contents(elsewhere)


def test_file_that_changes_while_it_is_collected_makes_no_run(lab, results, monkeypatch):
    folder = put(lab)
    on_locking(monkeypatch, lambda: flip("model.safetensors")(folder))
    (found,) = collect([lab], results)
    assert found.state == "damaged"
    assert list(results.rglob("record.json")) == []
    assert list(results.rglob("model.safetensors")) == []


def test_progress_comes_to_all_runs_that_have_a_record(lab, cluster, results):
    put(lab, seed=0)
    put(lab, seed=1)
    put(cluster, seed=1)
    progress = ToldProgress()
    collect([lab, cluster], results, progress=progress)
    assert progress.said == ["collect: 0 of 3 runs", "+1", "+2", "closed"]


def test_results_that_are_a_file_end_before_anything_is_read(lab, results):
    put(lab)
    results.write_text("in the way")
    with pytest.raises(RunError, match=f"cannot write {results}"):
        collect([lab], results)


@pytest.fixture
def command(monkeypatch, tmp_path: Path) -> Callable[..., tuple[int, str, str]]:
    """`dcbench collect` in a folder where `lab` holds a run and `results` another."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DCBENCH_RESULTS", raising=False)
    put(tmp_path / "lab", seed=0)
    put(tmp_path / "results", seed=1)

    def run(*arguments: str) -> tuple[int, str, str]:
        result = CliRunner().invoke(app, ["collect", *arguments])
        assert result.exception is None or isinstance(result.exception, SystemExit), (
            f"a traceback reached the user: {result.exception!r}"
        )
        return result.exit_code, result.stdout, " ".join(result.stderr.split())

    return run


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "nowhere: there is no such folder"),
        (["lab", "nowhere"], "nowhere: there is no such folder"),
        (["file"], "file: is a file"),
        (["lab", "empty"], "empty: holds no run"),
        (["results"], "results: is the results folder that is collected into"),
        (["link"], "link: is the results folder"),
        (["."], ".: holds the results folder results"),
        (["results/v1"], "results/v1: lies within the results folder results"),
        (["lab/v1"], "lab/v1: lies within the results folder"),
        ([], "Missing argument"),
    ],
)
def test_wrong_use_ends_with_2_in_one_line_and_writes_nothing(
    command, tmp_path: Path, arguments, message
):
    (tmp_path / "file").write_text("a file")
    (tmp_path / "empty").mkdir()
    (tmp_path / "link").symlink_to("results")
    before = contents(tmp_path)
    code, out, said = command(*arguments)
    assert code == 2
    assert message in said
    assert out == ""
    assert contents(tmp_path) == before


def test_command_merges_counts_and_ends_with_0(command, tmp_path: Path):
    code, out, said = command("lab")
    assert (code, out) == (0, "")
    assert said.endswith("1 copied, 0 there already, 0 refused, 0 damaged, 0 unfinished")
    assert (tmp_path / "results" / ERM / "seed-0/record.json").exists()
    code, _, said = command("lab")
    assert code == 0
    assert said.endswith("0 copied, 1 there already, 0 refused, 0 damaged, 0 unfinished")


def test_half_done_runs_alone_are_mentioned_and_no_failure(command, tmp_path: Path):
    shutil.rmtree(tmp_path / "lab" / ERM)
    (tmp_path / "lab" / ERM / "seed-3").mkdir(parents=True)
    (tmp_path / "lab" / ERM / "seed-3/checkpoint.pt").write_bytes(b"x")
    code, out, said = command("lab")
    assert code == 0
    assert "unfinished" in out
    assert said.endswith("0 damaged, 1 unfinished")


def test_command_shows_both_of_two_records_and_ends_with_1(command, tmp_path: Path):
    put(tmp_path / "lab", seed=1, drawn=7)
    code, out, said = command("lab")
    assert code == 1
    assert said.endswith("1 copied, 0 there already, 1 refused, 0 damaged, 0 unfinished")
    for folder in (tmp_path / "lab", tmp_path / "results"):
        record = files.read_record(folder / ERM / "seed-1")
        line = next(each for each in out.splitlines() if each.startswith(f"{folder.name}/{ERM}"))
        for part in (
            f"accuracy {record.metrics.accuracy:.4f}",
            "a processor, 2 threads",
            "torch 2.6.0",
            f"finished {record.finished}",
            record.predictions.sha256[:12],
        ):
            assert part in line


def test_command_names_a_damaged_run_and_ends_with_1(command, tmp_path: Path):
    flip("predictions.npz")(tmp_path / "lab" / ERM / "seed-0")
    code, out, said = command("lab")
    assert code == 1
    assert "predictions.npz" in out
    assert "1 damaged" in said


def test_dry_run_of_the_command_lists_what_would_be_copied(command, tmp_path: Path):
    code, out, said = command("lab", "--dry-run")
    assert code == 0
    assert f"{ERM}/seed-0" in out
    assert said.endswith("0 unfinished; nothing was written")
    assert not (tmp_path / "results" / ERM / "seed-0").exists()


def test_json_is_one_document_alone_on_standard_output(command, tmp_path: Path):
    put(tmp_path / "lab", seed=1, drawn=7)
    code, out, _ = command("lab", "--json")
    assert code == 1
    said = json.loads(out)
    assert said["dry_run"] is False
    expected = {"copied": 1, "there_already": 0, "refused": 1, "damaged": 0, "unfinished": 0}
    assert said["counts"] == expected
    rows = [(row["run"], row["folder"], row["state"], bool(row["message"])) for row in said["runs"]]
    assert rows == [
        (f"{ERM}/seed-0", f"lab/{ERM}/seed-0", "copied", False),
        (f"{ERM}/seed-1", f"lab/{ERM}/seed-1", "refused", True),
    ]
    folders = [each["folder"] for each in said["conflicts"]]
    assert folders == [f"results/{ERM}/seed-1", f"lab/{ERM}/seed-1"]


def test_run_whose_folder_an_earlier_version_named_is_taken_and_is_there_already(
    lab: Path, results: Path
):
    label = "ic-mixup[axes=class]"
    folder = put(lab, method="ic-mixup", label=label)
    earlier = Path("v1/digits/subset-0") / label / "seed-0"
    (lab / earlier).parent.mkdir()
    folder.rename(lab / earlier)
    shutil.copytree(lab, results)
    run = "v1/digits/subset-0/ic-mixup,axes=class/seed-0"
    assert states(collect([lab], results)) == [(run, "there_already")]
    shutil.rmtree(results)
    assert states(collect([lab], results)) == [(run, "copied")]
    assert contents(results / run) == contents(lab / earlier)
