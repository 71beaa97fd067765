"""A real Ray of two workers: equal to the bit, and one that dies takes nothing with it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from dcbench.errors import RunError
from dcbench.records.files import CHECKPOINT
from dcbench.sweep.engines.base import Outcome
from dcbench.sweep.grid import packs, plan_of
from dcbench.sweep.scheduler import sweep
from tests.sweep.engines.conftest import Deadly
from tests.sweep.engines.runs import a_site, asked, everything, states

ray = pytest.importorskip("ray")
cluster_utils = pytest.importorskip("ray.cluster_utils")

from dcbench.sweep.engines.ray import Ray, RayOptions  # noqa: E402

SMALL = {"include_dashboard": False, "object_store_memory": 100_000_000}


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """Of the head of a cluster with two cores."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        cluster = cluster_utils.Cluster(True, head_node_args={"num_cpus": 2, **SMALL})
        yield cluster.address
        with contextlib.suppress(Exception):
            ray.shutdown()
        cluster.shutdown()


@pytest.fixture(scope="module")
def swept(
    deadly: Deadly, address: str, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, list[Outcome]]:
    """What the cluster leaves of a sweep in which some of its workers are killed."""
    results = tmp_path_factory.mktemp("ray")
    deadly.marker.unlink()
    engine = Ray(RayOptions(address=address))
    return results, sweep(deadly.requests(), a_site(results), engine)


def test_all_runs_but_the_one_that_kills_are_done(swept, deadly: Deadly):
    assert states(swept[1]) == {
        (each.method, each.seed): "failed" if each.method == deadly.always else "done"
        for each in deadly.requests()
    }


def test_all_files_equal_what_the_serial_engine_leaves(swept, deadly: Deadly):
    assert everything(swept[0]) == deadly.expected


def test_run_that_kills_its_worker_twice_fails_and_says_so(swept):
    (message,) = (each.message for each in swept[1] if each.state == "failed")
    assert message.startswith("lost twice: its worker was killed by SIGKILL")


def test_results_that_are_sent_back_are_stored_and_so_are_states(
    address: str, deadly: Deadly, tmp_path: Path
):
    requests = asked() + asked(settings={"epochs": 5000})
    site = a_site(tmp_path)
    engine = Ray(RayOptions(address=address, workers=1, results="sent"))
    carried_out = engine.carry_out(packs(requests, 1), site)
    assert next(carried_out).outcomes[0].state == "done"
    found = everything(tmp_path)
    assert len(found) == 4
    assert found.items() <= deadly.expected.items()
    carried_out.close()
    assert not ray.is_initialized()
    assert (site.store.folder(plan_of(requests[1]).identity) / CHECKPOINT).exists()


def test_cluster_that_does_not_answer_is_named(tmp_path: Path):
    engine = Ray(RayOptions(address="127.0.0.1:9"))
    with pytest.raises(RunError, match=r"no cluster of Ray answers at 127\.0\.0\.1:9"):
        sweep(asked(), a_site(tmp_path), engine)


def test_worker_that_the_cluster_has_no_room_for_is_said_at_once(address: str, tmp_path: Path):
    engine = Ray(RayOptions(address=address, num_gpus=0.5))
    with pytest.raises(RunError, match=r"a worker takes 0\.5 GPU and the cluster of Ray has 0"):
        sweep(asked(), a_site(tmp_path), engine)


def test_without_an_address_a_cluster_is_started_and_ended(tmp_path: Path, deadly: Deadly):
    outcomes = sweep(asked(), a_site(tmp_path), Ray(RayOptions(workers=1)))
    assert [each.state for each in outcomes] == ["done"]
    assert not ray.is_initialized()
    found = everything(tmp_path)
    assert len(found) == 4
    assert found.items() <= deadly.expected.items()
