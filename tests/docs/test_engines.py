"""The options that the page on engines shows beside what the engines take."""

import re
from pathlib import Path

import pytest

from dcbench.errors import UsageError
from dcbench.sweep.engines.registry import engine_names, load_engine

PAGE = Path(__file__).parents[2] / "docs" / "engines.md"


def shown() -> list[tuple[str, str]]:
    """Each file of options on the page, after the heading of its engine."""
    text = PAGE.read_text(encoding="utf-8")
    sections = re.findall(r"^### (\w+)\n(.*?)(?=^##)", text, re.MULTILINE | re.DOTALL)
    return [
        (engine, content)
        for engine, section in sections
        for content in re.findall(r"^```yaml\n(.*?)^```", section, re.MULTILINE | re.DOTALL)
    ]


def test_engine_has_no_section():
    text = PAGE.read_text(encoding="utf-8")
    assert re.findall(r"^### (\w+)$", text, re.MULTILINE) == engine_names()


@pytest.mark.parametrize(("engine", "content"), shown())
def test_options_that_the_page_shows_are_not_taken(engine: str, content: str, tmp_path: Path):
    path = tmp_path / "options.yaml"
    path.write_text(content)
    try:
        load_engine(engine, path)
    except UsageError as problem:
        if "is not installed" not in str(problem):
            raise
        pytest.skip(str(problem))


@pytest.mark.parametrize("engine", engine_names())
def test_option_is_not_shown_on_the_page(engine: str):
    try:
        options = load_engine(engine).Options.model_fields
    except UsageError as problem:
        pytest.skip(str(problem))
    content = "".join(text for name, text in shown() if name == engine)
    assert [key for key in options if not re.search(rf"\b{key}\b", content)] == []
