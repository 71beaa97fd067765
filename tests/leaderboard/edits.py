"""Dishonest and careless edits of a published folder: what is done, and what has to catch it.

`given` says what the check has to be given: `rows` alone, the `predictions` and records of the new
rows, or the `weights` and images too. `tier` names the evidence that covers what no check can see.
"""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pytest

from dcbench.config.protocol import Protocol
from dcbench.leaderboard.checks import read
from dcbench.leaderboard.rows import row_of
from dcbench.records.files import (
    HISTORY,
    PREDICTIONS,
    RECORD,
    WEIGHTS,
    read_record,
    write_record,
)
from dcbench.records.schema import Record
from tests.leaderboard.published import PUBLISHED, SUBMITTED, Published, git
from tests.leaderboard.tampering import set_cell

Given = Literal["rows", "predictions", "weights"]


@dataclass(frozen=True)
class Edit:
    """An edit, and the words of the problem that has to name it."""

    name: str
    do: Callable[[Published], object]
    given: Given
    said: str = ""
    tier: str = ""


PATCH = pytest.MonkeyPatch()
"""Undone after each edit."""


# --- rows -------------------------------------------------------------------------------------


def swapped(board: Published, column: str, method: str = SUBMITTED) -> None:
    one, other = board.row(method, 0)[column], board.row(method, 1)[column]
    board.set(method, 0, **{column: other})
    board.set(method, 1, **{column: one})


def swapped_methods(board: Published) -> None:
    """Each row under the name of the other method, the published one under its own."""

    def change(rows: list[dict[str, str]]) -> None:
        for row in rows:
            row["method"] = PUBLISHED if row["method"] == SUBMITTED else SUBMITTED

    board.rows(change)


def without(board: Published, method: str, seed: int) -> None:
    board.rows(
        lambda rows: rows.remove(
            next(row for row in rows if (row["method"], row["seed"]) == (method, str(seed)))
        )
    )


def under_another_seed(board: Published) -> None:
    copy = {**board.row(SUBMITTED, 2), "seed": "3"}
    board.rows(lambda rows: rows.append(copy))


def with_the_predictions_of_erm(board: Published) -> None:
    copied = board.row(PUBLISHED, 1)
    same = {name: cell for name, cell in copied.items() if name not in ("method", "seed", "subset")}
    board.replace_row(SUBMITTED, 1, same)


def invented_row(board: Published) -> None:
    row = {**board.row(SUBMITTED, 2), "seed": "3", "predictions_sha256": "f" * 64}
    board.rows(lambda rows: rows.append({**row, "accuracy": "0.950000"}))


def better_run(board: Published) -> None:
    """The row of a published run, from another training that went better."""
    board.set(PUBLISHED, 0, accuracy="0.910000", predictions_sha256="e" * 64)


def with_sets_never_predicted(board: Published, method: str = SUBMITTED) -> None:
    """Numbers of image sets in a row whose run has predictions of none of them."""

    def change(rows: list[dict[str, str]]) -> None:
        for row in rows:
            own = (row["method"], row["seed"]) == (method, "0")
            for name in ("ood.near.msp.auroc", "shift.corruptions.accuracy"):
                row[name] = "0.950000" if own else ""

    board.rows(change)


def published_row_filled(board: Published) -> None:
    with_sets_never_predicted(board, PUBLISHED)
    shutil.rmtree(board.run(PUBLISHED, 0))


def tampered_before_the_last_commit(board: Published) -> None:
    board.set(PUBLISHED, 0, accuracy="0.910000")
    board.commit("tidied")
    with board.changelog.open("a") as file:
        file.write("\nMore words.\n")
    board.commit("words")


def shallow(board: Published) -> None:
    """A clone of the last commit alone, in which a published row is better than it was."""
    board.set(PUBLISHED, 0, accuracy="0.910000")
    board.commit("tidied")
    kept = board.root / "kept"
    git(board.root, "clone", "--depth", "1", f"file://{board.root}", str(kept))
    shutil.rmtree(board.root / ".git")
    shutil.move(kept / ".git", board.root / ".git")


# --- rules ------------------------------------------------------------------------------------


def other_frozen_rule(board: Published) -> None:
    path = board.board / "v1/protocol.yaml"
    path.write_text(path.read_text().replace("epochs: 60", "epochs: 120"))


