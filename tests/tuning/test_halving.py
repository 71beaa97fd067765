from __future__ import annotations

import numpy as np
import optuna
import pytest

from dcbench.tuning.halving import expected_epochs, goes_on, rungs_below


def test_rungs_are_those_of_gem():
    assert rungs_below(500, 50, 2) == (50, 100, 200, 400)
    assert rungs_below(9, 1, 3) == (1, 3)  # the last epoch is no rung: nothing is left to save
    assert rungs_below(5, 5, 2) == ()


def test_expected_epochs_by_hand():
    # 9 trials to epoch 1, 3 of them to epoch 3, one of these to epoch 9
    assert expected_epochs(9, (1, 3), 9, 3) == 9 * 1 + 3 * 2 + 1 * 6
    assert expected_epochs(9, (1, 3), 1, 3) == 9
    assert expected_epochs(7, (), 4, 3) == 28


@pytest.mark.parametrize("reduction", [2, 3, 4])
def test_trials_go_on_as_by_the_pruner_of_optuna(reduction: int):
    rungs = rungs_below(40, 2, reduction)
    pruner = optuna.pruners.SuccessiveHalvingPruner(min_resource=2, reduction_factor=reduction)
    study = optuna.create_study(direction="maximize", pruner=pruner)
    reached: dict[int, list[float]] = {rung: [] for rung in rungs}
    scores = np.random.default_rng(0).integers(0, 8, (40, len(rungs))) / 8  # with ties
    for of_trial in scores:
        trial = study.ask()
        state = optuna.trial.TrialState.COMPLETE
        for rung, score in zip(rungs, of_trial.tolist(), strict=True):
            reached[rung].append(score)
            trial.report(score, rung)
            stopped = not goes_on(score, reached[rung], reduction)
            assert trial.should_prune() == stopped
            if stopped:
                state = optuna.trial.TrialState.PRUNED
                break
        study.tell(trial, None if state == optuna.trial.TrialState.PRUNED else score, state=state)
