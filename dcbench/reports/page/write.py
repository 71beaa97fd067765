"""The page on disk: HTML files with style and script inside, tables and pictures beside them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Any
from urllib.parse import quote

import jinja2
import pandas as pd

from dcbench.config.progress import NoProgress, Progress
from dcbench.data.parts import Source
from dcbench.errors import UsageError
from dcbench.leaderboard.boards import Board, titled
from dcbench.leaderboard.tables import write_table
from dcbench.leaderboard.tracks import DEFAULT
from dcbench.metrics.metric import Metric
from dcbench.metrics.table import find_metric
from dcbench.records.atomic import writing
from dcbench.reports.page.about import Training, about_protocols, training_of
from dcbench.reports.page.across import across_panels
from dcbench.reports.page.cite import cite_board
from dcbench.reports.page.content import MethodTable, method_tables, slug, slugs
from dcbench.reports.page.downloads import harmless, with_decimals
from dcbench.reports.page.figures import Figure, by_section, copy_figures
from dcbench.reports.page.method_pages import Boards, method_page
from dcbench.reports.page.overview import Overview, overview_of
from dcbench.reports.page.render import environment, script, write_template
from dcbench.reports.page.rules import Rules, rules_of
from dcbench.reports.page.split_pages import split_page
from dcbench.reports.reported import Reported


@dataclass(frozen=True)
class Panel:
    """What the page shows of a board: `of` is the name of its split, `page` the address of that."""

    key: str
    protocol: str
    split: str
    of: str
    page: str
    training: Training
    states: list[str]
    tables: list[MethodTable]
    reported: dict[tuple[str, Metric], list[Reported]]
    rules: Rules
    figures: list[Figure]
    summary_csv: str
    runs_csv: str
    citation: str


def write_page(
    boards: Sequence[Board],
    reported: Sequence[Reported],
    output: Path,
    figures: Path | None = None,
    *,
    results: Path | None = None,
    source: Source | None = None,
    installed: bool = True,
    progress: Progress | None = None,
) -> Path:
    """Write the page of some boards: a folder that opens without a network.

    Parameters
    ----------
    boards
        One section each; every method and every split of them has a page of its own.
    reported
        Published numbers; those of a board's split stand below its rows, table by table and
        without a rank.
    output
        The folder; what the page does not write there stays.
    figures
        A folder of SVG files to show; one called `<protocol>-<split>-…` stands in that section.
    results
        A folder of stored runs, for learning curves and reliability on the pages of methods.
    source
        Images for the contact sheets of splits; without it there are none.
    installed
        Describe methods of other installed packages too; else only those that come with dcbench.

    Returns
    -------
    Path
        `index.html` in the folder.

    Raises
    ------
    UsageError
        There is no board, or no figure in `figures`.
    DataError
        A stored run in `results` is damaged.
    RunError
        A file cannot be written.
    """
    if not boards:
        raise UsageError("there is no leaderboard to show; `dcbench leaderboard build` makes them")
    with writing(output):
        output.mkdir(parents=True, exist_ok=True)
    across = across_panels(boards)
    names = [board.name for board in boards]
    over_splits = [each.figures_of for each in across if each.rows]
    copied = copy_figures(figures, output) if figures else ()
    sections = by_section(copied, [*names, *over_splits])
    panels = [
        _panel(board, reported, sections[name], output)
        for board, name in zip(boards, names, strict=True)
    ]
    files = slugs(str(method) for board in boards for method in board.summary["method"])
    pages = {method: f"methods/{name}.html" for method, name in files.items()}
    templates = environment()
    tables = [(board, panel.tables) for board, panel in zip(boards, panels, strict=True)]
    drawn = _method_figures(boards, results, output, files, progress)
    _write_methods(templates, Boards(tables, installed=installed), pages, drawn, output)
    _write_splits(templates, panels, source, output)
    values = {
        "panels": panels,
        "pages": pages,
        "protocols": about_protocols(boards),
        "overviews": _overviews(boards, panels),
        "citations": [panel.citation for panel in panels],
        "across": {
            each.protocol: replace(each, figures=sections.get(each.figures_of, []))
            for each in across
        },
        "figures": sections[""],
        "runs": _runs(panels, pages),
    }
    return write_template(templates, "page.html.j2", output / "index.html", values | script())


def _method_figures(
    boards: Sequence[Board],
    results: Path | None,
    output: Path,
    files: Mapping[str, str],
    progress: Progress | None,
) -> dict[str, list[Figure]]:
    if results is None:
        return {}
    # In here: Matplotlib takes longer to load than the rest of a page to write.
    from dcbench.reports.page.method_figures import draw_methods

    return draw_methods(boards, results, output, files, progress or NoProgress())


def _write_methods(
    templates: jinja2.Environment,
    boards: Boards,
    pages: Mapping[str, str],
    drawn: Mapping[str, list[Figure]],
    output: Path,
) -> None:
    for name, page in pages.items():
        method = method_page(name, boards, pages, drawn.get(name, []))
        write_template(templates, "method.html.j2", output / page, {"method": method})


def _write_splits(
    templates: jinja2.Environment, panels: Sequence[Panel], source: Source | None, output: Path
) -> None:
    for panel in {panel.of: panel for panel in reversed(panels)}.values():
        target = (output / panel.page).with_suffix(".png")
        split = split_page(panel.of, panel.key, panel.rules.facts, source, target)
        write_template(templates, "split.html.j2", output / panel.page, {"split": split})


def _overviews(boards: Sequence[Board], panels: Sequence[Panel]) -> list[Overview]:
    paired = sorted(zip(boards, panels, strict=True), key=lambda each: each[1].protocol)
    return [
        overview_of(
            protocol,
            {panel.key: (board, panel.tables[0]) for board, panel in group if panel.tables},
        )
        for protocol, group in groupby(paired, key=lambda each: each[1].protocol)
    ]


def _runs(panels: Sequence[Panel], pages: Mapping[str, str]) -> dict[str, Any]:
    """The single runs of every row, as the script reads them."""
    columns, methods = {}, {}
    for panel in panels:
        for table in panel.tables:
            titles = [[metric.column_title, metric.note] for metric in table.run_metrics]
            columns[table.key] = [*titles, ["Training", "wall time"]]
            for row in table.rows:
                methods[row.key] = {
                    "table": table.key,
                    "method": row.method,
                    "page": pages[row.method],
                    "split": panel.split,
                    "protocol": panel.protocol,
                    "runs": [
                        {
                            "subset": run.subset,
                            "seed": run.seed,
                            "cells": [cell.text for cell in run.cells],
                            "sha256": run.predictions_sha256,
                            "notes": run.notes,
                            "accuracy": run.accuracy,
                            "ece15": run.ece15,
                        }
                        for run in row.runs
                    ],
                }
    return {"columns": columns, "methods": methods}


def _panel(
    board: Board, reported: Sequence[Reported], figures: list[Figure], output: Path
) -> Panel:
    tables = method_tables(board)
    published: dict[tuple[str, Metric], list[Reported]] = {}
    for row in reported:
        metric = find_metric(row.metric)
        own = row.split == board.split and board.track == DEFAULT
        if own and metric is not None:
            published.setdefault((row.table, metric), []).append(row)
    metrics = [metric for table in tables for metric in table.run_metrics]
    states = {row.state for table in tables for row in table.rows}
    folder = f"csv/{board.protocol}"
    runs_csv = _write_csv(with_decimals(board.runs), output, f"{folder}/runs/{board.file_name}.csv")
    return Panel(
        key=slug(board.name),
        protocol=board.protocol,
        split=titled(board.split, board.track),
        of=board.split,
        page=quote(f"splits/{board.split}.html"),
        training=training_of(board.protocol, board.split, board.track),
        states=[*sorted(states, reverse=True), *(["reported"] if published else [])],
        tables=tables,
        reported=published,
        rules=rules_of(board.protocol, board.split, metrics),
        figures=figures,
        summary_csv=_write_csv(board.summary, output, f"{folder}/{board.file_name}.csv"),
        runs_csv=runs_csv,
        citation=cite_board(board, hashlib.sha256((output / runs_csv).read_bytes()).hexdigest()),
    )


def _write_csv(table: pd.DataFrame, output: Path, name: str) -> str:
    path = output / name
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    write_table(path, harmless(table))
    return name
