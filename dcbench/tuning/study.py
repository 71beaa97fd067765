"""A search on disk: an optuna study in SQLite, which processes share.

A process holds a lock beside each trial that it trains. The system frees it however the process
ends; a trial that is running and whose lock is free is taken up where its checkpoint is.
"""

from __future__ import annotations

import contextlib
import functools
import json
import shutil
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

from dcbench.config.text import in_brief
from dcbench.errors import BusyError, RunError, UsageError
from dcbench.records import files
from dcbench.records.store import is_held, locked
from dcbench.tuning.plan import Search, rounded

try:
    import optuna
    from optuna.trial import FrozenTrial, Trial, TrialState
    from sqlalchemy.exc import SQLAlchemyError

    from dcbench.tuning.drawn import DrawnAhead, suggested
except ModuleNotFoundError as missing:
    raise UsageError(
        f"tune: {missing.name} is not installed; run pip install 'dcbench-vision[tune]'"
    ) from None

DATABASE = "study.db"
_TRIALS = ".trials"
"""Checkpoints and locks: hidden, for what looks through a results folder takes them for no runs."""

_NAME = "tune"
_BUSY_SECONDS = 120
"""How long a process waits for another one's writing to the database."""


class TrialFacts(NamedTuple):
    """A trial as it stands.

    Attributes
    ----------
    state : str
        `complete`, `stopped` by successive halving, `failed` or `running`.
    score : float or None
        Balanced accuracy where it was last scored.
    nll : float or None
        Negative log-likelihood there.
    epochs : int
        That it was trained.
    problem : str
        Why it failed.
    """

    number: int
    state: str
    values: dict[str, Any]
    score: float | None
    nll: float | None
    epochs: int
    problem: str


class Standing(NamedTuple):
    """What is left of a search.

    Attributes
    ----------
    open : int
        Trials that can be begun, or taken up.
    held : int
        Trials that processes are at.
    """

    open: int
    held: int


Ending = Literal["complete", "stopped", "failed"]
_ENDINGS: dict[Ending, TrialState] = {
    "complete": TrialState.COMPLETE,
    "stopped": TrialState.PRUNED,
    "failed": TrialState.FAIL,
}


@dataclass(eq=False)
class HeldTrial:
    """A trial that this process holds.

    Attributes
    ----------
    values : dict
        What is tried.
    folder : Path
        Of its checkpoint.
    lost : int
        How many workers of this command have died at it.
    """

    study: Study
    trial: Trial
    values: dict[str, Any]
    folder: Path
    lost: int = 0
    ended: bool = False

    @property
    def number(self) -> int:
        """From 0, in the order in which trials begin."""
        return self.trial.number

    def report(self, epochs: int, score: float, nll: float) -> tuple[float, list[float]]:
        """Store a score, unless it was stored before the trial was cut off.

        Returns
        -------
        tuple
            The score that is stored, and those of all trials after as many epochs.
        """
        stored = self.study.frozen(self.number).intermediate_values
        if epochs not in stored:
            self.trial.report(score, epochs)
        self.trial.set_user_attr("nll", nll)
        self.spent(epochs)
        return stored.get(epochs, score), self.study.scores_after(epochs)

    def spent(self, epochs: int) -> None:
        """Store how many epochs it has been trained."""
        self.trial.set_user_attr("epochs", epochs)

    def end(self, state: Ending, score: float | None = None, problem: str = "") -> None:
        """Store how it ended, and remove its checkpoint."""
        if problem:
            self.trial.set_user_attr("problem", problem)
        self.study.tell(self.trial, _ENDINGS[state], score if state == "complete" else None)
        self.ended = True
        files.clear(self.folder)


