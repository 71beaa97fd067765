"""What the documentation shows: code that runs, commands that exist, rooms in their order."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from typer.testing import CliRunner

from dcbench import metrics
from dcbench.cli import app
from dcbench.methods import registry
from tests.docs.pages import PAGES, ROOT, Block, blocks, commands_in_sentences

RUN = [page for page in PAGES if page.name != "CONTRIBUTING.md"]


def name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def run_command(words: list[str], block: Block) -> None:
    assert words[0] == "dcbench", f"{block}: {words[0]} cannot be run; mark the block"
    result = CliRunner().invoke(app, words[1:])
    assert result.exit_code == 0, f"{block}: {' '.join(words)}\n{result.output}\n{result.exception}"


def run_block(block: Block, namespace: dict[str, object]) -> None:
    if block.language == "sh":
        for words in block.commands:
            run_command(words, block)
    elif block.language == "python" and block.file_name:
        Path(block.file_name).write_text(block.code, encoding="utf-8")
    elif block.language == "python":
        exec(compile(block.code, str(block), "exec"), namespace)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where a reader of all pages works: a run that two pages show is made once."""
    return tmp_path_factory.mktemp("reader")


@pytest.mark.parametrize("page", RUN, ids=name)
def test_code_that_a_page_shows_fails(page: Path, folder: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(folder)
    monkeypatch.delenv("DCBENCH_RESULTS", raising=False)
    monkeypatch.setattr(registry, "_methods", dict(registry._methods))
    namespace: dict[str, object] = {}
    for block in blocks(page):
        if block.reason is None:
            run_block(block, namespace)


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_page_shows_a_command_or_an_option_that_is_not_there(page: Path):
    shown = [
        words[1:]
        for block in blocks(page)
        if block.language == "sh"
        for words in block.commands
        if words[0] == "dcbench"
    ]
    for words in [*shown, *commands_in_sentences(page)]:
        result = CliRunner().invoke(app, [*words, "--help"])
        assert result.exit_code == 0, f"{name(page)}: dcbench {' '.join(words)}\n{result.output}"


def test_block_is_not_run_and_nobody_says_why():
    unnamed = [str(block) for page in PAGES for block in blocks(page) if block.reason == ""]
    languages = {block.language for page in PAGES for block in blocks(page)}
    assert not unnamed
    known = {"sh", "python", "text", "toml", "yaml", "markdown"}
    assert languages <= known, "a block of no known language is not run"


def rooms_of_the_contract() -> list[str]:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = settings["tool"]["importlinter"]["contracts"]
    [layers] = [contract["layers"] for contract in contracts if contract["id"] == "rooms"]
    return [room for layer in layers for room in layer.split(" | ")]


@pytest.mark.parametrize("page", ["docs/design.md", "CONTRIBUTING.md"])
def test_page_tells_another_order_of_the_rooms_than_the_contract(page: str):
    text = (ROOT / page).read_text(encoding="utf-8")
    told = text[text.index("Imports only go down") :]
    rooms = rooms_of_the_contract()
    found = [word for word in re.findall(r"`(\w+)`", told) if word in rooms]
    assert list(dict.fromkeys(found)) == rooms


def test_readme_is_longer_than_a_first_reader_reads():
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 150


def test_page_is_not_in_the_navigation():
    listed = re.findall(
        r"^  - (?:\w+: )?(\S+\.md)$", (ROOT / "mkdocs.yml").read_text("utf-8"), re.MULTILINE
    )
    assert sorted(listed) == sorted(page.name for page in (ROOT / "docs").glob("*.md"))


def test_metric_is_not_in_the_reference():
    told = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    entries = re.findall(r"^::: dcbench\.metrics\.\w+\.(\w+)$", told, re.MULTILINE)
    assert sorted(entries) == sorted(metrics.__all__)
