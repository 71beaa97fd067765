import re
import tomllib
from pathlib import Path

from typer.testing import CliRunner

from dcbench.cli import app

TEXT = (Path(__file__).parents[1] / "CONTRIBUTING.md").read_text(encoding="utf-8")


def block(language: str) -> str:
    found = re.search(rf"```{language}\n(.*?)```", TEXT, re.DOTALL)
    assert found is not None
    return found[1]


def test_method_that_contributors_are_shown_runs(tmp_path: Path):
    declared = tomllib.loads(block("toml"))["project"]["entry-points"]["dcbench.methods"]
    module, name = declared["confidence-penalty"].split(":")
    (tmp_path / f"{module}.py").write_text(block("python"))
    result = CliRunner().invoke(
        app,
        [
            *("run", "--method", f"{tmp_path / module}.py:{name}", "--split", "digits"),
            *("--set", "epochs=1", "--results", str(tmp_path), "--quiet"),
        ],
    )
    assert result.exit_code == 0, result.output
    assert (
        len(list(tmp_path.rglob("v1/digits/subset-0/confidence-penalty*/seed-0/record.json"))) == 1
    )
