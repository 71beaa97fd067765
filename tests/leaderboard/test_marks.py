"""What becomes of rows, and the tiers that they earn."""

import json
import re
import shutil
from contextlib import contextmanager
from pathlib import Path

import pytest
from typer.testing import CliRunner

from dcbench.cli import app
from dcbench.errors import RunError, UsageError
from dcbench.leaderboard import files as board_files
from dcbench.leaderboard.build import build
from dcbench.leaderboard.changelog import entries_of, list_lines, parse_entry, standings_from
from dcbench.leaderboard.checks import check
from dcbench.leaderboard.confirm import confirm_recomputed, confirm_rerun
from dcbench.leaderboard.marks import mark
from dcbench.leaderboard.migrate import migrate
from dcbench.metrics.measure import measure
from dcbench.records import files
from dcbench.records.files import RECORD
from tests.leaderboard.tampering import edit, predictions, put, rows_of, runs, set_cell, summary


def command(*arguments: object) -> tuple[int, str, str]:
    words = ["leaderboard", *(str(each) for each in arguments)]
    result = CliRunner().invoke(app, words)
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result.exit_code, result.stdout, " ".join(result.stderr.split())


def cells(board: Path, column: str, method: str = "erm") -> list[str]:
    return [row[column] for row in rows_of(runs(board)) if row["method"] == method]


def problems(board: Path, **options) -> list[str]:
    return check(board, **options).problems


@pytest.mark.parametrize(
    "line",
    [
        "- 2026-11-28, v1/digits, subset 0, method erm, seed 3, disputed: why",
        "- 2026-11-28, v1-lite/cifair10-common, subset 2, method ic-remix[tau=0.1], "
        "seeds 0-2, rerun: by others, twice",
        "- 2026-11-28, v1/digits, subset 0, method erm, seeds 0,2,5, missing: no time",
        "- v1/digits, subset 0, method erm, seeds 0-2: as it was written before",
    ],
)
def test_line_of_the_changelog_is_read_as_it_is_written(line):
    assert parse_entry(line).line == line


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("- 2026-11-28, v1/digits, subset 0, method erm, seed 3: why", "with one of superseded"),
        ("- v1/digits, subset 0, method erm, seed 3, disputed: why", "with one of superseded"),
        ("- 2026-11-28, v1/digits, subset 0, method erm, seed 3, better: why", "with one of"),
        ("- 2026-13-28, v1/digits, subset 0, method erm, seed 3, disputed: why", "2026-13-28"),
        ("- 2026-11-28, v1/digits, subset 0, method erm, seeds 3-1, disputed: why", "backwards"),
        ("- 2026-11-28, v1/digits, subset 0, method erm, seed 3, disputed:", "should read"),
    ],
)
def test_line_that_cannot_be_read_says_what_would_be_right(line, message):
    with pytest.raises(UsageError, match=message):
        parse_entry(line)


def test_row_that_is_corrected_or_replaced_loses_the_tier_that_it_had():
    def standing(*events: str) -> tuple[str, str]:
        lines = [
            f"- 2026-11-28, v1/digits, subset 0, method erm, seed 0, {event}: why"
            for event in events
        ]
        entries, unread = entries_of(lines)
        assert not unread
        [found] = standings_from(entries).values()
        return tuple(found)

    assert standing("recomputed", "rerun") == ("rerun", "current")
    assert standing("rerun", "recomputed") == ("rerun", "current")
    assert standing("recomputed", "disputed") == ("recomputed", "disputed")
    assert standing("disputed", "current") == ("claimed", "current")
    assert standing("rerun", "superseded") == ("claimed", "current")
    assert standing("rerun", "corrected") == ("claimed", "current")


def test_disputed_row_counts_and_says_so_until_the_doubt_is_answered(whole: Path):
    before = rows_of(summary(whole))
    code, said, _ = command(
        *("mark", "v1/digits", "--method", "erm", "--seeds", "3,5", "--state", "disputed"),
        *("--reason", "the loss  rises", "-o", whole),
    )
    assert code == 0
    assert said.strip().endswith("method erm, seeds 3,5, disputed: the loss rises")
    assert cells(whole, "state") == ["disputed" if n in (3, 5) else "current" for n in range(10)]
    assert rows_of(summary(whole)) == before
    assert problems(whole) == []
    set_cell(runs(whole), 3, state="current")
    [found] = problems(whole)
    assert "seed 3): state='current', but" in found
    assert "says 'disputed'" in found
    migrate(whole)
    assert problems(whole) == []
    assert (
        command(
            *("mark", "v1/digits", "--method", "erm", "--seeds", "3,5", "--state", "current"),
            *("--reason", "it was the schedule", "-o", whole),
        )[0]
        == 0
    )
    assert set(cells(whole, "state")) == {"current"}


