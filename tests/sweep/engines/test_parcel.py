"""A job that is sent elsewhere: what goes with it, what is compared, what comes back."""

from __future__ import annotations

import hashlib
import os
import pickle
import shutil
import signal
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from dcbench._version import __version__
from dcbench.data.bundle import Bundle
from dcbench.data.source import open_source
from dcbench.errors import RunError
from dcbench.methods.registry import forget_files
from dcbench.records import files
from dcbench.records.files import CHECKPOINT, RECORD
from dcbench.records.store import Store
from dcbench.sweep.engines.base import Ended, TransferOptions
from dcbench.sweep.engines.dispatch import Dispatch, Sent
from dcbench.sweep.engines.parcel import Delivery, Parcel, versions_of
from dcbench.sweep.engines.serial import Serial
from dcbench.sweep.engines.work import carry_out
from dcbench.sweep.grid import forget_code, plan_of
from dcbench.sweep.scheduler import sweep
from tests.sweep.engines.runs import a_site, asked, everything

PLAIN = """
from torch.nn.functional import cross_entropy
from dcbench.methods import Method

class Elsewhere(Method):
    \"\"\"ERM, from a file.\"\"\"

    def loss(self, network, batch):
        return cross_entropy(network(batch.images), batch.labels)
"""

SENT = TransferOptions(results="sent", data="shared")


def sent(dispatch: Dispatch, job) -> Parcel:
    """The parcel of a job as another process has it."""
    found = dispatch.sent(job)
    assert isinstance(found, Sent)
    return pickle.loads(pickle.dumps(found.parcel))


def test_method_whose_file_the_worker_lacks_is_the_same_run(tmp_path: Path, monkeypatch):
    home, away = tmp_path / "home", tmp_path / "away"
    home.mkdir()
    away.mkdir()
    monkeypatch.chdir(home)
    Path("elsewhere.py").write_text(PLAIN)
    job, site = tuple(asked(methods=["elsewhere.py:Elsewhere"])), a_site(home / "results")
    dispatch, identity = Dispatch(site, SENT), plan_of(job[0]).identity
    parcel = sent(dispatch, job)
    Path("elsewhere.py").rename("gone.py")
    monkeypatch.chdir(away)
    delivery = carry_out(parcel)
    assert [each.state for each in delivery.outcomes] == ["done"]
    assert list(away.iterdir()) == []
    monkeypatch.chdir(home)
    Path("gone.py").rename("elsewhere.py")
    dispatch.received(job, delivery)
    record = files.read_record(home / "results" / identity.folder)
    assert record.method_sha256 == hashlib.sha256(PLAIN.encode()).hexdigest()
    assert [each.state for each in sweep(job, site, Serial())] == ["found"]


NETWORK = """
from torch import nn

class {name}(nn.Sequential):
    def __init__(self, num_classes):
        super().__init__(nn.Conv2d(3, {width}, 3), nn.ReLU(), nn.Flatten())
        self.append(nn.Linear({width} * 36, num_classes))
"""


def test_network_whose_file_the_worker_lacks_is_the_same_run(tmp_path: Path, monkeypatch):
    home, away = tmp_path / "home", tmp_path / "away"
    home.mkdir()
    away.mkdir()
    monkeypatch.chdir(home)
    source = NETWORK.format(name="Sent", width=2)
    Path("sent.py").write_text(source)
    settings = {"epochs": 1, "model": "sent.py:Sent"}
    job = tuple(asked(settings=settings) + asked(methods=["mixup[model=sent.py:Sent]"]))
    assert [request.files for request in job] == [["sent.py"], ["sent.py"]]
    site = a_site(home / "results")
    dispatch, identities = Dispatch(site, SENT), [plan_of(each).identity for each in job]
    parcel = sent(dispatch, job)
    Path("sent.py").rename("gone.py")
    monkeypatch.chdir(away)
    delivery = carry_out(parcel)
    assert [each.state for each in delivery.outcomes] == ["done", "done"]
    assert list(away.iterdir()) == []
    monkeypatch.chdir(home)
    Path("gone.py").rename("sent.py")
    forget_code()  # the sender is another process
    dispatch.received(job, delivery)
    for identity in identities:
        record = files.read_record(home / "results" / identity.folder)
        assert record.network_sha256 == hashlib.sha256(source.encode()).hexdigest()
    assert [each.state for each in sweep(job, site, Serial())] == ["found", "found"]


def test_networks_of_two_sweeps_may_share_a_name(tmp_path: Path):
    weights = []
    for width in (2, 3):
        path = tmp_path / f"{width}.py"
        path.write_text(NETWORK.format(name="Shared", width=width))
        forget_code()  # they are sent by two processes
        job = tuple(asked(settings={"epochs": 1, "model": f"{path}:Shared"}))
        for _ in range(2):  # a plan is kept for the next job, which forgets the network
            delivery = carry_out(sent(Dispatch(a_site(tmp_path / str(width)), SENT), job))
            assert [each.state for each in delivery.outcomes] == ["done"]
        weights.append(len(delivery.files[0]["model.safetensors"]))
    assert weights[0] < weights[1]


