"""A search from its first trial to its recipe."""

from __future__ import annotations

import contextlib
import logging
import shutil
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dcbench._version import __version__
from dcbench.config.names import as_text
from dcbench.config.progress import NoProgress, Progress
from dcbench.config.text import duration
from dcbench.config.tuned import Budget, Score, TunedRecipe, recipe_text, space_sha256
from dcbench.errors import OutOfTimeError, RunError
from dcbench.records.atomic import write_bytes
from dcbench.records.store import locked
from dcbench.runs.execute import estimate
from dcbench.runs.session import Session
from dcbench.tuning.halving import expected_epochs
from dcbench.tuning.plan import Search, split_values
from dcbench.tuning.study import DATABASE, Study, TrialFacts
from dcbench.tuning.trial import carry_out

RECIPE = "recipe.yaml"

_LOOK_EVERY = 1.0
"""Seconds from one look at trials that other processes train to the next."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Found:
    """What a search has come to.

    Attributes
    ----------
    folder : Path
        Of the study.
    trials : list of TrialFacts
        All that there are, those of other processes too.
    recipe : TunedRecipe or None
        None: trials are left.
    path : Path or None
        Of the recipe.
    """

    folder: Path
    trials: list[TrialFacts]
    recipe: TunedRecipe | None = None
    path: Path | None = None


def tune(
    search: Search,
    root: Path,
    session: Session,
    *,
    output: Path | None = None,
    restart: bool = False,
    progress: Progress | None = None,
    deadline: float | None = None,
) -> Found:
    """Carry trials out until all have ended, and write the recipe of the best.

    Asked again, a search goes on; several processes share it, on one machine or on a file system
    that has locks.

    Parameters
    ----------
    root : Path
        The results folder.
    session : Session
        With the images to tune on alone.
    output : Path, optional
        The recipe's file; else `recipe.yaml` beside the study.
    restart
        Throw away what an earlier search left.
    deadline
        On the clock of `time.monotonic`: then trials are checkpointed and left.

    Raises
    ------
    UsageError
        A search of something else lies there.
    RunError
        No trial could be trained to its end, or the study cannot be used.
    KeyboardInterrupt
        Interrupted; the trial at work goes on from its checkpoint.
    """
    folder = root / search.folder
    if restart:
        _remove(folder)
    study = Study(folder, search)
    _say_where(study, search)
    while _one_more(study, search, session, progress or NoProgress(), deadline):
        pass
    trials = study.trials
    if len(trials) < search.trials or any(each.state == "running" for each in trials):
        return Found(folder, trials)
    recipe = recipe_of(search, trials, len(session.data(search.plan({})).images.test.labels))
    path = output or folder / RECIPE
    write_bytes(path, recipe_text(recipe).encode())
    study.tidy()
    return Found(folder, trials, recipe, path)


def _remove(folder: Path) -> None:
    if (folder / DATABASE).exists():
        with locked(folder, busy="stop it, or leave --restart out"):
            shutil.rmtree(folder)


def _say_where(study: Study, search: Search) -> None:
    states = Counter(each.state for each in study.trials)
    there = ", ".join(f"{count} {state}" for state, count in sorted(states.items()))
    _log.info("%d trials%s: %s", search.trials, f" ({there})" if there else "", study.path)


def _one_more(
    study: Study, search: Search, session: Session, progress: Progress, deadline: float | None
) -> bool:
    """Carry a trial out, or wait for one; whether there may be another one."""
    if deadline is not None and time.monotonic() >= deadline:
        return False
    with study.held() as held:
        if held is not None:
            began = time.monotonic()
            with contextlib.suppress(OutOfTimeError):
                carry_out(held, search, session, progress, deadline)
                _say_ended(study, held.number, search, time.monotonic() - began)
            return True
    if not any(each.state == "running" for each in study.trials):
        return False
    time.sleep(_LOOK_EVERY)  # another process may be killed, and its trial be left
    return True


def _say_ended(study: Study, number: int, search: Search, seconds: float) -> None:
    trial = study.trials[number]
    values = ", ".join(f"{key}={as_text(value)}" for key, value in trial.values.items())
    reached = "" if trial.score is None else f" at {100 * trial.score:.2f} %"
    _log.info(
        "[%d/%d] %s: %s%s after %d epochs in %s%s",
        *(number + 1, search.trials, values, trial.state, reached, trial.epochs),
        duration(seconds),
        f": {trial.problem}" if trial.problem else "",
    )


def best_of(trials: Sequence[TrialFacts]) -> TrialFacts:
    """The trained trial with the best score; of equal ones, that with the smallest NLL.

    Raises
    ------
    RunError
        None was trained to its end.
    """
    ended = [each for each in trials if each.state == "complete"]
    if not ended:
        problems = dict.fromkeys(each.problem for each in trials if each.problem)
        raise RunError(
            f"none of {len(trials)} trials could be trained to its end: {'; '.join(problems)}"
        )
    return min(ended, key=lambda each: (-(each.score or 0), each.nll or 0, each.number))


def recipe_of(search: Search, trials: Sequence[TrialFacts], images: int) -> TunedRecipe:
    """The recipe of the best trial, with what the search has spent.

    Parameters
    ----------
    images : int
        Number of held-out images that the trials were scored on.
    """
    best, states = best_of(trials), Counter(each.state for each in trials)
    settings, training = split_values(search, best.values)
    plan = search.plan({})
    budget = Budget(
        trials=len(trials),
        completed=states["complete"],
        stopped=states["stopped"],
        failed=states["failed"],
        epochs=sum(each.epochs for each in trials),
        epochs_each=search.epochs,
        first_rung=search.first_rung,
        reduction=search.reduction,
        seeds=(search.seed,),
        sampler=search.sampler,
    )
    recipe = TunedRecipe(
        method=plan.choice.method.name,
        settings=settings,
        training=training,
        protocol=search.protocol,
        split=plan.split.name,
        subset=search.subset,
        index_sha256=plan.identity.configuration.index_sha256,
        budget=budget,
        score=Score(value=round(best.score or 0, 6), images=images, trial=best.number),
        space=search.space,
        space_sha256=space_sha256(search.space),
        dcbench=__version__,
    )
    return recipe.model_copy(update={"sha256": recipe.content_sha256()})


@dataclass(frozen=True)
class Forecast:
    """What a search will cost here, from a measured step.

    Attributes
    ----------
    seconds_each : float
        Of a trial that is not stopped.
    seconds : float
        Of all trials, if one in `reduction` goes on beyond each rung.
    seconds_most : float
        If none is stopped.
    """

    device: str
    seconds_each: float
    seconds: float
    seconds_most: float


def forecast(search: Search, session: Session) -> Forecast:
    """How long a search takes on this device; nothing is written."""
    found = estimate(search.plan({}), session)
    share = expected_epochs(search.epochs, search.rungs, search.trials, search.reduction)
    return Forecast(
        device=found.device,
        seconds_each=found.seconds,
        seconds=found.seconds * share / search.epochs,
        seconds_most=found.seconds * search.trials,
    )
