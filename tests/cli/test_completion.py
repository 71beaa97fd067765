"""What a shell offers: names that exist, quickly, also behind the comma of a list."""

import pytest
from typer.testing import CliRunner

from dcbench.cli import app
from dcbench.cli.completion import completer


def offered(line: str) -> list[str]:
    words = {"COMP_WORDS": line, "COMP_CWORD": str(line.count(" "))}
    found = CliRunner().invoke(
        app, [], prog_name="dcbench", env={"_DCBENCH_COMPLETE": "complete_bash", **words}
    )
    return found.output.split()


@pytest.mark.parametrize(
    ("line", "names"),
    [
        ("dcbench comp", ["compare"]),
        ("dcbench run --method ic-re", ["ic-regmixup", "ic-remix"]),
        ("dcbench run --method erm --split dig", ["digits"]),
        ("dcbench run --protocol v1-", ["v1-lite"]),
        ("dcbench sweep --methods erm,ic-m", ["erm,ic-mixup"]),
        ("dcbench leaderboard show dig", ["digits"]),
        ("dcbench leaderboard agree dig", ["digits"]),
        ("dcbench leaderboard agree --protocols v1-lite,v1-", ["v1-lite,v1-lite"]),
        ("dcbench splits verify dig", ["digits"]),
        ("dcbench data fetch cifair100", ["cifair100"]),
        ("dcbench compare results --against erm", ["erm"]),
        ("dcbench run --seed 1", []),
    ],
)
def test_shell_offers_other_names_than_there_are(line: str, names: list[str]):
    assert offered(line) == names


def test_parameter_of_no_list_of_names_is_left_to_the_shell():
    assert completer("results") is None
