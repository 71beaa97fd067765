"""Whether the course of a training is that of its recipe, and like that of other seeds."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator
from statistics import median

from dcbench.config.reading import parse_csv, read_file
from dcbench.config.recipe import Recipe
from dcbench.errors import DataError, DcbenchError
from dcbench.leaderboard.checks.evidence import Stored, Used
from dcbench.leaderboard.columns import METHOD
from dcbench.methods import build_method
from dcbench.records.files import HISTORY
from dcbench.records.schema import EpochSummary, Record

MOST_APART = {"first": 2.0, "last": 5.0}
"""Largest factor between an epoch's loss and the median of other runs of the method.

Of 1,000 honest runs on `digits` and on CIFAR the first epochs lie within a factor of 1.5, and the
last within 2.5.
"""


def read_history(stored: Stored) -> list[EpochSummary]:
    """The epochs of a run.

    Raises
    ------
    DataError
        There is no history, or it is no such table.
    """
    path = stored.folder / HISTORY
    header, lines = parse_csv(read_file(path), path)
    if header != list(EpochSummary._fields):
        raise DataError(f"{path}: should have the columns {', '.join(EpochSummary._fields)}")
    try:
        return [EpochSummary(int(line[0]), *map(float, line[1:])) for line in lines]
    except ValueError as problem:
        raise DataError(f"{path}: {problem}") from None


def training_problems(stored: Stored) -> Iterator[str]:
    """Where a history is not of as many epochs, or of other learning rates, than the recipe's."""
    if not (stored.folder / HISTORY).exists():
        return
    try:
        history = read_history(stored)
    except DataError as problem:
        yield str(problem)
        return
    expected = _learning_rates(stored.record)
    if expected is None:
        return
    path = stored.folder / HISTORY
    if len(history) != len(expected):
        yield f"{path}: has {len(history)} epochs; the recipe and the method have {len(expected)}"
        return
    for number, (row, rate) in enumerate(zip(history, expected, strict=True)):
        if row.epoch != number:
            yield f"{path}: epoch {row.epoch} stands where {number} should"
            return
        if not math.isclose(row.learning_rate, rate, rel_tol=1e-6, abs_tol=1e-12):
            yield (
                f"{path}: learning_rate={row.learning_rate:g} in epoch {number}; the recipe has "
                f"{rate:g}"
            )
            return


def _learning_rates(record: Record) -> list[float] | None:
    """The last learning rate of each epoch; None where the method or its images are not known."""
    fitted = record.data.get("fit")
    # A record that somebody sends may name a file, which `build_method` would run.
    if fitted is None or not METHOD.holds(record.label) or ".py:" in record.method:
        return None
    try:
        stages = build_method(record.method, record.settings).stages
    except DcbenchError:
        return None
    recipes = [record.recipe]
    recipes += [
        Recipe.model_validate({**record.recipe.model_dump(), **stage.recipe}) for stage in stages
    ]
    rates = []
    for recipe in recipes:
        steps = math.ceil(fitted.images / recipe.batch_size)
        rates += [
            recipe.learning_rate_at((epoch + 1) * steps - 1, steps)
            for epoch in range(recipe.epochs)
        ]
    return rates


def strange_losses(used: Iterable[Used]) -> Iterator[str]:
    """Runs whose loss in the first or last epoch is far from that of other runs of the method."""
    groups: dict[tuple[str, str], list[tuple[Used, dict[str, float]]]] = defaultdict(list)
    for each in used:
        try:
            history = read_history(each.stored)
        except DataError:
            continue
        if history:
            losses = {"first": history[0].loss, "last": history[-1].loss}
            groups[each.file.board, each.row["method"]].append((each, losses))
    for runs in groups.values():
        for each, losses in runs:
            if "loss" in each.row.get("footnote", ""):
                continue
            others = [other for run, other in runs if run is not each]
            for when, loss in losses.items():
                usual = median(other[when] for other in others) if len(others) > 1 else math.nan
                if loss > 0 and usual > 0 and _apart(loss, usual) > MOST_APART[when]:
                    yield (
                        f"{each.title}: the loss of the {when} epoch is {loss:.4g}, and that of "
                        f"other runs of the method {usual:.4g}; train it again, or say in the "
                        "footnote why the loss differs"
                    )


def _apart(one: float, other: float) -> float:
    return max(one / other, other / one)
