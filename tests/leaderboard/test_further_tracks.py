"""Another network, another augmentation, further images: on tracks of their own, or nowhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import dcbench
from dcbench.cli import app
from dcbench.data.splits import load_split
from dcbench.leaderboard.boards import load_board
from dcbench.leaderboard.build import build
from dcbench.leaderboard.checks import check
from dcbench.leaderboard.submission import pack
from dcbench.leaderboard.tables import read_rows
from dcbench.leaderboard.tracks import by_track, is_taken, track_of, track_of_label
from dcbench.metrics.measure import measure
from dcbench.records import files
from dcbench.records.files import read_record
from dcbench.records.schema import Record
from dcbench.runs.again import plan_again
from tests.leaderboard.submission.conftest import command
from tests.leaderboard.tampering import predictions, put, runs, set_cell
from tests.records.test_store import DIGITS, a_record

EXTRA = """\
from typing import ClassVar

from torch.nn.functional import cross_entropy

from dcbench.methods import Method


class Borrowed(Method):
    extra_data: ClassVar[str] = "imagenet-1k"

    def loss(self, network, batch):
        return cross_entropy(network(batch.images) / 2, batch.labels)
"""


def custom(seed: int = 0, drawn: int = 0, **changes: Any) -> Record:
    """A record of `erm` with rotated images, unless it is said otherwise."""
    return a_record(
        **{
            "status": "custom",
            "departures": ["rotation=10.0 instead of 0.0"],
            "label": "erm[rotation=10.0]",
            "recipe": {**DIGITS, "rotation": 10.0},
            "seed": seed,
            "index_sha256": load_split("digits", 0).hashes.index_sha256,
            "metrics": measure(
                predictions(drawn), long_tailed=False, ood_sets=("gaussian", "uniform")
            ),
            **changes,
        }
    )


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """Ten seeds of `erm` and of `mixup`, and ten of `erm` with rotated images."""
    folder = tmp_path / "results"
    for seed in range(10):
        put(folder, "erm", seed, seed)
        put(folder, "mixup", seed, 100 + seed)
        run = folder / "rotated" / str(seed)
        run.mkdir(parents=True)
        stored = files.write_predictions(run, predictions(200 + seed))
        files.write_record(run, custom(seed, 200 + seed, predictions=stored.model_dump()))
    return folder


def test_custom_run_is_taken_where_nobody_asks(results: Path, tmp_path: Path):
    built = build(results, tmp_path / "board")
    assert len(built.custom) == 10
    rows = read_rows(runs(tmp_path / "board"))
    assert {row["method"] for row in rows} == {"erm", "mixup"}
    assert "track" not in rows[0]


def test_open_runs_are_ranked_with_closed_ones(results: Path, tmp_path: Path):
    board = tmp_path / "board"
    alone = build(results, tmp_path / "alone").boards[0].summary.set_index("method")
    build(results, board, further=True)
    tracks = dict(by_track(load_board("digits", "v1", board).runs))
    assert list(tracks) == ["default"]
    opened = load_board("digits", "v1", board, track="open").summary
    assert opened["method"].tolist() == ["erm[rotation=10.0]"]
    assert opened["rank"].tolist() == [1]
    assert opened["tied"].tolist() == [""]
    closed = load_board("digits", "v1", board).summary.set_index("method")
    assert closed["rank"].equals(alone["rank"])
    assert closed["tied"].equals(alone["tied"])
    assert check(board).problems == []


def test_open_row_is_called_closed(results: Path, tmp_path: Path):
    board = tmp_path / "board"
    build(results, board, further=True)
    rows = read_rows(runs(board))
    number = next(at for at, row in enumerate(rows) if row["track"] == "open")
    set_cell(runs(board), number, track="default")
    found = check(board).problems
    assert any(
        "track='default': should be open, as the method's name says" in each for each in found
    )
    set_cell(runs(board), number, track="open", method="erm", seed="9")
    assert any("a custom run: no leaderboard takes it" in each for each in check(board).problems)


@pytest.mark.parametrize(
    ("label", "track"),
    [
        ("erm", "default"),
        ("ic-mixup[axes=class]", "default"),
        ("erm[model=wrn-28-10]", "open"),
        ("ic-mixup[axes=class,flip=True]", "open"),
        ("erm[tuned=50-1a2b3c4d]", "tuned(50)"),
        ("erm[model=wrn-28-10,tuned=50-1a2b3c4d]", "open"),
        ("mine[extra=imagenet-1k]", "extra-data"),
        ("mine[extra=imagenet-1k,model=wrn-28-10]", "extra-data"),
    ],
)
def test_label_says_another_track(label: str, track: str):
    assert track_of_label(label) == track


@pytest.mark.parametrize(
    "changes",
    [
        {"label": "erm[epochs=9]", "departures": ["epochs=9 instead of 60"]},
        {"departures": ["rotation=10.0 instead of 0.0", "epochs=9 instead of 60"]},
        {"departures": ["rotation=10.0 instead of 0.0", "seed 77 is not among those that …"]},
        {"departures": ["rotation=10.0 instead of 0.0", "OOD set gaussian is missing"]},
        {"departures": ["rotation=10.0 instead of 0.0", "extra data: imagenet-1k"]},
    ],
)
def test_run_that_departs_in_more_is_taken(changes: dict[str, Any]):
    assert is_taken(custom())
    assert track_of(custom()) == "open"
    assert not is_taken(custom(**changes))


def test_method_with_further_images_stands_beside_others(tmp_path: Path):
    code = tmp_path / "extra.py"
    code.write_text(EXTRA)
    options = {"protocol": "v1-lite", "device": "cpu", "settings": {"rotation": 5}}
    dcbench.run("erm", "digits", results=tmp_path / "mine", **options)
    record = dcbench.run(f"{code}:Borrowed", "digits", results=tmp_path / "mine", **options)
    assert record.label == "borrowed[extra=imagenet-1k,rotation=5.0]"
    assert record.departures == ("rotation=5.0 instead of 0.0", "extra data: imagenet-1k")
    words = ("pack", tmp_path / "mine", "-o", tmp_path / "x.zip")
    code_, _, said = command(*words)
    assert code_ == 2
    assert "--open takes 2 of them" in said
    pack(tmp_path / "mine", tmp_path / "x.zip", sources=[code], further=True)
    words = ("verify", tmp_path / "x.zip", "--unpack", tmp_path / "unpacked")
    code_, shown, said = command(*words)
    assert code_ == 0, shown + said
    assert "--open` adds the rows" in said
    build_ = ["leaderboard", "build", "--results", tmp_path / "unpacked", "-o", tmp_path / "board"]
    assert CliRunner().invoke(app, [*map(str, build_), "--open"]).exit_code == 0
    rows = read_rows(tmp_path / "board/v1-lite/runs/digits.csv")
    assert {(row["method"], row["track"]) for row in rows} == {
        ("borrowed[extra=imagenet-1k,rotation=5.0]", "extra-data"),
        ("erm[rotation=5.0]", "open"),
    }


def test_open_run_is_trained_again_by_another_recipe_or_by_a_network_that_nobody_has(
    tmp_path: Path,
):
    options = {"protocol": "v1-lite", "device": "cpu", "settings": {"rotation": 5}}
    dcbench.run("erm", "digits", results=tmp_path / "mine", **options)
    [path] = (tmp_path / "mine").rglob("record.json")
    record = read_record(path)
    plan = plan_again(record)
    assert plan.choice.recipe.rotation == 5
    assert plan.choice.label == "erm[rotation=5.0]"

    unknown = record.model_copy(
        update={
            "recipe": record.recipe.model_copy(update={"model": "no-such-net", "rotation": 0.0}),
            "label": "erm[model=no-such-net]",
            "departures": ("model=no-such-net instead of digits-cnn",),
        }
    )
    files.write_record(path.parent, unknown)
    pack(tmp_path / "mine", tmp_path / "x.zip", further=True)
    code, shown, _ = command("verify", tmp_path / "x.zip")
    assert code == 1
    assert "no-such-net is no network of dcbench's" in shown
