"""A search from its first trial to its recipe."""

from __future__ import annotations

import contextlib
import logging
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from uuid import uuid4

from dcbench._version import __version__
from dcbench.config.base import validated
from dcbench.config.interrupts import interruptible
from dcbench.config.text import duration
from dcbench.config.tuned import Budget, Score, TunedRecipe, recipe_text, space_sha256
from dcbench.data.load import load_tuning_images
from dcbench.errors import RunError, UsageError
from dcbench.records.atomic import write_bytes
from dcbench.records.store import locked
from dcbench.runs.execute import estimate
from dcbench.runs.session import Session
from dcbench.sweep.engines.base import Engine, Job, Site, TransferOptions, at_once
from dcbench.sweep.grid import Request
from dcbench.tuning.halving import expected_epochs
from dcbench.tuning.plan import Search, split_values
from dcbench.tuning.study import DATABASE, Study, TrialFacts, remove_study
from dcbench.tuning.work import LIVES, OneMoreTrial

RECIPE = "recipe.yaml"

_LOOK_EVERY = 1.0
"""Seconds from one look at trials that other processes train to the next."""

_TOLD = 3
"""How many ways in which trials failed are told, where all have."""

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
    site: Site,
    engine: Engine[Any],
    *,
    output: Path | None = None,
    restart: bool = False,
) -> Found:
    """Have an engine carry trials out until all have ended, and write the recipe of the best.

    Asked again, a search goes on; several processes share it, on one machine or on a file system
    that has locks.

    Parameters
    ----------
    site : Site
        With the results folder, which all workers see.
    output : Path, optional
        The recipe's file; else `recipe.yaml` beside the study.
    restart
        Throw away what an earlier search left.

    Raises
    ------
    UsageError
        A search of something else lies there, or the split holds nothing out.
    DataError
        The images to tune on cannot be read.
    RunError
        No trial could be trained to its end, or the study cannot be used.
    KeyboardInterrupt
        Interrupted; the trials at work go on from their checkpoints.
    """
    folder = site.store.root / search.folder
    images = len(load_tuning_images(search.plan({}).split, site.source).test.labels)
    if restart:
        remove_study(folder)
    study = Study(folder, search)
    _say_where(study, search)
    _try_all(study, search, site, engine)
    trials = study.trials
    if left_of(search, trials):
        return Found(folder, trials)
    recipe = recipe_of(search, trials, images)
    path = output or folder / RECIPE
    with locked(folder):  # another command may end at this moment
        write_bytes(path, recipe_text(recipe).encode())
        study.tidy()
    return Found(folder, trials, recipe, path)


def left_of(search: Search, trials: Sequence[TrialFacts]) -> int:
    """How many trials have to be begun, or come to their end."""
    running = sum(each.state == "running" for each in trials)
    return max(0, search.trials - len(trials)) + running


def counted(trials: Sequence[TrialFacts]) -> str:
    """How many trials are in each state, in brackets; nothing where there is none."""
    states = Counter(each.state for each in trials)
    there = ", ".join(f"{count} {state}" for state, count in sorted(states.items()))
    return f" ({there})" if there else ""


def trials_before(search: Search, results: Path) -> list[TrialFacts]:
    """The trials of the search that lies under a results folder.

    Raises
    ------
    UsageError
        A search of something else lies there.
    """
    folder = results / search.folder
    if not (folder / DATABASE).exists():
        return []
    return Study(folder, search).trials


def check_shares_results(name: str, engine: Engine[Any]) -> None:
    """Refuse an engine whose workers would send their files back.

    Raises
    ------
    UsageError
        They would.
    """
    options = engine.options
    if isinstance(options, TransferOptions) and options.results == "sent":
        raise UsageError(
            f"engine {name}: results=sent: the trials of a search share a study on disk; let the "
            "workers see the results folder, on a disk that has locks, and give results: shared"
        )


def _say_where(study: Study, search: Search) -> None:
    _log.info("%d trials%s: %s", search.trials, counted(study.trials), study.path)


def _try_all(study: Study, search: Search, site: Site, engine: Engine[Any]) -> None:
    """Keep the engine at trials until all have ended, or there is no time left."""
    site = replace(site, work=OneMoreTrial(search, uuid4().hex))
    request = Request(
        *(search.method, search.split, search.subset, search.seed, search.protocol), settings="{}"
    )
    losses, waits = 0, False
    with interruptible():
        while any(standing := study.standing()) and not _is_late(site):
            if not standing.open:
                if not waits:
                    _log.info("%d trials are at work in other processes; waiting", standing.held)
                waits = True
                _wait(site)
                continue
            waits = False
            seen = _carried_out([(request,)] * standing.open, site, engine)
            losses = 0 if seen.keys() - {"lost"} else losses + 1
            if losses > LIVES:
                raise RunError(f"no worker comes to the end of a trial: {seen['lost']}")
            if "left" in seen:
                return