def other_rule_everywhere(board: Published) -> None:
    """The protocol itself says otherwise now, and the frozen rules with it."""
    other_frozen_rule(board)
    true = read.load_protocol

    def changed(name: str) -> Protocol:
        rules = true(name)
        entry = rules.recipes["digits"]
        training = entry.training.model_copy(update={"epochs": 120})
        recipes = {**rules.recipes, "digits": entry.model_copy(update={"training": training})}
        return rules.model_copy(update={"recipes": recipes})

    PATCH.setattr(read, "load_protocol", changed)


def custom_called_protocol(board: Published) -> None:
    board.record(SUBMITTED, 1, recipe__epochs=30)
    history(board, lambda lines: lines[:30])


def departures_that_are_hidden(board: Published) -> None:
    board.record(SUBMITTED, 1, departures=["ood.gaussian is missing"])


def setting_that_the_name_hides(board: Published) -> None:
    board.record(SUBMITTED, 1, settings={"alpha": 0.2})


def seed_that_is_not_asked(board: Published) -> None:
    board.rows(lambda rows: rows.append({**rows[0], "seed": "17", "predictions_sha256": "a" * 64}))


# --- images -----------------------------------------------------------------------------------


def reordered_test_images(board: Published) -> None:
    def change(arrays: dict[str, np.ndarray]) -> None:
        order = np.random.default_rng(0).permutation(len(arrays["labels"]))
        arrays["labels"], arrays["logits"] = arrays["labels"][order], arrays["logits"][order]

    board.predictions(SUBMITTED, 1, change)


def hard_test_images_dropped(board: Published) -> None:
    def change(arrays: dict[str, np.ndarray]) -> None:
        right = arrays["logits"].argmax(axis=1) == arrays["labels"]
        kept = np.flatnonzero(right | (np.arange(len(right)) % 2 == 0))
        arrays["labels"], arrays["logits"] = arrays["labels"][kept], arrays["logits"][kept]

    board.predictions(SUBMITTED, 1, change)
    count = len(np.load(board.run(SUBMITTED, 1) / PREDICTIONS)["labels"])
    board.record(SUBMITTED, 1, data__test__images=count)


def labels_as_predicted(board: Published) -> None:
    def change(arrays: dict[str, np.ndarray]) -> None:
        arrays["labels"][:200] = arrays["logits"][:200].argmax(axis=1)

    board.predictions(SUBMITTED, 1, change)


def other_class_counts(board: Published) -> None:
    board.predictions(SUBMITTED, 1, lambda arrays: arrays["class_counts"].__setitem__(0, 150))


def unverified_images_not_named(board: Published) -> None:
    board.record(SUBMITTED, 1, data__test__official=False)
    board.set(SUBMITTED, 1, unverified_data="")


# --- runs -------------------------------------------------------------------------------------


