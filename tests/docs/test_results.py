"""The numbers in the documentation are those of the published leaderboards."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator

import pytest

from tests.docs.pages import ROOT

METRICS = {
    "accuracy %": "accuracy",
    "many %": "accuracy_many",
    "medium %": "accuracy_medium",
    "few %": "accuracy_few",
    "ECE-15 %": "ece15",
    "NLL": "nll",
    "AUROC CIFAR-100 %": "ood.cifar100.msp.auroc",
}


def summary(protocol: str, split: str) -> dict[str, dict[str, str]]:
    path = ROOT / "leaderboard" / protocol / f"{split}.csv"
    with path.open(encoding="utf-8", newline="") as file:
        return {row["method"]: row for row in csv.DictReader(file) if row["subsets"] == "0"}


def table_rows(page: str) -> Iterator[tuple[str, str, str, dict[str, str]]]:
    """Protocol, split, method and cells of every row that shows a method's results."""
    protocol, split, header = "", "", []
    for line in (ROOT / page).read_text(encoding="utf-8").replace("\u00a0", " ").splitlines():
        if heading := re.match(r"## .*`([\w-]+)`$", line):
            split = heading[1]
        if named := re.search(r"`v1-lite` on `([\w-]+)`", line):
            split = named[1]
        if mark := re.match(r"<!-- measured: (\S+)", line):
            protocol = mark[1]
        cells = [cell.strip() for cell in line.strip("|").split(" | ")]
        if not line.startswith("|"):
            header = []
        elif not header:
            header = cells
        elif header[0] in ("method", "split, method"):
            names = re.findall(r"`([\w-]+)`", cells[0])
            of = names.pop(0) if names and header[0] == "split, method" else split
            for method in names:
                yield protocol, of, method, dict(zip(header, cells, strict=True))


@pytest.mark.parametrize(("page", "rows"), [("README.md", 5), ("docs/results.md", 77)])
def test_page_shows_another_number_than_the_leaderboard(page: str, rows: int):
    found = list(table_rows(page))
    assert len(found) == rows
    for protocol, split, method, cells in found:
        published = summary(protocol, split)[method]
        assert cells.get("runs", published["n"]) == published["n"]
        for title in METRICS.keys() & cells.keys():
            mean, spread = (published[f"{METRICS[title]}_{what}"] for what in ("mean", "ci95"))
            if cells[title] == "–":
                assert mean == ""
                continue
            scale, half = (100, 0.05) if title.endswith("%") else (1, 0.0005)
            shown = [float(number) for number in cells[title].split(" ± ")]
            stored = [float(number) * scale for number in (mean, spread) if number]
            assert shown == pytest.approx(stored, rel=0, abs=half + 1e-9), (
                f"{split}, {method}, {title}"
            )


CORRUPTED = {
    "accuracy": "accuracy",
    "corrupted": "shift.corruptions.accuracy",
    "ECE-15": "ece15",
    "ECE-15 corrupted": "shift.corruptions.ece15",
}


def test_page_shows_other_numbers_under_corruptions_than_the_rows():
    path = ROOT / "leaderboard/v1-lite/runs/cifair10-common.csv"
    with path.open(encoding="utf-8", newline="") as file:
        runs = {
            row["method"]: row
            for row in csv.DictReader(file)
            if (row["subset"], row["seed"]) == ("0", "0")
        }
    text = (ROOT / "docs/results.md").read_text(encoding="utf-8")
    table = text[text.index("| method, seed 0 |") :].partition("\n\n")[0].splitlines()
    head, _, *rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table]
    shown = [dict(zip(head, cells, strict=True)) for cells in rows]
    pairs = [(cells, runs[cells["method, seed 0"].strip("`")]) for cells in shown]
    published = [(cells, row) for cells, row in pairs if row["shift.corruptions.accuracy"]]
    assert (len(pairs), len(published)) == (10, 6), "four are of repeated runs, as the page says"
    for cells, row in published:
        for title, column in CORRUPTED.items():
            assert float(cells[title]) == pytest.approx(100 * float(row[column]), abs=0.05 + 1e-9)


def test_page_says_otherwise_on_which_splits_both_protocols_have_rows():
    text = (ROOT / "docs/results.md").read_text(encoding="utf-8")
    lite, full = (
        {path.stem for path in (ROOT / "leaderboard" / protocol / "runs").glob("*.csv")}
        for protocol in ("v1-lite", "v1")
    )
    for kind in ("splits", "methods"):
        begin = f"<!-- agreement of {kind}: v1-lite,v1 -->\n"
        table = text.partition(begin)[2].partition("\n\n")[0]
        firsts = [line.split(" | ")[0].strip("| ") for line in table.split("\n")[2:]]
        compared = {found[1] for first in firsts if (found := re.match(r"`([\w-]+)`($|,)", first))}
        assert compared == lite & full
        assert ("no split has rows under both" in firsts) == (not compared)
        lacking = ", ".join(f"`{split}`" for split in sorted(lite - full))
        assert (f"`v1` has no rows of {lacking}" in firsts) == (kind == "splits" and lacking != "")
