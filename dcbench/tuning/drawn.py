"""What a trial of a search tries, drawn so that a search that goes on tries the same."""

from __future__ import annotations

from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.trial import FrozenTrial, Trial

from dcbench.config.tuned import Range
from dcbench.draws import stream
from dcbench.tuning.plan import Sampler


class DrawnAhead(BaseSampler):
    """What a trial tries, from the seed, the trial's number and the setting's name.

    No state is carried from one trial to the next, so that a search that goes on tries what it
    would have tried; by `tpe` it depends on the trials that have ended besides.
    """

    def __init__(self, kind: Sampler, seed: int) -> None:
        self._kind, self._seed = kind, seed

    def infer_relative_search_space(
        self, study: optuna.Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """Each setting is drawn by itself."""
        return {}

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Nothing is drawn together."""
        return {}

    def sample_independent(
        self,
        study: optuna.Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        """The value of a setting in a trial."""
        seed = int(stream(self._seed, f"tune/{param_name}", trial.number).randint(2**31))
        inner = TPESampler(seed=seed) if self._kind == "tpe" else RandomSampler(seed=seed)
        return inner.sample_independent(study, trial, param_name, param_distribution)


def suggested(trial: Trial, key: str, range_: Range) -> Any:
    """The value of a setting in a trial: drawn now, or as the database has it."""
    if range_.choices:
        return trial.suggest_categorical(key, range_.choices)
    assert range_.low is not None
    assert range_.high is not None
    if range_.integer:
        return trial.suggest_int(key, int(range_.low), int(range_.high), log=range_.log)
    return trial.suggest_float(key, range_.low, range_.high, log=range_.log)
