"""The page on disk: an HTML file with its style and script inside, tables and figures beside it."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import jinja2
import pandas as pd
from markupsafe import Markup

from dcbench._version import __version__
from dcbench.errors import UsageError
from dcbench.leaderboard.boards import Board, titled
from dcbench.leaderboard.tables import write_table
from dcbench.leaderboard.tracks import DEFAULT
from dcbench.metrics.table import Metric, find_metric
from dcbench.records.atomic import write_whole, writing
from dcbench.reports.page.content import MethodTable, method_tables, slug
from dcbench.reports.page.downloads import harmless, with_decimals
from dcbench.reports.page.figures import Figure, by_section, copy_figures
from dcbench.reports.page.intervals import HEIGHT, WIDTH
from dcbench.reports.page.rules import Rules, rules_of
from dcbench.reports.reported import Reported

_HERE = Path(__file__).parent


@dataclass(frozen=True)
class Panel:
    """What the page shows of a split under a protocol."""

    key: str
    protocol: str
    split: str
    states: list[str]
    tables: list[MethodTable]
    reported: dict[tuple[str, Metric], list[Reported]]
    rules: Rules
    figures: list[Figure]
    summary_csv: str
    runs_csv: str


def write_page(
    boards: Sequence[Board],
    reported: Sequence[Reported],
    output: Path,
    figures: Path | None = None,
) -> Path:
    """Write the page of some boards: a folder that opens without a network.

    Parameters
    ----------
    boards
        One section each.
    reported
        Published numbers; those of a board's split stand below its rows, table by table and
        without a rank.
    output
        The folder; what the page does not write there stays.
    figures
        A folder of SVG files to show; one called `<protocol>-<split>-…` stands in that section.

    Returns
    -------
    Path
        `index.html` in the folder.

    Raises
    ------
    UsageError
        There is no board, or no figure in `figures`.
    RunError
        A file cannot be written.
    """
    if not boards:
        raise UsageError("there is no leaderboard to show; `dcbench leaderboard build` makes them")
    with writing(output):
        output.mkdir(parents=True, exist_ok=True)
    names = [board.name for board in boards]
    sections = by_section(copy_figures(figures, output) if figures else (), names)
    panels = [
        _panel(board, reported, sections[name], output)
        for board, name in zip(boards, names, strict=True)
    ]
    page = output / "index.html"
    text = _render(panels, sections[""])
    write_whole(page, lambda file: file.write(text.encode()))
    return page


def _render(panels: Sequence[Panel], figures: Sequence[Figure]) -> str:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_HERE),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    style, script = ((_HERE / name).read_text(encoding="utf-8") for name in ("page.css", "page.js"))
    return environment.get_template("page.html.j2").render(
        panels=panels,
        figures=figures,
        style=Markup(style),  # noqa: S704 # nosec B704
        script=Markup(script),  # noqa: S704 # nosec B704
        style_hash=_source_hash(style),
        script_hash=_source_hash(script),
        width=WIDTH,
        height=HEIGHT,
        version=__version__,
    )


def _source_hash(text: str) -> Markup:
    """What a content security policy calls an element's text by."""
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    return Markup("'sha256-{}'").format(digest)


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
    rules = rules_of(board.protocol, board.split, metrics)
    states = {row.state for table in tables for row in table.rows}
    folder = f"csv/{board.protocol}"
    return Panel(
        key=slug(board.name),
        protocol=board.protocol,
        split=titled(board.split, board.track),
        states=[*sorted(states, reverse=True), *(["reported"] if published else [])],
        tables=tables,
        reported=published,
        rules=rules,
        figures=figures,
        summary_csv=_write_csv(board.summary, output, f"{folder}/{board.file_name}.csv"),
        runs_csv=_write_csv(
            with_decimals(board.runs), output, f"{folder}/runs/{board.file_name}.csv"
        ),
    )


def _write_csv(table: pd.DataFrame, output: Path, name: str) -> str:
    path = output / name
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    write_table(path, harmless(table))
    return name