def test_dry_run_of_a_mark_writes_nothing(whole: Path):
    before = runs(whole).read_bytes()
    mark = ("mark", "v1/digits", "--method", "erm", "--seeds", "0", "--state", "withdrawn")
    code, said, aside = command(*mark, "--reason", "why", "-o", whole, "--dry-run")
    assert (code, runs(whole).read_bytes()) == (0, before)
    assert "withdrawn: why" in said
    assert "nothing is written yet" in aside
    assert not (whole / "CHANGELOG.md").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"board": "v1/digit"}, "did you mean v1/digits"),
        ({"method": "mixap"}, "has no row"),
        ({"seeds": "0-10"}, "method erm, seed 10 has no row"),
        ({"state": "gone"}, "unknown event 'gone'"),
        ({"reason": " "}, "--reason: say why"),
        ({"state": "missing"}, "is there"),
    ],
)
def test_mark_of_what_is_not_there_is_wrong_use(whole: Path, options, message):
    asked = {"board": "v1/digits", "method": "erm", "seeds": "0", "state": "disputed"}
    asked |= {"reason": "why", **options}
    board = asked.pop("board")
    words = [word for key, value in asked.items() for word in (f"--{key}", value)]
    code, _, error = command("mark", board, *words, "-o", whole)
    assert code == 2
    assert message in error


@pytest.mark.parametrize(
    "words",
    [
        ("mark", "v1/digits", "--method", "erm", "--seeds", "0", "--state", "disputed"),
        ("confirm", "--results", "{results}"),
        ("confirm", "--results", "{results}", "--rerun", "--spread", "0.1"),
        ("build", "--results", "{results}", "--replace"),
    ],
)
def test_reason_becomes_one_line_of_the_changelog_or_is_refused(whole: Path, tmp_path: Path, words):
    again(tmp_path / "again", 0, share=0.01)
    if words[0] == "confirm" and "--rerun" not in words:
        build(tmp_path / "again", whole, replace=True)
    words = [word.format(results=tmp_path / "again") for word in words]
    code, _, error = command(*words, "--reason", " \n", "-o", whole)
    assert (code, "--reason: say why" in error) == (2, True)
    assert not (whole / "CHANGELOG.md").exists()
    assert command(*words, "--reason", "one\n- two", "-o", whole)[0] == 0
    [entry], unread = entries_of(list_lines((whole / "CHANGELOG.md").read_text()))
    assert entry.reason.startswith("one - two")
    assert not unread


def test_line_for_a_run_that_none_can_be_is_refused(whole: Path):
    with pytest.raises(UsageError, match=r"method a b, .*should read"):
        mark(whole, "v1/digits", "a b", [0], "missing", "why")


def test_row_that_is_built_while_a_mark_waits_stays(whole: Path, tmp_path: Path, monkeypatch):
    put(tmp_path / "more", "cutmix", 0, 300)

    @contextmanager
    def waiting(folder: Path):
        build(tmp_path / "more", folder)
        yield

    monkeypatch.setattr(board_files, "locked", waiting)
    mark(whole, "v1/digits", "erm", [3], "withdrawn", "why")
    assert cells(whole, "seed", "cutmix") == ["0"]
    assert "3" not in cells(whole, "seed")


def test_row_that_is_replaced_while_a_confirmation_waits_is_not_confirmed(
    made: Path, whole: Path, tmp_path: Path, monkeypatch
):
    put(tmp_path / "other", "erm", 3, 700)

    @contextmanager
    def waiting(folder: Path):
        build(tmp_path / "other", folder, replace=True)
        yield

    monkeypatch.setattr(board_files, "locked", waiting)
    found = confirm_recomputed(whole, made / "results", "why")
    assert any("seed 3): the record in" in each for each in found.problems)
    assert set(cells(whole, "tier")) == {"claimed"}