class Study:
    """The trials of a search, those of other processes too.

    Parameters
    ----------
    folder : Path
        Where it lies, or is to lie.
    command : str
        What the workers of one command have in common, who tell by it which trials they lost.

    Raises
    ------
    UsageError
        A search of something else is there.
    RunError
        The folder cannot be written, or the file in it is no study that this optuna can use.
    """

    def __init__(self, folder: Path, search: Search, command: str = "") -> None:
        self.folder, self._search, self._command = folder, search, command
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        with locked(folder), self._errors():
            self._study = optuna.create_study(
                storage=self._storage(),
                study_name=_NAME,
                direction="maximize",
                load_if_exists=True,
                sampler=DrawnAhead(search.sampler, search.seed),
                pruner=optuna.pruners.NopPruner(),  # `halving` says which trials go on
            )
            before = self._study.user_attrs.get("search")
            if before is None:
                self._study.set_user_attr("search", json.dumps(search.facts, sort_keys=True))
        if before is not None:
            self._check_same(json.loads(before))

    def _storage(self) -> optuna.storages.RDBStorage:
        """The database, by its path: as a part of a URL, `?` and `%` would mean something."""
        connect = functools.partial(
            sqlite3.connect,
            self.path.absolute(),
            timeout=_BUSY_SECONDS,
            check_same_thread=False,  # as SQLAlchemy connects to a file
        )
        try:
            return optuna.storages.RDBStorage(
                f"sqlite:///{DATABASE}", engine_kwargs={"creator": connect}
            )
        except RuntimeError:  # what optuna says of tables with another schema
            raise RunError(
                f"{self.path}: was written by another version of optuna, and {optuna.__version__} "
                "cannot use it: install that version, begin again with --restart, or choose "
                "another folder with --results"
            ) from None

    def _check_same(self, before: dict[str, Any]) -> None:
        for key, value in self._search.facts.items():
            if before.get(key) != value:
                raise UsageError(
                    f"{self.path}: is a search with other settings: {key}={before.get(key)} and "
                    f"not {value}; begin again with --restart, or choose another folder with "
                    "--results"
                )

    @property
    def path(self) -> Path:
        """The database."""
        return self.folder / DATABASE

    @contextlib.contextmanager
    def held(self) -> Iterator[HeldTrial | None]:
        """Hold a trial: one that was left, or a new one. None: all have ended, or are held."""
        with contextlib.ExitStack() as stack, self._errors():
            with locked(self.folder):
                trial = self._left_by_others(stack) or self._new(stack)
                found = None if trial is None else self._as_held(trial)
            try:
                yield found
            finally:
                if found is not None and not found.ended:
                    self._begun(found.trial, found.lost)  # it is left, and nothing has died

    def standing(self) -> Standing:
        """How many trials can be begun or taken up now, and how many others hold."""
        with locked(self.folder), self._errors():
            trials = self._study.get_trials(deepcopy=False)
            running = [each.number for each in trials if each.state == TrialState.RUNNING]
            held = sum(is_held(self._place(number)) for number in running)
        return Standing(max(0, self._search.trials - len(trials)) + len(running) - held, held)

    def _left_by_others(self, stack: contextlib.ExitStack) -> Trial | None:
        for frozen in self._study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            with contextlib.ExitStack() as taken, contextlib.suppress(BusyError):
                taken.enter_context(locked(self._place(frozen.number), busy="it is trained there"))
                if self.frozen(frozen.number).state == TrialState.RUNNING:  # and not ended since
                    stack.push(taken.pop_all())
                    return Trial(self._study, frozen._trial_id)
        return None

    def _new(self, stack: contextlib.ExitStack) -> Trial | None:
        if len(self._study.get_trials(deepcopy=False)) >= self._search.trials:
            return None
        trial = self._study.ask()
        stack.enter_context(locked(self._place(trial.number)))
        return trial

    def _as_held(self, trial: Trial) -> HeldTrial:
        """With what is tried: drawn now, or found in the database where it was drawn before."""
        drawn = {key: suggested(trial, key, each) for key, each in self._search.space.items()}
        values = rounded(self._search, drawn)
        trial.set_user_attr("values", values)
        command, times = trial.user_attrs.get("begun", ("", 0))
        lost = times if command == self._command else 0
        self._begun(trial, lost + 1)
        return HeldTrial(self, trial, values, self._place(trial.number), lost)

    def _begun(self, trial: Trial, times: int) -> None:
        """Store how often workers of this command have begun it and not come back."""
        trial.set_user_attr("begun", (self._command, times))

    def _place(self, number: int) -> Path:
        return self.folder / _TRIALS / f"{number:04d}"

    def tell(self, trial: Trial, state: TrialState, score: float | None) -> None:
        """Store how a trial ended."""
        self._study.tell(trial, score, state=state)

    def frozen(self, number: int) -> FrozenTrial:
        """A trial as the database has it."""
        return self._study.get_trials(deepcopy=False)[number]

    def scores_after(self, epochs: int) -> list[float]:
        """Of all trials that were scored after so many epochs."""
        trials = self._study.get_trials(deepcopy=False)
        found = [each.intermediate_values.get(epochs) for each in trials]
        return [value for value in found if value is not None]

    @property
    def trials(self) -> list[TrialFacts]:
        """All trials, in the order in which they began."""
        with self._errors():
            return [_facts(each) for each in self._study.get_trials(deepcopy=False)]

    def tidy(self) -> None:
        """Remove what trials needed, once all have ended."""
        shutil.rmtree(self.folder / _TRIALS, ignore_errors=True)

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        """What SQLite and optuna say of a file, in one line."""
        try:
            yield
        except (SQLAlchemyError, optuna.exceptions.OptunaError) as problem:
            raise RunError(
                f"{self.path}: cannot be used as a study: {in_brief(problem)}; begin again with "
                "--restart, or choose another folder with --results"
            ) from None


def remove_study(folder: Path) -> None:
    """Remove the study that lies in a folder, if there is one.

    Raises
    ------
    BusyError
        Another process is at one of its trials.
    """
    if not (folder / DATABASE).exists():
        return
    busy = "stop it, or leave --restart out"
    with locked(folder, busy=busy):
        for place in (folder / _TRIALS).glob("*"):
            if is_held(place):
                raise BusyError(f"another process is at work in {place}; {busy}")
        shutil.rmtree(folder)


def _facts(trial: FrozenTrial) -> TrialFacts:
    attributes, scores = trial.user_attrs, trial.intermediate_values
    return TrialFacts(
        number=trial.number,
        state=next((name for name, state in _ENDINGS.items() if state == trial.state), "running"),
        values=attributes.get("values", {}),
        score=scores[max(scores)] if scores else None,
        nll=attributes.get("nll"),
        epochs=attributes.get("epochs", 0),
        problem=attributes.get("problem", ""),
    )