def history(board: Published, change: Callable[[list[list[str]]], list[list[str]]]) -> None:
    path = board.run(SUBMITTED, 1) / HISTORY
    with path.open(newline="") as file:
        header, *lines = csv.reader(file)
    with path.open("w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([header, *change(lines)])


def low_from_the_start(lines: list[list[str]]) -> list[list[str]]:
    """Losses as of a network that had been trained before."""
    return [[epoch, str(float(loss) / 20), *rest] for epoch, loss, *rest in lines]


def constant_rate(lines: list[list[str]]) -> list[list[str]]:
    return [[epoch, loss, "0.05", seconds] for epoch, loss, _, seconds in lines]


def raised_everywhere(board: Published) -> None:
    """A better accuracy in the record and in the row."""
    board.record(SUBMITTED, 1, metrics__accuracy=0.95)


def nudged(board: Published) -> None:
    def change(arrays: dict[str, np.ndarray]) -> None:
        wrong = np.flatnonzero(arrays["logits"].argmax(axis=1) != arrays["labels"])[:60]
        arrays["logits"][wrong, arrays["labels"][wrong]] = arrays["logits"][wrong].max(axis=1) + 1

    board.predictions(SUBMITTED, 1, change)


def invented_ood(board: Published) -> None:
    def change(arrays: dict[str, np.ndarray]) -> None:
        arrays["ood_gaussian"] = arrays["ood_gaussian"] / 50

    board.predictions(SUBMITTED, 1, change)


def weights_of_another(board: Published) -> None:
    shutil.copy(board.run(SUBMITTED, 0) / WEIGHTS, board.run(SUBMITTED, 1) / WEIGHTS)


def copied_training(board: Published) -> None:
    """Another seed's weights under this seed, with predictions moved by a hair."""
    weights_of_another(board)
    copied = read_record(board.run(SUBMITTED, 0))
    board.record(SUBMITTED, 1, model=copied.model.model_dump())


def best_of_many(board: Published, *, initial: bool = False) -> None:
    """Seed 1 is in truth the training of another seed, which went better."""
    better, own = (read_record(each / RECORD) for each in (board.better, board.run(SUBMITTED, 1)))
    for name in (HISTORY, WEIGHTS, PREDICTIONS):
        shutil.copy(board.better / name, board.run(SUBMITTED, 1) / name)
    content = {**better.model_dump(mode="json"), "seed": 1}
    if initial:
        content |= {"initial_weights": own.model_dump(mode="json")["initial_weights"]}
    record = Record.model_validate(content)
    write_record(board.run(SUBMITTED, 1), record)
    board.replace_row(SUBMITTED, 1, row_of(record))


def copy_with_a_footnote(board: Published) -> None:
    """`erm` under the name of a method that is said to be the same."""
    for seed in (0, 1, 2):
        for name in (HISTORY, WEIGHTS, PREDICTIONS):
            shutil.copy(board.run(PUBLISHED, seed) / name, board.run(SUBMITTED, seed) / name)
        content = json.loads((board.run(PUBLISHED, seed) / RECORD).read_text())
        own = json.loads((board.run(SUBMITTED, seed) / RECORD).read_text())
        content |= {key: own[key] for key in ("method", "settings", "label")}
        record = Record.model_validate(content)
        write_record(board.run(SUBMITTED, seed), record)
        note = f"same predictions as {PUBLISHED}"
        board.replace_row(SUBMITTED, seed, row_of(record, note))


def predictions_left_out(board: Published) -> None:
    shutil.rmtree(board.run(SUBMITTED, 1))


# --- tables and words --------------------------------------------------------------------------


def changelog(board: Published, line: str) -> None:
    with board.changelog.open("a") as file:
        file.write(f"{line}\n")


def changelog_line_removed(board: Published) -> None:
    board.changelog.write_text("# Changes of rows\n")


EDITS = (
    # Rows
    Edit(
        "raised accuracy of a published row",
        lambda board: board.set(PUBLISHED, 0, accuracy="0.910000"),
        "rows",
        r"accuracy='0.910000', but it was",
    ),
    Edit(
        "raised accuracy of a new row",
        lambda board: board.set(SUBMITTED, 0, accuracy="0.910000"),
        "predictions",
        r"accuracy='0.910000', (the predictions give|but its record gives)",
    ),
    Edit(
        "accuracies of two seeds swapped",
        lambda board: swapped(board, "accuracy"),
        "predictions",
        r"seed 0\): accuracy=.* (the predictions give|but its record gives)",
    ),
    Edit(
        "predictions of two seeds swapped",
        lambda board: swapped(board, "predictions_sha256"),
        "predictions",
        "its predictions are those of another run",
    ),
    Edit("rows of two methods swapped", swapped_methods, "rows", "but it was"),
    Edit(
        "a bad seed of a published method deleted",
        lambda board: without(board, PUBLISHED, 1),
        "rows",
        "the row is gone",
    ),
    Edit(
        "a bad seed of a new method left out",
        lambda board: without(board, SUBMITTED, 1),
        "rows",
        "seed 1 is lacking",
    ),
    Edit("a run under another seed", under_another_seed, "rows", "has the predictions of"),
    Edit(
        "another method's predictions", with_the_predictions_of_erm, "rows", "has the predictions"
    ),
    Edit("a row of no run", invented_row, "predictions", "its predictions are not there"),
    Edit(
        "numbers of image sets that were never predicted",
        with_sets_never_predicted,
        "predictions",
        r"ood.near.msp.auroc='0.950000' and 1 more, the predictions give none",
    ),
    Edit(
        "empty cells of a published row filled, without its run",
        published_row_filled,
        "predictions",
        r"erm, seed 0\): its predictions are not there",
    ),
    Edit("a better run in a published row's place", better_run, "rows", "but it was"),
    Edit(
        "tampering one commit back",
        tampered_before_the_last_commit,
        "rows",
        r"accuracy='0.910000', but it was",
    ),
    Edit("tampering in a shallow clone", shallow, "rows", "shallow"),
    Edit("a seed that is not asked", seed_that_is_not_asked, "rows", "seed=17"),
    Edit(
        "images of another subset",
        lambda board: board.set(SUBMITTED, 0, index_sha256="b" * 64),
        "rows",
        "trained on other images",
    ),
    # Rules
    Edit("a frozen rule changed", other_frozen_rule, "rows", "epochs=120 was frozen"),
    Edit("a rule changed everywhere", other_rule_everywhere, "rows", "epochs=60 in .* it is 120"),
    Edit(
        "custom called protocol", custom_called_protocol, "predictions", "epochs=30 instead of 60"
    ),
    Edit(
        "departures that are hidden",
        departures_that_are_hidden,
        "predictions",
        "ood.gaussian is missing",
    ),
    Edit(
        "a setting that the name hides",
        setting_that_the_name_hides,
        "predictions",
        r"alpha=0.2 instead of 1.0",
    ),
    # Images
    Edit("test images reordered", reordered_test_images, "predictions", "labels"),
    Edit("hard test images dropped", hard_test_images_dropped, "predictions", "1197"),
    Edit("labels as they were predicted", labels_as_predicted, "predictions", "labels"),
    Edit("other class counts", other_class_counts, "predictions", "class counts"),
    Edit(
        "tested on other images",
        lambda board: board.record(SUBMITTED, 1, data__test__sha256="c" * 64),
        "predictions",
        "tested on other images",
    ),
    Edit(
        "trained on other images",
        lambda board: board.record(SUBMITTED, 1, data__fit__sha256="c" * 64),
        "predictions",
        "trained on other images",
    ),
    Edit(
        "trained on more images",
        lambda board: board.record(SUBMITTED, 1, data__fit__images=1000),
        "predictions",
        "trained on 1000 images",
    ),
    Edit(
        "unverified images not named",
        unverified_images_not_named,
        "predictions",
        "unverified_data=''",
    ),
    # What a row says of its run
    *(
        Edit(
            f"{column} that is not the record's",
            lambda board, column=column, cell=cell: board.set(SUBMITTED, 0, **{column: cell}),
            "predictions",
            f"{column}='.*', but its record gives",
        )
        for column, cell in (
            ("train_seconds", "0.1"),
            ("peak_memory_bytes", "1000"),
            ("device", "a very small computer"),
            ("commit", "a" * 40),
            ("torch", "1.0.0"),
            ("dcbench", "9.9.9"),
            ("finished", "2020-01-01T00:00:00+00:00"),
        )
    ),
    # Runs
    Edit("accuracy raised in record and row", raised_everywhere, "predictions", "predictions give"),
    Edit("weights of another run", weights_of_another, "predictions", "model.safetensors: SHA-256"),
    Edit("another seed's weights, named so", copied_training, "predictions", "has the weights of"),
    Edit(
        "fewer epochs than the recipe",
        lambda board: history(board, lambda lines: lines[:30]),
        "predictions",
        "30 epochs.* 60",
    ),
    Edit(
        "another schedule",
        lambda board: history(board, constant_rate),
        "predictions",
        "learning_rate",
    ),
    Edit(
        "a network that was trained before",
        lambda board: history(board, low_from_the_start),
        "predictions",
        "loss of the first epoch",
    ),
    Edit("logits moved towards the labels", nudged, "weights", "the weights give other logits"),
    Edit("invented OOD logits", invented_ood, "weights", "gaussian.*the weights give other logits"),
    Edit("the best of many seeds", best_of_many, "weights", "initial weights"),
    Edit(
        "predictions left out", predictions_left_out, "predictions", "its predictions are not there"
    ),
    Edit(
        "the best of many seeds, with the initial weights of the one it is called",
        lambda board: best_of_many(board, initial=True),
        "weights",
        tier="rerun",
    ),
    Edit(
        "a copied run that is said to be the same by construction",
        copy_with_a_footnote,
        "predictions",
        tier="rerun",
    ),
    # Tables and words
    Edit(
        "a mean that the runs do not give",
        lambda board: set_cell(board.summary, 0, accuracy_mean="0.950000"),
        "rows",
        "accuracy_mean='0.950000', but the runs give",
    ),
    Edit(
        "a rank",
        lambda board: set_cell(board.summary, 0, rank="1", state="ranked"),
        "rows",
        "should be provisional",
    ),
    Edit("a line of the changelog removed", changelog_line_removed, "rows", "line is gone"),
    Edit(
        "a line of the changelog without a date",
        lambda board: changelog(board, "- v1/digits, subset 0, method erm, seed 0: tidied"),
        "rows",
        "should read",
    ),
    Edit(
        "a line of the changelog for rows that there are not",
        lambda board: changelog(
            board, "- 2026-11-28, v1/digits, subset 0, method erm, seeds 3-9, corrected: tidied"
        ),
        "rows",
        "no such row",
    ),
)