@pytest.mark.parametrize(("package", "here"), [("dcbench", __version__), ("torch", "the one")])
def test_worker_with_another_version_does_nothing_and_names_both(tmp_path: Path, package, here):
    parcel = sent(Dispatch(a_site(tmp_path)), tuple(asked()))
    here = torch.__version__.partition("+")[0] if package == "torch" else here
    (outcome,) = carry_out(replace(parcel, versions={package: "0.0"})).outcomes
    assert outcome.state == "failed"
    assert outcome.message == (
        f"the sweep has {package} 0.0, its worker has {here}; install the same there"
    )
    assert everything(tmp_path) == {}


def test_methods_of_two_sweeps_may_share_a_name(tmp_path: Path):
    deliveries = []
    for name in ("mine", "yours"):
        (tmp_path / f"{name}.py").write_text(PLAIN + f"# {name}")
        forget_files()  # they are sent by two processes
        job = tuple(asked(methods=[f"{tmp_path}/{name}.py:Elsewhere"]))
        deliveries.append(carry_out(sent(Dispatch(a_site(tmp_path / name)), job)))
    assert [each.outcomes[0].state for each in deliveries] == ["done", "done"]


def test_package_of_a_method_that_the_worker_lacks_is_named(tmp_path: Path):
    parcel = sent(Dispatch(a_site(tmp_path)), tuple(asked()))
    (outcome,) = carry_out(replace(parcel, versions={"no-such-package": "1.2"})).outcomes
    assert "the sweep has no-such-package 1.2, its worker has none" in outcome.message


def test_versions_are_those_of_dcbench_torch_and_the_packages_of_methods():
    plan = plan_of(asked()[0])
    assert versions_of([plan]) == {
        "dcbench": __version__,
        "torch": torch.__version__.partition("+")[0],
    }


def test_results_folder_that_the_worker_does_not_see_is_not_made(tmp_path: Path):
    parcel = sent(Dispatch(a_site(tmp_path)), tuple(asked()))
    unseen = Store(tmp_path / "of-another-machine")
    (outcome,) = carry_out(replace(parcel, store=unseen)).outcomes
    assert outcome.state == "failed"
    assert "the worker sees no such results folder" in outcome.message
    assert outcome.message.endswith("share with the command, or choose results: sent")
    assert not (tmp_path / "of-another-machine").exists()


def test_results_folder_that_cannot_be_made_is_told_as_by_other_commands(tmp_path: Path):
    (tmp_path / "results").touch()
    with pytest.raises(RunError, match=r"cannot write .*results: .*stands in its place"):
        Dispatch(a_site(tmp_path / "results"))


def test_job_has_the_seconds_that_were_left_when_it_was_sent(tmp_path: Path):
    site = a_site(tmp_path, deadline=time.time() + 100.0)
    left = sent(Dispatch(site), tuple(asked())).seconds_left
    assert left is not None
    assert 90.0 < left <= 100.0
    (outcome,) = carry_out(replace(sent(Dispatch(site), tuple(asked())), seconds_left=0.0)).outcomes
    assert (outcome.state, outcome.message) == ("left", "no time to begin")


def test_job_for_which_there_is_no_time_is_not_sent(tmp_path: Path):
    late = Dispatch(a_site(tmp_path, deadline=time.time() - 1.0)).sent(tuple(asked()))
    assert isinstance(late, Ended)
    assert [each.state for each in late.outcomes] == ["left"]


SIGNALLED = """
import os, signal
from torch.nn.functional import cross_entropy
from dcbench.methods import Method

class Signalled(Method):
    \"\"\"ERM that is told to leave in its second epoch, if there is a marker.\"\"\"

    def loss(self, network, batch):
        if batch.epoch == 1 and os.path.exists({marker!r}):
            os.unlink({marker!r})
            os.kill(os.getpid(), signal.{name})
        return cross_entropy(network(batch.images), batch.labels)
"""