def test_run_that_was_withdrawn_is_not_built_again(made: Path, whole: Path):
    mark(whole, "v1/digits", "erm", [3], "withdrawn", "why")
    before = runs(whole).read_bytes()
    for replace in (False, True):
        [board] = build(made / "results", whole, replace=replace).boards
        assert (board.withdrawn, board.other, board.added) == (((0, "erm", 3),), (), 0)
        assert runs(whole).read_bytes() == before
    code, _, aside = command("build", "--results", made / "results", "-o", whole)
    assert code == 0
    assert "left out, withdrawn: erm (seed 3)" in aside
    runs(whole).unlink()
    put(whole.parent / "alone", "erm", 3, 3)
    with pytest.raises(RunError, match=r"runs/digits\.csv: would have no row"):
        build(whole.parent / "alone", whole)


def test_withdrawn_row_that_is_back_is_named_and_can_be_withdrawn_again(whole: Path):
    before = runs(whole).read_bytes()
    mark(whole, "v1/digits", "erm", [3], "withdrawn", "why")
    runs(whole).write_bytes(before)
    migrate(whole)
    [found] = problems(whole)
    assert found.startswith(f"{runs(whole)} (subset 0, method erm, seed 3): is in retired/ too")
    mark(whole, "v1/digits", "erm", [3], "withdrawn", "why")
    assert problems(whole) == []
    assert [row["seed"] for row in rows_of(whole / "v1/retired/digits.csv")] == ["3"]


def test_run_that_is_replaced_twice_is_kept_once(whole: Path, tmp_path: Path):
    put(tmp_path / "b", "erm", 0, 700)
    put(tmp_path / "a", "erm", 0, 0)
    for name in ("b", "a", "b"):
        build(tmp_path / name, whole, replace=True, reason="why")
    assert problems(whole) == []
    mark(whole, "v1/digits", "erm", [0], "withdrawn", "why")
    assert problems(whole) == []
    states = [row["state"] for row in rows_of(whole / "v1/retired/digits.csv")]
    assert sorted(states) == ["superseded", "withdrawn"]


def test_tier_that_nobody_has_said_is_named(whole: Path):
    set_cell(runs(whole), 0, tier="rerun")
    [found] = problems(whole)
    assert "seed 0): tier='rerun', but" in found
    assert "says 'claimed'" in found


def test_rows_whose_runs_are_given_and_hold_become_recomputed(made: Path, whole: Path):
    code, said, _ = command(
        *("confirm", "--results", made / "results", "--reason", "runs at example.org", "-o", whole)
    )
    assert code == 0
    assert len(said.splitlines()) == 3
    assert "method erm, seeds 0-9, recomputed: runs at example.org" in said
    assert set(cells(whole, "tier")) == {"recomputed"}
    assert problems(whole, predictions=made / "results") == []
    before = runs(whole).read_bytes()
    code, said, aside = command(
        *("confirm", "--results", made / "results", "--reason", "again", "-o", whole)
    )
    assert (code, said, runs(whole).read_bytes()) == (0, "", before)
    assert "no row's tier rises" in aside
    build(made / "results", whole)
    assert runs(whole).read_bytes() == before


def test_nothing_is_confirmed_where_one_run_speaks_against_its_row(made: Path, whole: Path):
    set_cell(runs(whole), 2, nll="0.000001")
    before = runs(whole).read_bytes()
    code, said, error = command(
        *("confirm", "--results", made / "results", "--reason", "why", "-o", whole)
    )
    assert code == 1
    assert "nll='0.000001', the predictions give" in said
    assert "nothing is confirmed: 1 problems" in error
    assert runs(whole).read_bytes() == before


def again(results: Path, seed: int, share: float, device: str = "another machine") -> None:
    """Seed `seed` of `erm`, trained elsewhere: `share` of the images come out otherwise."""
    put(results, "erm", seed, seed)
    folder = results / f"erm/{seed}"
    made = predictions(seed)
    count = round(share * len(made.labels))
    right = [n for n in range(len(made.labels)) if made.logits[n].argmax() == made.labels[n]]
    for n in right[:count]:
        made.logits[n, made.labels[n]] -= 20
    stored = files.write_predictions(folder, made).model_dump()
    metrics = measure(made, long_tailed=False, ood_sets=("gaussian", "uniform"))
    content = json.loads((folder / RECORD).read_text())
    content["cost"]["device"] = device
    content |= {"predictions": stored, "metrics": metrics.model_dump(mode="json")}
    (folder / RECORD).write_text(json.dumps(content))


