"""Templates of the page and its neighbours: each file with its style, and its script, inside."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup, escape

from dcbench._version import __version__
from dcbench.records.atomic import write_bytes, writing
from dcbench.reports.page.content import slug
from dcbench.reports.page.intervals import HEIGHT, WIDTH

_HERE = Path(__file__).parent
_SCRIPTS = ("page_runs.js", "page_check.js", "page.js")

COST_HINT = (
    "Cost: training time of the fastest run over that of erm's fastest run on the same machine; "
    "≤ where a method has fewer runs than a rank takes, or fewer than three on that machine, for "
    "load only slows a run. FLOPs: floating-point operations over those of erm, the same under any "
    "load."
)


def environment() -> jinja2.Environment:
    """The templates; text that they are given is escaped."""
    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_HERE),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    style = _read("page.css")
    made.globals |= {
        "style": Markup(style),  # noqa: S704 # nosec B704
        "style_hash": _source_hash(style),
        "script_hash": "",
        "width": WIDTH,
        "height": HEIGHT,
        "version": __version__,
        "cost_hint": COST_HINT,
    }
    made.filters |= {"slug": slug, "ticked": _ticked}
    return made


def script() -> dict[str, Markup]:
    """The script of the main page, and its hash."""
    text = "\n".join(map(_read, _SCRIPTS))
    return {"script": Markup(text), "script_hash": _source_hash(text)}  # noqa: S704 # nosec B704


def write_template(
    templates: jinja2.Environment, name: str, target: Path, values: Mapping[str, Any]
) -> Path:
    """Write a template as a file."""
    text = templates.get_template(name).render(values)
    with writing(target):
        target.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(target, text.encode())
    return target


def _read(name: str) -> str:
    return (_HERE / name).read_text(encoding="utf-8")


def _ticked(text: str) -> Markup:
    """Text with what stands between backticks as code."""
    parts = [escape(part) for part in text.split("`")]
    return Markup("").join(
        Markup("<code>{}</code>").format(part) if place % 2 else part
        for place, part in enumerate(parts)
    )


def _source_hash(text: str) -> Markup:
    """What a content security policy calls an element's text by."""
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    return Markup("'sha256-{}'").format(digest)
