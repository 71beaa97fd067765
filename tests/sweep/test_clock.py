"""The time that a sweep says is left, and what it costs to say it."""

import logging
from collections import Counter
from pathlib import Path
from typing import ClassVar

import pytest

from dcbench.data.source import Folder
from dcbench.records.store import Store
from dcbench.sweep import scheduler
from dcbench.sweep.engines.base import Ended, Engine, Options, Outcome, Site
from dcbench.sweep.grid import Request
from dcbench.sweep.scheduler import sweep


def runs_of(method: str, count: int) -> list[Request]:
    return [Request(method, "digits", 0, seed, "v1", "{}") for seed in range(count)]


class Told(Engine):
    """An engine that says that runs ended so."""

    def __init__(self, endings: list[Outcome], workers: int):
        super().__init__(Options())
        self.endings, self.number = endings, workers

    def workers(self, device):
        return self.number

    def carry_out(self, jobs, site):
        for outcome in self.endings:
            yield Ended((outcome.request,), [outcome])


def swept(
    requests: list[Request], endings: list[Outcome], results: Path, workers: int = 1
) -> list[Outcome]:
    """A sweep whose engine says that runs ended so."""
    site = Site(Store(results), Folder(results / "no-data"), "cpu", threads=1, deadline=None)
    return sweep(requests, site, Told(endings, workers))


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What is said to be left as each run ends."""
    messages = [r.getMessage() for r in caplog.records if r.name == "dcbench.sweep.scheduler"]
    return [message.rpartition("; ")[2] for message in messages[1:]]


def test_time_left_is_the_mean_of_a_kind_and_of_all_for_a_kind_not_seen(tmp_path, caplog):
    erm, mixup = runs_of("erm", 3), runs_of("mixup", 2)
    endings = [
        Outcome(erm[0], "failed", 1.0, message="of no use"),
        Outcome(erm[1], "done", 10.0, 0.5),
        Outcome(mixup[0], "done", 40.0, 0.5),
        Outcome(erm[2], "left", 5.0),
        Outcome(mixup[1], "done", 20.0, 0.5),
    ]
    with caplog.at_level(logging.INFO, logger="dcbench.sweep"):
        swept([*erm, *mixup], endings, tmp_path)
    assert told(caplog) == [
        "4 left",  # nothing was done yet
        "about 30 s left",  # one erm of 10 s, two mixup, not seen, of 10 s
        "about 50 s left",  # one erm of 10 s, one mixup of 40 s
        "about 40 s left",  # what is left for another time is not waited for
        "none left",
    ]


@pytest.mark.parametrize("workers", [4, 64])
def test_time_left_is_shared_by_the_workers_that_have_a_run(tmp_path, caplog, workers):
    erm = runs_of("erm", 5)
    with caplog.at_level(logging.INFO, logger="dcbench.sweep"):
        swept(erm, [Outcome(erm[0], "done", 10.0, 0.5)], tmp_path, workers=workers)
    assert told(caplog) == ["about 10 s left"]


class CountedRequest(Request):
    """A request that counts how often it is looked up in a set or a mapping."""

    looked_up: ClassVar[Counter[str]] = Counter()

    def __hash__(self) -> int:
        CountedRequest.looked_up["hash"] += 1
        return super().__hash__()


def lookups_of_a_sweep(count: int, results: Path, monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    looked_up: Counter[str] = Counter()
    real = scheduler._kind

    def counted(request: Request) -> tuple[str, ...]:
        looked_up["kind"] += 1
        return real(request)

    monkeypatch.setattr(CountedRequest, "looked_up", looked_up)
    with monkeypatch.context() as patch:
        patch.setattr(scheduler, "_kind", counted)
        patch.setattr(scheduler, "_is_found", lambda request, site: request.seed % 2 == 0)
        runs = [CountedRequest(*each) for each in runs_of("erm", count)]
        swept(runs, [Outcome(run, "done", 1.0, 0.5) for run in runs[1::2]], results)
    return looked_up


def test_run_that_ends_costs_the_same_however_many_are_missing(tmp_path, monkeypatch):
    few, many = (lookups_of_a_sweep(count, tmp_path, monkeypatch) for count in (4, 32))
    assert min(few["hash"], few["kind"]) > 0
    assert {what: count * 8 for what, count in few.items()} == dict(many)