@pytest.mark.skipif(os.name != "posix", reason="processes are interrupted with signals")
@pytest.mark.parametrize("options", [None, SENT], ids=["shared", "sent"])
@pytest.mark.parametrize("name", ["SIGTERM", "SIGUSR2"])
def test_worker_that_is_told_to_leave_stores_its_run_which_ends_with_the_same_bits(
    tmp_path: Path, name, options
):
    marker, method = tmp_path / "marker", tmp_path / f"signalled_{name.lower()}.py"
    method.write_text(SIGNALLED.format(marker=str(marker), name=name))
    forget_files()
    job = tuple(asked(methods=[f"{method}:Signalled"]))
    before = signal.getsignal(getattr(signal, name))
    sweep(job, a_site(tmp_path / "whole"), Serial())
    dispatch = Dispatch(a_site(tmp_path / "cut"), options)
    marker.touch()
    delivery = carry_out(sent(dispatch, job))
    assert delivery.interrupted
    assert not delivery.usable
    (outcome,) = dispatch.received(job, delivery).outcomes
    assert (outcome.state, outcome.message) == ("left", "its worker was told to leave")
    assert [path.name for path in (tmp_path / "cut").rglob("*.pt")] == [CHECKPOINT]
    assert signal.getsignal(getattr(signal, name)) is before
    assert not marker.exists()
    (outcome,) = dispatch.received(job, carry_out(sent(dispatch, job))).outcomes
    assert outcome.state == "done"
    assert everything(tmp_path / "cut") == everything(tmp_path / "whole")


def test_bundle_goes_with_the_job_and_is_kept_by_its_hash(tmp_path: Path):
    bundle = tmp_path / "images.zip"
    bundle.write_bytes(b"whatever a bundle holds: digits are in dcbench itself")
    site = a_site(tmp_path / "results", source=Bundle(bundle))
    found = Dispatch(site, TransferOptions(data="sent", results="sent")).sent(tuple(asked()))
    assert isinstance(found, Sent)
    assert found.bundle == bundle
    assert found.parcel.bundle_sha256 == hashlib.sha256(bundle.read_bytes()).hexdigest()
    (cut_off,) = carry_out(found.parcel, bundle.read_bytes()[:-1]).outcomes
    assert cut_off.state == "failed"
    assert "the bundle that came has SHA-256" in cut_off.message
    for content in (bundle.read_bytes(), None):  # fetched once
        delivery = carry_out(found.parcel, content)
        assert [each.state for each in delivery.outcomes] == ["done"]
        assert RECORD in delivery.files[0]


@pytest.mark.parametrize("by_path", [False, True], ids=["by name", "by path"])
def test_worker_that_has_no_images_trains_on_those_that_it_is_sent(
    tmp_path: Path, tiny: Path, copied_splits: Path, by_path: bool
):
    split = copied_splits / "tiny.yaml"
    split.write_text(split.read_text().replace("recipe: none", "recipe: cifair10"))
    settings = {"epochs": 1, "model": "resnet-8", "batch_size": 10}
    name = str(split) if by_path else "tiny"
    job, source = tuple(asked(splits=[name], settings=settings)), open_source(tiny)
    sweep(job, a_site(tmp_path / "here", source=source), Serial())
    dispatch = Dispatch(a_site(tmp_path / "there", source=source), TransferOptions(data="sent"))
    found = dispatch.sent(job)
    assert isinstance(found, Sent)
    assert found.bundle is not None
    assert list(split.parent.rglob("*.zip")) == []
    shutil.rmtree(tiny)
    (outcome,) = dispatch.received(job, carry_out(found.parcel, found.bundle.read_bytes())).outcomes
    assert (outcome.state, outcome.message) == ("done", "")
    assert everything(tmp_path / "there") == everything(tmp_path / "here")


@pytest.mark.parametrize("options", [None, SENT], ids=["shared", "sent"])
def test_weights_that_are_not_to_be_kept_are_not(tmp_path: Path, options):
    job, site = tuple(asked()), a_site(tmp_path, store=Store(tmp_path / "results", weights="none"))
    dispatch = Dispatch(site, options)
    (outcome,) = dispatch.received(job, carry_out(sent(dispatch, job))).outcomes
    assert outcome.state == "done"
    found = {path.name for path in (tmp_path / "results").rglob("*.*") if path.is_file()}
    assert found - {".lock"} == {"record.json", "history.csv", "predictions.npz"}


def test_run_that_is_recorded_meanwhile_is_not_overwritten(tmp_path: Path):
    job, site = tuple(asked()), a_site(tmp_path / "results")
    dispatch = Dispatch(site, SENT)
    delivery = carry_out(sent(dispatch, job))
    sweep(job, site, Serial())
    before = next(site.store.root.rglob(RECORD)).read_bytes()
    (outcome,) = dispatch.received(job, delivery).outcomes
    assert outcome.state == "found"
    assert next(site.store.root.rglob(RECORD)).read_bytes() == before


def test_run_that_is_recorded_before_its_job_begins_is_found(tmp_path: Path):
    job, site = tuple(asked()), a_site(tmp_path)
    parcel = sent(Dispatch(site), job)
    sweep(job, site, Serial())
    (outcome,) = carry_out(parcel).outcomes
    assert outcome.state == "found"
    assert outcome.accuracy is not None


def test_what_a_worker_that_died_was_at_is_lost(tmp_path: Path):
    job = tuple(asked())
    ended = Dispatch(a_site(tmp_path)).received(job, Delivery(lost="its worker was killed"))
    assert (ended.job, ended.lost, list(ended.outcomes)) == (job, "its worker was killed", [])
