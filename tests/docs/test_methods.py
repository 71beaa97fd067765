"""The documentation's table of methods beside the registry."""

from pathlib import Path

import pytest

from dcbench.leaderboard.boards import load_board
from dcbench.methods import method_class, method_names

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


@pytest.mark.parametrize(
    ("column", "split"), [(2, "digits"), (3, "cifair10-common"), (4, "cifar10-lt-100")]
)
def test_measured_numbers_are_those_of_the_leaderboard(column: int, split: str):
    summary = load_board(split, "v1-lite").summary
    board = summary[summary["subsets"] == "0"].set_index("method")
    found = rows("measured")
    assert list(found) == method_names()
    for name, cells in found.items():
        if name not in board.index:
            assert cells[column] == "–", name
            continue
        row = board.loc[name]
        assert cells[column].startswith(f"{100 * row['accuracy_mean']:.1f}"), name
        if row["n"] < 5:
            assert cells[column].endswith(f"({row['n']})"), name
        else:
            assert cells[column].endswith(f"± {100 * row['accuracy_ci95']:.1f}"), name
