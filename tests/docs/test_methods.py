"""The documentation's table of methods beside the registry."""

from pathlib import Path

import pytest

from dcbench.methods import method_class, method_names
from dcbench.reports.filled import filled

PAGE = Path(__file__).parents[2] / "docs" / "methods.md"


def rows(name: str = "methods") -> dict[str, list[str]]:
    text = PAGE.read_text(encoding="utf-8")
    table = text.partition(f"<!-- {name}: begin -->")[2].partition(f"<!-- {name}: end -->")[0]
    lines = [line.strip("| ").split(" | ") for line in table.strip().splitlines()[2:]]
    return {cells[0].strip("`"): cells for cells in lines}


def test_every_method_stands_in_the_table_with_its_settings_and_twin():
    found = rows()
    assert list(found) == method_names()
    for name, cells in found.items():
        method = method_class(name)
        for key, value in method.default_settings().items():
            assert f"`{key}={value}`" in "|".join(cells), name
        if name != "erm":
            assert f"`{method.twin or 'erm'}`" in "|".join(cells), name
            assert method.paper in "|".join(cells), name


@pytest.mark.parametrize("page", ["methods.md", "results.md", "../README.md"])
def test_measured_numbers_are_those_of_the_leaderboards(page: str):
    text = (PAGE.parent / page).read_text(encoding="utf-8")
    assert text.count("<!-- measured:") > 0
    assert filled(text, page) == text


def test_every_method_stands_among_the_measured():
    page = PAGE.read_text(encoding="utf-8")
    table = page.partition("<!-- measured: v1-lite -->\n")[2].partition("\n\n")[0]
    lines = table.split("\n")[2:]
    assert [line.split(" | ")[0].strip("| `") for line in lines] == method_names()
