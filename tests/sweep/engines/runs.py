"""Short runs on digits, and what is compared of them."""

from __future__ import annotations

import csv
import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from dcbench.data.source import Folder
from dcbench.records.store import Store
from dcbench.sweep.engines.base import Outcome, Site
from dcbench.sweep.grid import Block, Request, requests_of

WHEN_AND_WHERE = ("cost", "environment", "started", "finished")


def a_site(results: Path, **changes: Any) -> Site:
    return replace(Site(Store(results), Folder(results / "no-data"), "cpu", threads=1), **changes)


def asked(**changes: Any) -> list[Request]:
    given = {"methods": ["erm"], "splits": ["digits"], "seeds": "0", "settings": {"epochs": 2}}
    return requests_of([Block.model_validate({**given, **changes})])


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
