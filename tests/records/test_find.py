"""Whether a run is there: one answer for every command, by what decides its numbers."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import dcbench
from dcbench.config.recipe import Recipe
from dcbench.errors import DataError, RunError, UsageError
from dcbench.records.checkpoint import Checkpoint
from dcbench.records.files import CHECKPOINT, RECORD
from dcbench.records.identity import address
from dcbench.records.store import Differs, Finished, HalfDone, Missing, Store
from dcbench.runs.plan import plan_run
from dcbench.sweep.engines.serial import Serial
from dcbench.sweep.scheduler import sweep
from tests.sweep.test_scheduler import a_site, asked

SETTINGS = {"epochs": 1}
PLAN = plan_run("ic-mixup", "digits", settings=SETTINGS)


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    results = tmp_path_factory.mktemp("results")
    dcbench.run("ic-mixup", "digits", settings=SETTINGS, device="cpu", results=results)
    return results


@pytest.fixture
def store(finished: Path, tmp_path: Path) -> Store:
    """A copy of a finished run, to be changed."""
    target = tmp_path / PLAN.folder
    target.mkdir(parents=True)
    for path in (finished / PLAN.folder).iterdir():
        (target / path.name).write_bytes(path.read_bytes())
    return Store(tmp_path)


def change(store: Store, edit: Callable[[dict[str, Any]], object]) -> None:
    path = store.folder(PLAN.identity) / RECORD
    content = json.loads(path.read_text())
    edit(content)
    path.write_text(json.dumps(content))


def test_nothing_is_missing_and_a_checkpoint_is_half_done(tmp_path: Path):
    store = Store(tmp_path / "results")
    assert store.find(PLAN.identity) == Missing()
    folder = store.folder(PLAN.identity)
    folder.mkdir(parents=True)
    Checkpoint(folder, PLAN.identity).write({})
    assert store.find(PLAN.identity) == HalfDone()


def test_finished_run_is_found_without_anything_being_written(store: Store):
    before = sorted(store.root.rglob("*"))
    found = store.find(PLAN.identity)
    assert isinstance(found, Finished)
    assert found.record.method == "ic-mixup"
    assert sorted(store.root.rglob("*")) == before


def test_field_at_its_default_is_no_difference_whether_it_was_written_or_not(store: Store):
    change(store, lambda record: record["recipe"].pop("rotation"))
    change(store, lambda record: record["settings"].pop("axes"))
    change(store, lambda record: record["recipe"].update(warmup_epochs=0.0))
    assert isinstance(store.find(PLAN.identity), Finished)


def test_new_recipe_field_with_a_neutral_default_leaves_finished_runs_found(store: Store):
    assert "label_smoothing" not in Recipe.model_fields
    for old in ("nesterov", "factor", "fit", "milestones", "border", "precision"):
        assert not Recipe.model_fields[old].is_required()
    change(store, lambda record: [record["recipe"].pop(key) for key in ("nesterov", "factor")])
    assert isinstance(store.find(PLAN.identity), Finished)


def test_old_spelling_of_a_recipe_key_is_read(store: Store):
    def rename(record: dict[str, Any]) -> None:
        record["recipe"]["normalisation"] = record["recipe"].pop("normalization")

    change(store, rename)
    assert isinstance(store.find(PLAN.identity), Finished)


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (lambda record: record["recipe"].update(epochs=2), "another recipe: epochs=2 and not 1"),
        (lambda record: record["settings"].update(alpha=0.2), "with other settings: alpha=0.2"),
        (lambda record: record.update(method_sha256="0" * 64), "another method_sha256"),
        (lambda record: record.update(index_sha256="0" * 64), "another index_sha256"),
    ],
)
def test_run_of_other_making_differs_and_says_in_what(store: Store, edit, said: str):
    change(store, edit)
    found = store.find(PLAN.identity)
    assert isinstance(found, Differs)
    assert isinstance(found.error, RunError)
    assert said in found.reason
    assert "--restart" in found.reason


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b"\xff", b'{"schema_version": 1}'])
def test_record_that_is_none_differs_with_its_file_named(store: Store, content: bytes):
    path = store.folder(PLAN.identity) / RECORD
    path.write_bytes(content)
    found = store.find(PLAN.identity)
    assert isinstance(found, Differs)
    assert isinstance(found.error, DataError)
    assert str(path) in found.reason


def test_run_whose_predictions_are_gone_differs(store: Store):
    (store.folder(PLAN.identity) / "predictions.npz").unlink()
    found = store.find(PLAN.identity)
    assert isinstance(found, Differs)
    assert "predictions.npz: no such file" in found.reason


@pytest.mark.skipif(os.name != "posix", reason="links need no rights")
def test_link_below_a_results_folder_is_followed_by_no_command(store: Store, tmp_path: Path):
    whole = tmp_path / "v1" / "digits"
    whole.rename(tmp_path / "elsewhere")
    whole.symlink_to(tmp_path / "elsewhere")
    found = store.find(PLAN.identity)
    assert isinstance(found, Differs)
    assert f"{whole}: is a link" in found.reason
    assert dcbench.load_records(tmp_path / "v1").empty


@pytest.mark.parametrize(
    "problem", [PermissionError(13, "Permission denied"), OSError(36, "File name too long")]
)
def test_folder_that_cannot_be_looked_into_is_one_run_that_fails(
    store: Store, monkeypatch, problem
):
    def refuse(path: Path) -> bool:
        raise problem

    monkeypatch.setattr(Path, "is_symlink", refuse)
    found = store.find(PLAN.identity)
    assert isinstance(found, Differs)
    assert f"cannot be read: {problem.strerror}" in found.reason


def test_label_that_no_folder_could_have_is_wrong_use():
    settings = {f"setting-{number}": "x" * 20 for number in range(20)}
    label = f"erm[{','.join(f'{key}={value}' for key, value in settings.items())}]"
    with pytest.raises(UsageError, match=r"erm,setting-0=x.*should be a name: .*200 at most"):
        address("v1", "digits", 0, label, 0)


def test_results_folder_may_itself_be_a_link(store: Store, tmp_path: Path):
    (tmp_path / "link").symlink_to(store.root)
    assert isinstance(Store(tmp_path / "link").find(PLAN.identity), Finished)


def test_checkpoint_that_lacks_a_field_with_a_default_is_gone_on_from(tmp_path: Path):
    checkpoint = Checkpoint(tmp_path, PLAN.identity)
    values = PLAN.identity.configuration.model_dump(mode="json")
    del values["recipe"]["rotation"], values["settings"]["axes"]
    older = PLAN.identity.configuration.model_validate(values)
    Checkpoint(tmp_path, type(PLAN.identity)(older, "ic-mixup")).write({"seen": 1})
    assert (tmp_path / CHECKPOINT).exists()
    assert checkpoint.read() == {"seen": 1}


METHOD = """
from torch.nn.functional import cross_entropy
from dcbench.methods import Method

class MyErm(Method):
    \"\"\"Cross-entropy.\"\"\"

    def loss(self, network, batch):
        return cross_entropy(network(batch.images), batch.labels)
"""


def test_sweep_takes_no_run_of_a_method_whose_file_was_edited(tmp_path: Path, monkeypatch):
    from dcbench.methods import registry

    monkeypatch.setattr(registry, "_methods", dict(registry._methods))
    path = tmp_path / "my.py"
    path.write_text(METHOD)
    chosen = {"methods": [f"{path}:MyErm"], "seeds": "0"}
    first = sweep(asked(**chosen), a_site(tmp_path / "r"), Serial())
    assert [outcome.state for outcome in first] == ["done"]
    path.write_text(METHOD.replace("batch.labels)", "batch.labels) * 2"))
    again = sweep(asked(**chosen), a_site(tmp_path / "r"), Serial())
    assert [outcome.state for outcome in again] == ["failed"]
    assert "was made with another method_sha256" in again[0].message
