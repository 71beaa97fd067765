"""Short runs on digits, and what is compared of them."""

from __future__ import annotations

import csv
import hashlib
import json
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from dcbench.data.source import Folder
from dcbench.records.store import Store
from dcbench.sweep.engines.base import Outcome, Site
from dcbench.sweep.grid import Block, Request, requests_of

SHOWN = """
import os, pathlib
from torch.nn.functional import cross_entropy
from dcbench.methods import Method

class Shown(Method):
    \"\"\"ERM that leaves a file named after its process once it has trained an epoch.\"\"\"

    def loss(self, network, batch):
        if batch.epoch >= 1:
            pathlib.Path({folder!r}, str(os.getpid())).touch()
        return cross_entropy(network(batch.images), batch.labels)
"""

WHEN_AND_WHERE = ("cost", "environment", "started", "finished")


def a_site(results: Path, **changes: Any) -> Site:
    return replace(Site(Store(results), Folder(results / "no-data"), "cpu", threads=1), **changes)


def asked(**changes: Any) -> list[Request]:
    given = {"methods": ["erm"], "splits": ["digits"], "seeds": "0", "settings": {"epochs": 2}}
    return requests_of([Block.model_validate({**given, **changes})])


def until(
    holds: Callable[[], object], seconds: float = 30.0, said: str = "it did not come about in time"
) -> None:
    """Wait for something to hold; it fails with what is said if it does not in time."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, said
        time.sleep(0.05)


def shown_in(folder: Path) -> str:
    """The name of a method that tells `until_trained` of its trainings by files in a new folder."""
    folder.mkdir()
    file = folder.with_suffix(".py")
    file.write_text(SHOWN.format(folder=str(folder)))
    return f"{file}:Shown"


def until_trained(folder: Path, processes: int, seconds: float = 120.0) -> None:
    """Wait for so many processes to be in the middle of a training of the method `shown_in`."""
    until(lambda: len(list(folder.iterdir())) >= processes, seconds, "no training has begun")


def states(outcomes: list[Outcome]) -> dict[tuple[str, int], str]:
    return {(each.request.method, each.request.seed): each.state for each in outcomes}


def everything(results: Path) -> dict[str, object]:
    """All that a results folder holds, but for how long it took and on what machine."""
    found: dict[str, object] = {}
    for path in sorted(results.rglob("*")):
        name = str(path.relative_to(results))
        if path.name == "record.json":
            record = json.loads(path.read_text())
            record["missing"] = sorted(record["missing"])  # the reasons name folders
            found[name] = {key: record[key] for key in record if key not in WHEN_AND_WHERE}
        elif path.name == "history.csv":
            rows = csv.DictReader(path.read_text().splitlines())
            found[name] = [{**row, "seconds": None} for row in rows]
        elif path.is_file() and not path.name.startswith("."):
            found[name] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found
