"""The documentation's table of methods beside the registry."""

from pathlib import Path

from dcbench.methods import method_class, method_names

PAGE = Path(__file__).parents[2] / "docs" / "methods.md"


def rows() -> dict[str, list[str]]:
    text = PAGE.read_text(encoding="utf-8")
    table = text.partition("<!-- methods: begin -->")[2].partition("<!-- methods: end -->")[0]
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