def _carried_out(jobs: Sequence[Job], site: Site, engine: Engine[Any]) -> dict[str, str]:
    """Try as many trials as there are jobs, and tell of each.

    Returns
    -------
    dict
        The ways in which jobs ended, each with the last message that came with it.

    Raises
    ------
    RunError
        A worker cannot take part.
    """
    seen: dict[str, str] = {}
    seconds: list[float] = []
    with contextlib.closing(engine.carry_out(jobs, site)) as endings:
        for ended in endings:
            if ended.lost:
                seen["lost"] = ended.lost
                _log.warning("%s; its trial goes on from its checkpoint", ended.lost)
            for outcome in ended.outcomes:
                seen[outcome.state] = outcome.message
                if outcome.state == "failed":
                    raise RunError(outcome.message)
                if outcome.state == "done":
                    seconds.append(outcome.seconds)
                    to_do = len(jobs) - len(seconds)
                    left = to_do * sum(seconds) / len(seconds)
                    workers = at_once(engine.workers(site.device), to_do)
                    told = f"about {duration(left / workers)} left" if to_do else "none left"
                    _log.info("%s; %s", outcome.message, told)
    return seen


def _is_late(site: Site) -> bool:
    return site.seconds_left is not None and site.seconds_left <= 0


def _wait(site: Site) -> None:
    """Wait a little for trials at work elsewhere: one that is left there can be taken up."""
    left = site.seconds_left
    time.sleep(_LOOK_EVERY if left is None else max(0.0, min(_LOOK_EVERY, left)))


def best_of(trials: Sequence[TrialFacts]) -> TrialFacts:
    """The trained trial with the best score; of equal ones, that with the smallest NLL.

    Raises
    ------
    RunError
        None was trained to its end.
    """
    ended = [each for each in trials if each.state == "complete"]
    if not ended:
        problems = list(dict.fromkeys(each.problem for each in trials if each.problem))
        rest = len(problems) - _TOLD
        told = "; ".join([*problems[:_TOLD], *([f"and {rest} other problems"] if rest > 0 else [])])
        raise RunError(f"none of {len(trials)} trials could be trained to its end: {told}")
    return min(ended, key=lambda each: (-(each.score or 0), each.nll or 0, each.number))


def recipe_of(search: Search, trials: Sequence[TrialFacts], images: int) -> TunedRecipe:
    """The recipe of the best trial, with what the search has spent.

    Parameters
    ----------
    images : int
        Number of held-out images that the trials were scored on.

    Raises
    ------
    RunError
        No trial was trained to its end, or the best is none that a recipe can hold.
    """
    best, states = best_of(trials), Counter(each.state for each in trials)
    settings, training = split_values(search, best.values)
    plan = search.plan({})
    identified = plan.identity.configuration
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
    content = {
        "method": plan.choice.method.name,
        "settings": settings,
        "training": training,
        "protocol": search.protocol,
        "split": plan.split.name,
        "subset": search.subset,
        "index_sha256": identified.index_sha256,
        "data_sha256": identified.data_sha256,
        "method_sha256": identified.method_sha256,
        "budget": budget,
        "score": Score(value=round(best.score or 0, 6), images=images, trial=best.number),
        "space": search.space,
        "space_sha256": space_sha256(search.space),
        "dcbench": __version__,
    }
    recipe = validated(TunedRecipe, content, f"the recipe of trial {best.number}", RunError)
    return recipe.model_copy(update={"sha256": recipe.content_sha256()})


@dataclass(frozen=True)
class Forecast:
    """What a search will cost here, from a measured step.

    Attributes
    ----------
    seconds_each : float
        Of a trial that is not stopped.
    seconds : float
        Of the trials that are left, if one in `reduction` goes on beyond each rung.
    seconds_most : float
        If none is stopped.
    """

    device: str
    seconds_each: float
    seconds: float
    seconds_most: float


def forecast(search: Search, session: Session, left: int) -> Forecast:
    """How long the trials of a search that are left take on this device; nothing is written."""
    found = estimate(search.plan({}), session)
    share = expected_epochs(search.epochs, search.rungs, left, search.reduction) if left else 0
    return Forecast(
        device=found.device,
        seconds_each=found.seconds,
        seconds=found.seconds * share / search.epochs,
        seconds_most=found.seconds * left,
    )