def test_run_of_another_machine_within_the_spread_makes_a_row_rerun(whole: Path, tmp_path: Path):
    again(tmp_path / "again", 4, share=0.01)
    found = confirm_rerun(whole, tmp_path / "again", "trained by others", spread=0.02)
    assert found.problems == []
    [entry] = found.entries
    assert entry.seeds == (4,)
    assert entry.reason == (
        "trained by others; accuracy differs by up to 0.0100, machines by 0.0200"
    )
    assert cells(whole, "tier") == ["rerun" if n == 4 else "claimed" for n in range(10)]
    assert problems(whole) == []


@pytest.mark.parametrize(
    ("share", "device", "message"),
    [
        (0.05, "another machine", r"accuracy differs by -0\.0501"),
        (0.01, "a processor, 2 threads", "trained on the same device"),
        (0, "another machine", "the run of the row itself, or a copy"),
    ],
)
def test_run_that_is_too_far_or_not_of_another_machine_confirms_nothing(
    whole: Path, tmp_path: Path, share, device, message
):
    again(tmp_path / "again", 4, share=share, device=device)
    code, said, _ = command(
        *("confirm", "--results", tmp_path / "again", "--reason", "why", "-o", whole),
        *("--rerun", "--spread", "0.02"),
    )
    assert code == 1
    assert re.search(message, said)
    assert set(cells(whole, "tier")) == {"claimed"}


def test_spread_between_machines_is_measured_on_rows_that_were_superseded(
    whole: Path, tmp_path: Path
):
    again(tmp_path / "again", 4, share=0.01)
    with pytest.raises(UsageError, match="is not measured there: 0 runs on two devices"):
        confirm_rerun(whole, tmp_path / "again", "why")
    # Three rows whose earlier runs differ by 0.01, 0.02 and 0.02: the root mean square is
    # sqrt(0.0003) = 0.017321, and the 99.5 % quantile of Student's t with 3 degrees is 5.840909.
    apart = []
    for seed, difference in zip((0, 1, 2), (0.01, -0.02, 0.02), strict=True):
        row = rows_of(runs(whole))[seed]
        accuracy = f"{float(row['accuracy']) + difference:.6f}"
        changes = {"accuracy": accuracy, "device": "an old machine", "state": "superseded"}
        apart.append({**row, **changes, "predictions_sha256": f"{seed:064d}"})
    # A row that was withdrawn is no measurement.
    apart.append({**apart[0], "accuracy": "0.100000", "state": "withdrawn", "seed": "3"})
    (whole / "v1/retired").mkdir()
    shutil.copy(runs(whole), whole / "v1/retired/digits.csv")
    edit(whole / "v1/retired/digits.csv", lambda rows: (rows.clear(), rows.extend(apart)))
    [entry] = confirm_rerun(whole, tmp_path / "again", "why", dry_run=True).entries
    assert entry.reason.endswith("machines by 0.1012")


def test_confirming_with_runs_of_no_row_is_wrong_use(whole: Path, tmp_path: Path):
    put(tmp_path / "results", "cutmix", 0, 777)
    for confirm in (confirm_recomputed, confirm_rerun):
        with pytest.raises(UsageError, match="holds no run of any row"):
            confirm(whole, tmp_path / "results", "why")


def test_seeds_that_lack_before_later_ones_need_a_reason(whole: Path, tmp_path: Path):
    for seed in (0, 1, 3, 6):
        put(tmp_path / "more", "cutmix", seed, 300 + seed)
    build(tmp_path / "more", whole)
    [found] = problems(whole)
    assert "(subset 0, method cutmix): seeds 2,4,5 are lacking though later ones are" in found
    asked = ("mark", "v1/digits", "--method", "cutmix", "--state", "missing", "-o", whole)
    assert command(*asked, "--seeds", "2,4,5", "--reason", "the machine was shut down")[0] == 0
    assert problems(whole) == []
    shutil.copytree(whole, tmp_path / "before")
    (whole / "CHANGELOG.md").write_text("")
    # Rows that were published so are not asked for a reason again; the line that is gone is.
    assert all("a line is gone" in each for each in problems(whole, base=str(tmp_path / "before")))
    assert list_lines((tmp_path / "before/CHANGELOG.md").read_text())
