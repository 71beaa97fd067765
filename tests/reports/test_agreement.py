"""What `dcbench leaderboard agree` says, and the tables that `fill` keeps in pages."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from dcbench.cli import app
from dcbench.cli import console as display
from dcbench.config import paths
from tests.leaderboard.two_protocols import ERM, FULL, LITE, above, board, publish, seeds

ROOT = Path(__file__).parents[2]
SPACE = "\N{NO-BREAK SPACE}"


@pytest.fixture(autouse=True)
def wide(monkeypatch) -> None:
    monkeypatch.setattr(display.stdout, "width", 200)
    monkeypatch.setattr(display.stderr, "width", 1000)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return publish(tmp_path / "boards", [LITE, FULL])


def leaderboard(*arguments: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, ["leaderboard", *arguments])
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result.exit_code, result.stdout, result.stderr


def agree(folder: Path, *arguments: str) -> tuple[int, str, str]:
    return leaderboard("agree", "--from", str(folder), *arguments)


def line_of(said: str, first: str) -> list[str]:
    """The cells of the line of a table that begins with a word."""
    line = next(line for line in said.splitlines() if line.startswith(f"{first} "))
    return [cell.strip() for cell in line.split("  ") if cell.strip()]


def test_tables_say_something_else_than_by_hand(folder: Path):
    # The numbers are those of tests/leaderboard/test_agreement.py; half of an interval is
    # 4.3027 / sqrt(3) times the deviation: 2.48 points for 1, 0.25 for 0.1.
    code, said, noted = agree(folder)
    assert code == 0
    assert line_of(said, "cifair10-common") == [
        "cifair10-common",
        "0",
        "4",
        "0.55",
        "0.74",
        "2 of 3",
        "1 of 3",
    ]
    assert line_of(said, "mixup") == [
        *("mixup", "52.00", "58.00", "+2.00% (-0.48% to +4.48%)", "-2.00% (-2.25% to -1.75%)"),
        *("3, 3", "different", "under v1 alone"),
    ]
    assert line_of(said, "remix")[-2:] == ["same", "both"]
    assert line_of(said, "erm")[1:] == ["50.00", "60.00", "–", "–", "–, –", "–", "–"]
    assert "cifair10-common: left out, without accuracy under v1: cutmix\n" in said
    assert "cifair10-common: left out, without accuracy under v1-lite: sam\n" in said
    assert "Holm's correction over all pairs" in noted


def test_json_lacks_a_number(folder: Path):
    code, said, _ = agree(folder, "--json")
    [split] = json.loads(said)["splits"]
    assert code == 0
    assert split["correlation"]["kendall_tau_b"] == pytest.approx(0.5477226)
    assert split["alone"] == {"v1-lite": ["cutmix"], "v1": ["sam"]}
    [mixup] = [each for each in split["methods"] if each["method"] == "mixup"]
    assert mixup["differences"]["v1"]["mean"] == pytest.approx(-0.02)
    assert mixup["significant"] == {"v1-lite": False, "v1": True}
    assert (mixup["same_sign"], mixup["same_significance"]) == (False, False)


def test_single_pair_has_an_interval_or_a_test(folder: Path):
    few = {"erm": above(ERM, 0.0), "mixup": above(ERM, 0.1)}
    publish(folder, [board("v1", few)])
    code, said, _ = agree(folder)
    assert code == 0
    cells = line_of(said, "mixup")
    assert cells[4:] == ["+10.00%", "3, 1", "same", "provisional under v1"]
    assert "cifair10-common: no interval under v1, of a single pair: mixup\n" in said
    assert "cifair10-common: no rank correlation of 2 methods: it takes 3\n" in said
    code, said, _ = agree(folder, "--json")
    [mixup, _] = json.loads(said)["splits"][0]["methods"]
    assert mixup["differences"]["v1"]["low"] is None


def test_method_that_has_its_rank_is_called_provisional(tmp_path: Path):
    full = board("v1", {"erm": seeds(ERM[:2]), "mixup": above(ERM, 0.1, 0.2, 0.1)})
    _, said, _ = agree(publish(tmp_path, [LITE, full]))
    assert line_of(said, "mixup")[-1] == "erm is provisional under v1"
    _, said, _ = agree(tmp_path, "--markdown")
    assert "| same | erm is provisional under `v1` |" in said


def test_what_is_left_out_is_not_said(tmp_path: Path):
    equal = {name: seeds(ERM) for name in ("erm", "mixup", "remix")}
    more = {"erm": {**seeds(ERM), **seeds(ERM, 1)}, "mixup": seeds(ERM[:2]), "remix": {(0, 7): 0.1}}
    boards = [
        *(board(protocol, equal, "cifair10") for protocol in ("v1-lite", "v1")),
        *(board(protocol, equal, "digits") for protocol in ("v1-lite", "v1")),
        dataclasses.replace(LITE, split="cifar100"),
        board("v1", more, "cifar100"),
        dataclasses.replace(LITE, split="cifair100"),
        board("v1", {"mixup": seeds(ERM)}, "cifair100"),
    ]
    _, said, _ = agree(publish(tmp_path, boards))
    lines = said.splitlines()
    assert "cifair10: no rank correlation, for all methods have the same mean" in lines
    assert (
        "cifar100: under v1 not all of these methods have the same runs; each mean is over a "
        "method's own"
    ) in lines
    assert (
        "cifar100: no difference under v1, where erm has no run of the same subset and seed: remix"
    ) in lines
    assert (
        "cifar100: the subsets differ: v1-lite has 0, v1 has 0-1; subset 0 alone is compared"
    ) in lines
    assert (
        "cifair100: no difference under v1, where erm has no run of the same subset and seed: mixup"
    ) in lines
    # Without digits, which has one recipe. cifair10: two pairs of zeros; cifar100: mixup, above
    # zero under v1-lite and zero under v1.
    assert (
        "cifair10, cifair100, cifar100, subset 0: differences to erm with the same sign: 2 of 3; "
        "with the same significance: 2 of 2"
    ) in lines


def test_opposite_and_significant_differences_are_not_named(tmp_path: Path):
    turned = board("v1", {"erm": seeds(ERM), "remix": above(ERM, -0.039, -0.04, -0.041)})
    _, said, _ = agree(publish(tmp_path, [LITE, turned]))
    told = "significantly different from erm under both, in opposite directions: remix"
    assert f"cifair10-common: {told}" in said.splitlines()


def test_boards_without_a_subset_in_common_are_compared(tmp_path: Path):
    other = board("v1", {"erm": seeds(ERM, 1), "mixup": seeds(ERM, 1)})
    publish(tmp_path, [LITE, other])
    code, said, _ = agree(tmp_path)
    assert code == 0
    assert said == (
        "cifair10-common: the subsets differ: v1-lite has 0, v1 has 1; nothing is compared\n"
    )
    _, said, _ = agree(tmp_path, "--markdown")
    assert said.count("| no split has rows of the same subset under both |") == 2


def test_split_without_rows_under_both_is_an_error_or_not_explained(folder: Path):
    code, said, noted = agree(folder, "cifar100")
    assert (code, said) == (0, "v1-lite and v1 have no rows of cifar100\n")
    assert "`dcbench plan SPLIT --protocol v1` lists the runs" in noted
    shutil.rmtree(folder / "v1")
    code, said, _ = agree(folder)
    assert (code, said) == (0, "v1 has no rows of cifair10-common\n")
    shutil.rmtree(folder / "v1-lite")
    code, said, _ = agree(folder)
    assert (code, said) == (0, "there are no rows under v1-lite or v1\n")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["digitz"], "unknown split 'digitz'; did you mean digits"),
        (["--protocols", "v1,v2"], "unknown protocol 'v2'; did you mean v1"),
        (["--protocols", "v1"], "protocols 'v1': name two different ones"),
        (["--against", "ermm"], "unknown method of these leaderboards 'ermm'; did you mean erm"),
        (["--metric", "acuracy"], "unknown metric 'acuracy'; did you mean accuracy"),
        (["--metric", "nll"], "metric nll: no method has it under both v1-lite and v1"),
    ],
)
def test_wrong_use_is_not_told_in_one_line(folder: Path, arguments: list[str], told: str):
    code, said, noted = agree(folder, *arguments)
    assert (code, said) == (2, "")
    assert noted.startswith(f"error: {told}")
    assert noted.count("\n") == 1


def test_protocol_of_a_file_of_ones_own_cannot_be_compared(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    root = tmp_path / "root"
    for name in ("baselines", "splits"):
        shutil.copytree(ROOT / name, root / name)
    (root / "baselines" / "v2.yaml").write_text("name: v2\ntitle: mine\nextends: v1\n")
    publish(folder, [dataclasses.replace(FULL, protocol="v2")])
    monkeypatch.setattr("dcbench.config.protocol.shipped_root", lambda: root)
    code, said, _ = agree(folder, "--protocols", "v1,v2")
    assert code == 0
    assert line_of(said, "cifair10-common")[2:] == ["5", "1.00", "1.00", "4 of 4", "4 of 4"]
    told = "cifair10-common: v1 and v2 have the same recipe here, so their agreement says nothing"
    assert told in said.splitlines()
    _, said, _ = agree(folder, "--protocols", "v1,v2", "--markdown")
    assert "| `cifair10-common`, same recipe | 5 | 1.00 | 1.00 | 4 of 4 | 4 of 4 |" in said


MARKS = "<!-- agreement of splits: v1-lite,v1 -->\n\n<!-- agreement of methods: v1-lite,v1 -->\n"


def test_page_is_filled_with_other_tables_than_by_hand(folder: Path, tmp_path: Path):
    page = tmp_path / "page.md"
    page.write_text(f"Before.\n\n{MARKS}| old |\n|---|\n| rows |\n\n| table | of | words |\n")
    assert leaderboard("fill", str(page), "--from", str(folder), "--check")[0] == 1
    assert "| old |" in page.read_text("utf-8")
    assert leaderboard("fill", str(page), "--from", str(folder))[0] == 0
    half = f"{SPACE}±{SPACE}"
    text = page.read_text("utf-8")
    assert text == (
        "Before.\n\n"
        "<!-- agreement of splits: v1-lite,v1 -->\n"
        "| split | methods | Kendall's τ-b | Spearman's ρ | same sign | same significance |\n"
        "|---|---|---|---|---|---|\n"
        "| `cifair10-common` | 4 (2 left out) | 0.55 | 0.74 | 2 of 3 | 1 of 3 |\n\n"
        "<!-- agreement of methods: v1-lite,v1 -->\n"
        "| split | method | Accuracy (%), `v1-lite` | Accuracy (%), `v1` | − `erm`, `v1-lite` "
        "| − `erm`, `v1` | sign | significant |\n"
        "|---|---|---|---|---|---|---|---|\n"
        f"| `cifair10-common` | `remix` | 54.0 | 66.0 | +4.0{half}0.2 | +6.0{half}0.2 | same "
        "| both |\n"
        f"| `cifair10-common` | `regmixup` | 53.0 | 66.0 | +3.0{half}0.2 | +6.0{half}14.9 | same "
        "| under `v1-lite` alone |\n"
        f"| `cifair10-common` | `mixup` | 52.0 | 58.0 | +2.0{half}2.5 | −2.0{half}0.2 | different "
        "| under `v1` alone |\n"
        "| `cifair10-common` | `erm` | 50.0 | 60.0 | – | – | – | – |\n\n"
        "| table | of | words |\n"
    )
    assert leaderboard("fill", str(page), "--from", str(folder), "--check")[0] == 0


def test_line_that_is_gone_from_a_page_is_no_difference(folder: Path, tmp_path: Path):
    page = tmp_path / "page.md"
    page.write_text("<!-- agreement of splits: v1-lite,v1 -->")
    leaderboard("fill", str(page), "--from", str(folder))
    text = page.read_text("utf-8")
    page.write_text(f"{text}\n| `cifair10` | 9 |\n\nAfter.")
    code, said, _ = leaderboard("fill", str(page), "--from", str(folder), "--check")
    assert code == 1
    assert said == f"{page}: gone: | `cifair10` | 9 |\n"


def test_printed_mark_asks_for_another_table(folder: Path, tmp_path: Path):
    options = [
        "--against",
        "mixup",
        "--metric",
        "ece15",
        "--protocols",
        "v1,v1-lite",
        "cifair10-common",
    ]
    code, said, _ = agree(folder, "--markdown", *options)
    assert code == 0
    mark = "<!-- agreement of splits: v1,v1-lite on cifair10-common against mixup by ece15 -->"
    assert said.startswith(f"{mark}\n| split |")
    page = tmp_path / "page.md"
    page.write_text(said, "utf-8")
    assert leaderboard("fill", str(page), "--from", str(folder), "--check")[0] == 0


def test_hostile_name_of_a_method_breaks_a_table(folder: Path, tmp_path: Path):
    name = "a|b`<i>"
    for each in (LITE, FULL):
        runs, table = (
            one.replace({"method": {"mixup": name}}) for one in (each.runs, each.summary)
        )
        publish(folder, [dataclasses.replace(each, runs=runs, summary=table)])
    _, said, _ = agree(folder, "--markdown")
    assert "| `cifair10-common` | a\\|b\\`&lt;i&gt; | 52.0 | 58.0 |" in said


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("<!-- agreement: v1-lite,v1 -->", "line 2: write <!-- agreement of splits: PROTOCOL"),
        ("<!-- agreement of runs: v1-lite,v1 -->", "line 2: write <!-- agreement of splits"),
        ("<!-- agreement of splits: v1 -->", "line 2: protocols 'v1': name two different"),
        ("<!-- agreement of splits: v1,v1-lite on digitz -->", "line 2: unknown split 'digitz'"),
    ],
)
def test_mark_that_cannot_be_read_is_not_named_by_its_line(
    folder: Path, tmp_path: Path, line: str, told: str
):
    page = tmp_path / "page.md"
    page.write_text(f"Words.\n{line}\n")
    code, _, noted = leaderboard("fill", str(page), "--from", str(folder))
    assert code == 2
    assert f"{page}, {told}" in noted


def test_published_boards_are_left_out():
    code, said, _ = leaderboard("agree", "--json")
    found = json.loads(said)
    under = {
        path.stem: path.parents[1].name
        for path in (paths.shipped_root() / "leaderboard").glob("*/runs/*.csv")
    }
    assert code == 0
    compared = {each["split"] for each in found["splits"]}
    assert compared | found["lacking"].keys() == under.keys()
